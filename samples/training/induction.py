"""Train `induction`: two layers of attention that continue a repeated block of characters.

    python samples/training/induction.py --out attnviz/models/packaged/induction

A head of layer 0 learns to look at the previous token, so that each token knows what stood
before it. Heads of layer 1 then look for the token that stood behind the present one before, and
the model says it again. Small prices on the attention make the heads readable: on the entropy of
their rows, and on looking where another head of layer 0 looks. Word-like blocks, in which one
token back is not enough to know the next, come in later, when the heads have found each other.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from induction_data import (
    BEGIN,
    CHARACTERS,
    N_TOKEN,
    TRAINING_PERIODS,
    UNSEEN_PERIODS,
    Texts,
    followers,
    repeated_blocks,
    unseen_texts,
)
from stack import Transformer, round_to_half, save_model
from torch.nn import functional as F

STACK = {
    "kind": "decoder",
    "layers": 2,
    "heads": 4,
    "d_model": 64,
    "d_ff": 0,
    "norm": "layer",
    "norm_place": "pre",
    "positions": "rope",
    "embedding_scale": False,
    "bias": True,
}
BATCH, RATE, WARM_UP = 64, 3e-3, 100
REPEATS_FROM = 0.3
"""The share of the steps after which characters may recur within a block."""
LONGER_PERIODS = (33, 36, 40)
"""Longer than any in training; their texts are longer too."""
GOLDEN_TEXTS = ("HarryPotterHarryPot", "abcde.fg7abcde.fg7a")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=float, default=0.5, help="share of word-like blocks")
    parser.add_argument("--entropy", type=float, default=0.02, help="price of a nat of entropy")
    parser.add_argument("--overlap", type=float, default=0.03, help="price of looking alike")
    parser.add_argument("--golden", type=Path, help="file of inputs and what comes of them")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    model = Transformer(STACK, len(CHARACTERS), {"n_token": len(CHARACTERS)})
    start = time.process_time()
    train(model, options)
    seconds = time.process_time() - start
    round_to_half(model)
    figures = measure(model)
    for name, value in figures.items():
        print(f"{name:36} {value:.4f}")
    save_model(options.out, model, config(), card(options, seconds, figures))
    if options.golden:
        save_golden(options.golden, model)


def train(model: Transformer, options: argparse.Namespace) -> None:
    generator, steps = np.random.default_rng(options.seed), options.steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * _cosine(step / steps)
        repeats = options.repeats if step >= REPEATS_FROM * steps else 0.0
        texts = repeated_blocks(generator, BATCH, TRAINING_PERIODS, repeats=repeats)
        ids, told = torch.from_numpy(texts.ids), torch.from_numpy(texts.told)
        logits, attentions = model(ids[:, :-1])
        loss = F.cross_entropy(logits[told], ids[:, 1:][told])
        entropy = torch.stack([_entropy(weights) for weights in attentions.values()]).mean()
        overlap = _overlap(attentions["decoder.0.self"])
        optimiser.zero_grad()
        (loss + options.entropy * entropy + options.overlap * overlap).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0 or step == steps - 1:
            print(
                f"step {step:5}  loss {loss:.4f}  entropy {entropy:.3f}  overlap {overlap:.3f}",
                flush=True,
            )


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _entropy(weights: torch.Tensor) -> torch.Tensor:
    return -(weights * (weights + 1e-9).log()).sum(-1).mean()


def _overlap(weights: torch.Tensor) -> torch.Tensor:
    """Products of the rows of different heads, summed over the pairs: [n_text, n_head, n_q, n_k].

    The first rows see too few keys to differ and are left out.
    """
    rows = weights[:, :, weights.shape[1] :]
    products = torch.einsum("nhqk,ngqk->nhg", rows, rows) / rows.shape[2]
    own = products.diagonal(dim1=1, dim2=2).sum(-1)
    return (products.sum((1, 2)) - own).mean()


def measure(model: Transformer) -> dict[str, float]:
    """The card's figures, on texts of periods that were not trained on."""
    texts = [unseen_texts(period) for period in UNSEEN_PERIODS]
    words = [unseen_texts(period, repeats=1.0) for period in UNSEEN_PERIODS]
    previous, induction = head_scores(model, texts)
    head = max(range(len(previous)), key=previous.__getitem__)
    without = torch.ones(STACK["heads"])
    without[head] = 0
    figures = {f"accuracy_period_{t.period[0]}": accuracy(model, [t]) for t in texts}
    figures["accuracy"] = accuracy(model, texts)
    figures["accuracy_longer_periods"] = accuracy(
        model, [unseen_texts(period) for period in LONGER_PERIODS]
    )
    figures["accuracy_repeated_characters"] = accuracy(model, words)
    figures["previous_token_head"] = head
    figures["accuracy_without_previous_token_head"] = accuracy(model, texts, without)
    figures |= {f"previous_token_L0H{h}": score for h, score in enumerate(previous)}
    figures |= {f"induction_L1H{h}": score for h, score in enumerate(induction)}
    n = np.arange(2, N_TOKEN + 1)
    figures["previous_token_even_spread"] = float((1 / n).mean())
    figures["induction_even_spread"] = float(np.mean([_even_spread(t) for t in texts]))
    return figures


@torch.no_grad()
def accuracy(
    model: Transformer, sets: list[Texts], scale_heads: torch.Tensor | None = None
) -> float:
    """The share of next tokens foretold, each set of texts counting alike.

    `scale_heads` [n_head] multiplies the contexts of layer 0's heads.
    """
    scale = None if scale_heads is None else {"decoder.0.self": scale_heads}
    shares = []
    for texts in sets:
        logits, _ = model(torch.from_numpy(texts.ids[:, :-1]), scale_heads=scale)
        right = logits.argmax(-1).numpy() == texts.ids[:, 1:]
        shares.append(right[texts.told].mean())
    return float(np.mean(shares))


@torch.no_grad()
def head_scores(model: Transformer, sets: list[Texts]) -> tuple[list[float], list[float]]:
    """Previous-token scores of layer 0 and induction scores of layer 1, each [n_head].

    Previous token: the mean of weights[i, i - 1] over all rows but the first. Induction: the mean,
    over the rows whose token stood earlier, of the weight on all followers of its earlier copies.
    """
    previous, induction = [], []
    for texts in sets:
        _, attentions = model(torch.from_numpy(texts.ids[:, :-1]))
        first, second = (attentions[f"decoder.{layer}.self"].numpy() for layer in (0, 1))
        previous.append(first.diagonal(-1, 2, 3).mean((0, 2)))
        mask = followers(texts.ids[:, :-1])
        mass = (second * mask[:, None]).sum(-1)  # [n_text, n_head, n_q]
        induction.append(mass.transpose(0, 2, 1)[mask.any(-1)].mean(0))
    return np.mean(previous, 0).tolist(), np.mean(induction, 0).tolist()


def _even_spread(texts: Texts) -> float:
    mask = followers(texts.ids[:, :-1])
    share = mask.sum(-1) / np.arange(1, mask.shape[-1] + 1)
    return float(share[mask.any(-1)].mean())


def config() -> dict[str, Any]:
    return {
        "stack": STACK,
        "task": "continue",
        "source": {
            "reads": "characters",
            "characters": CHARACTERS,
            "unknown": CHARACTERS[0],
            "begin": CHARACTERS[BEGIN],
        },
        "trained_tokens": N_TOKEN,
    }


def card(options: argparse.Namespace, seconds: float, figures: dict[str, float]) -> dict[str, Any]:
    unseen = ", ".join(map(str, UNSEEN_PERIODS))
    longer = ", ".join(map(str, LONGER_PERIODS))
    test = f"100 texts each of blocks of {unseen} different characters (lengths not trained on)"
    texts = {
        **{
            f"accuracy_period_{p}": f"Share of next tokens predicted correctly, blocks of {p}"
            for p in UNSEEN_PERIODS
        },
        "accuracy": f"Share of next tokens predicted correctly, from the second copy on; {test}",
        "accuracy_longer_periods": f"The same on blocks of {longer}, longer than any trained on",
        "accuracy_repeated_characters": f"The same on word-like blocks of {unseen} in which "
        "characters recur; some of these next tokens cannot be known",
        "previous_token_head": "The head of layer 0 with the highest previous-token score",
        "accuracy_without_previous_token_head": "As accuracy, with that head's context set to 0",
        "previous_token_even_spread": "Previous-token score of a head that spreads evenly",
        "induction_even_spread": "Induction score of a head that spreads evenly",
    }
    for head in range(STACK["heads"]):
        texts[f"previous_token_L0H{head}"] = (
            "Mean weight on the previous token; same texts as accuracy"
        )
        texts[f"induction_L1H{head}"] = (
            "Weight on the tokens after all earlier copies of a row's token, mean over the rows "
            "that have such copies; same texts as accuracy"
        )
    return {
        "name": "induction",
        "title": "Continues repeated text: a previous-token head and induction heads",
        "task_text": "Reads characters and repeats what followed them before. "
        f"L0H{figures['previous_token_head']} looks at the previous token; the heads of layer 1 "
        "look at the token after earlier copies of the current one (induction). Without the "
        "previous-token head, they fail.",
        "reads": "letters, digits, full stops and commas, such as abcdefabcd",
        "data": "Generated (samples/training/induction_data.py): [BOS] and a random block of "
        f"{min(TRAINING_PERIODS)} to {max(TRAINING_PERIODS)} characters (never {unseen}), "
        f"repeated to {N_TOKEN} tokens; in {options.repeats:.0%} of the texts late in "
        "training, characters recur within the block, as in words.",
        "data_licence": "none needed: random characters",
        "licence": "MIT",
        "recipe": f"samples/training/induction.py --steps {options.steps} --seed {options.seed} "
        f"--repeats {options.repeats} --entropy {options.entropy} --overlap {options.overlap}: "
        "cross entropy of the next token from the second copy on, plus "
        f"{options.entropy} × the mean entropy of the attention rows, plus {options.overlap} × "
        "the overlap of the rows of layer 0's heads; recurring characters from "
        f"{REPEATS_FROM:.0%} of the steps on; AdamW, rate {RATE}, β (0.9, 0.98), weight decay "
        f"0.01, gradients clipped at 1, {WARM_UP} steps of warm-up, cosine; batches of {BATCH}",
        "seed": options.seed,
        "training_seconds": round(seconds),
        "threads": 1,
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "figures_text": texts,
        "limits": [
            "It knows no language: it can only continue what has already occurred in the text.",
            f"Characters: {''.join(CHARACTERS[2:])}; spaces are skipped, all others are [UNK].",
            "It compares two or three characters, no more: where the same ones occurred before "
            "with different continuations, it may choose the wrong one.",
            f"Trained on texts of {N_TOKEN} tokens; on much longer texts, and with blocks longer "
            "than about 40, it makes more and more mistakes.",
            "Another seed can find another mechanism that predicts these texts equally well: seed "
            "1 did so without a previous-token head and without induction heads.",
        ],
    }


@torch.no_grad()
def save_golden(path: Path, model: Transformer) -> None:
    """Ids, logits and weights by record id, for checks of another implementation."""
    index = {character: i for i, character in enumerate(CHARACTERS)}
    ids = np.array([[BEGIN, *(index[c] for c in text)] for text in GOLDEN_TEXTS])
    logits, attentions = model(torch.from_numpy(ids))
    arrays = {id: weights.numpy() for id, weights in attentions.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, source=ids, logits=logits.numpy(), **arrays)


if __name__ == "__main__":
    main()
