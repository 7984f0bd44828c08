"""Train `phrases`, which translates short Chinese phrases into English.

    python samples/training/phrases.py --out FOLDER --compare

Where the phrases come from, and which are held out: phrases_grammar.py; what its card says:
phrases_card.py. One head of cross-attention
is told the true alignment while it learns (`ALIGNED`); `--compare` trains the same model once more
without that, to see what the heads do by themselves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from phrases_card import CARD, FIGURES_TEXT
from phrases_grammar import (
    MAX_CHARACTERS,
    Example,
    training,
    unseen,
    unseen_pairs,
    vocabulary,
)
from stack import Attentions, Transformer, round_to_half, save_model
from torch import Tensor
from torch.nn import functional as F

from attnviz.tokens import split_words

STACK: dict[str, Any] = {
    "kind": "encoder-decoder",
    "layers": 2,
    "heads": 4,
    "d_model": 48,
    "d_ff": 64,
    "norm_place": "pre",
    "activation": "gelu",
    "positions": "rope",
}
ALIGNED = "decoder.1.cross", 0
"""The record and the head that the alignment loss is for."""
ALIGN = 0.1
"""The weight of that loss."""
STEPS = 6000
BATCH = 96
RATE = 4e-3
UNKNOWN = 0.03
"""The share of phrases in which one word is made unknown, on both sides."""
MAX_WORDS = 48
NAMED = (
    ("早上好！", "Good morning!"),
    ("早上好", "Good morning"),
    ("你好！", "Hello!"),
    ("好", "Good"),
    ("我看见了一把锯子", "I saw a saw"),
    ("我看见了一把锯子。", "I saw a saw."),
    ("昨天我在桌子上找到了两本书。", "I found two books on the table yesterday."),
)


class Reader:
    """Phrases as numbers."""

    def __init__(self) -> None:
        characters, words = vocabulary()
        self.characters = ["[UNK]", "[EOS]", *characters]
        self.words = ["[UNK]", "[BOS]", "[EOS]", *words]
        self.character_ids = {token: id for id, token in enumerate(self.characters)}
        self.word_ids = {token: id for id, token in enumerate(self.words)}

    def source(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Ids of the characters and of the end [n_text, n_k], and where there are any."""
        rows = [[*(self.character_ids.get(char, 0) for char in text), 1] for text in texts]
        visible = _padded([[1] * len(row) for row in rows], 0).bool()
        return _padded(rows, 0), visible

    def target(self, texts: list[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
        """What the decoder reads [n_text, n_q] and what it should say; -100 is padding."""
        rows = [[self.word_ids.get(word, 0) for word in text] for text in texts]
        return _padded([[1, *row] for row in rows], 0), _padded([[*row, 2] for row in rows], -100)

    def alignment(self, examples: list[Example], n_q: int, n_k: int) -> Tensor:
        """Whether a word comes from a character [n_text, n_q, n_k]: row i is the word that the
        decoder says at step i, when it has read the words before it."""
        aligned = torch.zeros(len(examples), n_q, n_k, dtype=torch.bool)
        for row, example in enumerate(examples):
            for word, origins in enumerate(example.alignment):
                aligned[row, word, list(origins)] = True
        return aligned


def _padded(rows: list[list[int]], value: int) -> Tensor:
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def with_unknown(example: Example, rng: Random) -> Example:
    """One word made unknown: its characters, and every English word that comes from them."""
    gone = set(rng.choice([origins for origins in example.alignment if origins]))
    source = "".join("\0" if i in gone else char for i, char in enumerate(example.source))
    pairs = zip(example.target, example.alignment, strict=True)
    target = tuple("[UNK]" if gone & set(origins) else word for word, origins in pairs)
    return Example(source, target, example.alignment, example.kind, example.pairs)


def batches(seed: int) -> Iterator[list[Example]]:
    rng = Random(seed)
    examples = training(rng)
    while True:
        batch = [next(examples) for _ in range(BATCH)]
        yield [with_unknown(e, rng) if rng.random() < UNKNOWN else e for e in batch]


def align_loss(attentions: Attentions, aligned: Tensor) -> Tensor:
    """How little of its attention the aligned head gives to the right characters: -log, a mean."""
    name, head = ALIGNED
    mass = (attentions[name][:, head] * aligned).sum(-1)
    return -(mass[aligned.any(-1)] + 1e-6).log().mean()


def train(reader: Reader, steps: int, seed: int, align: float) -> Transformer:
    torch.manual_seed(seed)
    sizes = {"n_token": len(reader.characters)}, {"n_token": len(reader.words)}
    model = Transformer(STACK, len(reader.words), *sizes)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, max(steps, 10), pct_start=0.05)
    source = batches(seed)
    for step in range(steps):
        examples = next(source)
        ids, visible = reader.source([example.source for example in examples])
        given, wanted = reader.target([example.target for example in examples])
        logits, attentions = model(ids, given, visible=visible)
        loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        if align:
            aligned = reader.alignment(examples, given.shape[1], ids.shape[1])
            loss = loss + align * align_loss(attentions, aligned)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)
    round_to_half(model)
    return model


@torch.no_grad()
def translate(model: Transformer, reader: Reader, texts: list[str]) -> list[tuple[str, ...]]:
    """The likeliest next word, again and again, until the end."""
    ids, visible = reader.source(texts)
    given = torch.ones(len(texts), 1, dtype=torch.long)
    for _ in range(MAX_WORDS):
        said = model(ids, given, visible=visible)[0][:, -1].argmax(-1, keepdim=True)
        given = torch.cat([given, said], 1)
        if (given == 2).any(1).all():
            break
    rows = [[*row[1:], 2] for row in given.tolist()]
    return [tuple(reader.words[id] for id in row[: row.index(2)]) for row in rows]


@torch.no_grad()
def agreement(model: Transformer, reader: Reader, examples: list[Example]) -> dict[str, np.ndarray]:
    """For each cross-attention, over the aligned words, whether a head's greatest weight is on a
    character that the word comes from, and its weight on those: [2, n_head] sums, and their n."""
    ids, visible = reader.source([example.source for example in examples])
    given, _ = reader.target([example.target for example in examples])
    aligned = reader.alignment(examples, given.shape[1], ids.shape[1])
    counted = aligned.any(-1)
    sums: dict[str, np.ndarray] = {"n": counted.sum().numpy()}
    for name, weights in model(ids, given, visible=visible)[1].items():
        if name.endswith("cross"):
            right = aligned[:, None].expand_as(weights)
            hit = right.gather(-1, weights.argmax(-1, keepdim=True))[..., 0].transpose(1, 2)
            mass = (weights * right).sum(-1).transpose(1, 2)
            sums[name] = np.stack([x[counted].float().sum(0).numpy() for x in (hit, mass)])
    return sums


def measure(model: Transformer, reader: Reader, examples: list[Example]) -> dict[str, Any]:
    """The share of exact translations, and for each head its alignment and mass [2, n_head]:
    over all the phrases given the true words, and over the exact ones, as it decoded them."""
    right: list[Example] = []
    for part in _hundreds(examples):
        said = translate(model, reader, [example.source for example in part])
        right += [e for words, e in zip(said, part, strict=True) if words == e.target]
    return {
        "exact": len(right) / len(examples),
        "heads": _alignment(model, reader, examples),
        "decoded": _alignment(model, reader, right or examples),
    }


def _alignment(
    model: Transformer, reader: Reader, examples: list[Example]
) -> dict[str, np.ndarray]:
    sums: dict[str, Any] = {}
    for part in _hundreds(examples):
        for name, value in agreement(model, reader, part).items():
            sums[name] = sums.get(name, 0) + value
    n = sums.pop("n")
    return {name: value / n for name, value in sums.items()}


def _hundreds(examples: list[Example]) -> list[list[Example]]:
    return [examples[start : start + 100] for start in range(0, len(examples), 100)]


def diagonal(examples: list[Example]) -> float:
    """The alignment of no model at all: word i of n with character i / n of the way."""
    hits = [
        int((i + 0.5) / len(example.target) * len(example.source)) in origins
        for example in examples
        for i, origins in enumerate(example.alignment)
        if origins
    ]
    return sum(hits) / len(hits)


def figures_of(found: dict[str, Any], prefix: str = "") -> dict[str, float]:
    name, head = ALIGNED
    hit, mass = found["heads"][name][:, head]
    values = {"exact": found["exact"], "alignment": hit, "alignment_mass": mass}
    return {prefix + key: round(float(value), 4) for key, value in values.items()}


def each_head(found: dict[str, Any], prefix: str = "alignment") -> dict[str, float]:
    return {
        f"{prefix}.{name}.H{head}": round(float(hit), 4)
        for name, (hits, _) in found["heads"].items()
        for head, hit in enumerate(hits)
    }


def all_figures(model: Transformer, reader: Reader, n_test: int) -> dict[str, float]:
    test = unseen(n_test, seed=1)
    whole = measure(model, reader, test)
    figures = figures_of(whole)
    name, head = ALIGNED
    figures["alignment_decoded"] = round(float(whole["decoded"][name][0, head]), 4)
    figures |= figures_of(measure(model, reader, test[:200]), "sample_")
    figures |= figures_of(measure(model, reader, unseen_pairs(n_test, seed=1)), "pairs_")
    for key, low, high in (("short", 0, 8), ("middle", 9, 16), ("long", 17, MAX_CHARACTERS)):
        group = [example for example in test if low <= len(example.source) <= high]
        figures |= {f"exact_{key}": round(measure(model, reader, group or test)["exact"], 4)}
    figures["alignment_diagonal"] = round(diagonal(test), 4)
    return figures | each_head(whole)


def without_alignment_loss(reader: Reader, options: argparse.Namespace) -> dict[str, float]:
    """The same recipe without being told the alignment: what the heads do by themselves."""
    model = train(reader, options.steps, options.seed, align=0)
    found = measure(model, reader, unseen(options.n_test, seed=1))
    exact = {"exact_without_loss": round(found["exact"], 4)}
    return exact | each_head(found, "alignment_without_loss")


def recipe_of(options: argparse.Namespace) -> str:
    return (
        "python samples/training/phrases.py --compare; "
        f"{options.steps} steps of {BATCH} phrases, AdamW (rate {RATE}, betas 0.9 and 0.98, decay "
        "0.01), warm-up and cosine (OneCycleLR), gradients clipped at 1; loss: cross-entropy of "
        f"the next word + {options.align} times -log of the weight of {ALIGNED[0]} head "
        f"{ALIGNED[1]} on the aligned characters; in {UNKNOWN:.0%} of the phrases one word is made "
        "unknown on both sides"
    )


def config_of(reader: Reader) -> dict[str, Any]:
    source = {"reads": "characters", "characters": reader.characters, "unknown": "[UNK]",
              "end": "[EOS]", "close": True}  # fmt: skip
    target = {"reads": "words", "lower": False, "words": reader.words, "unknown": "[UNK]",
              "begin": "[BOS]", "end": "[EOS]"}  # fmt: skip
    config = {"stack": STACK, "task": "continue", "source": source, "target": target}
    aligned = f"{ALIGNED[0]}.H{ALIGNED[1]}"
    return {**config, "max_tokens": MAX_CHARACTERS + 1, "alignment_head": aligned}


def save_golden(path: Path, model: Transformer, reader: Reader) -> None:
    """What the rounded model computes for two of the named phrases, read as `NAMED` has them."""
    arrays: dict[str, np.ndarray] = {}
    for i, (chinese, english) in enumerate((NAMED[0], NAMED[5])):
        ids, visible = reader.source([chinese])
        given, _ = reader.target([tuple(split_words(english))])
        with torch.no_grad():
            logits, attentions = model(ids, given, visible=visible)
        arrays |= {f"{i}/source": ids[0].numpy(), f"{i}/target": given[0].numpy()}
        arrays |= {f"{i}/{name}": weights[0].numpy() for name, weights in attentions.items()}
        arrays[f"{i}/logits"] = logits[0].numpy()
    np.savez_compressed(path, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--align", type=float, default=ALIGN, help="weight of the alignment loss")
    parser.add_argument("--compare", action="store_true", help="train once more without that loss")
    parser.add_argument("--n-test", type=int, default=2000, help="phrases the figures are of")
    parser.add_argument("--golden", type=Path, help="what the model computes, as .npz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    reader, start = Reader(), time.perf_counter()
    model = train(reader, options.steps, options.seed, options.align)
    seconds = round(time.perf_counter() - start)
    figures = all_figures(model, reader, options.n_test)
    for chinese, english in NAMED:
        print(f"{chinese}\t{' '.join(translate(model, reader, [chinese])[0])}\t(is {english})")
    if options.compare:
        figures |= without_alignment_loss(reader, options)
    for name, value in figures.items():
        print(f"{name}: {value}")
    card = {
        **CARD,
        "recipe": recipe_of(options),
        "seed": options.seed,
        "training_seconds": seconds,
        "threads": 1,
        "figures": figures,
        "figures_text": {name: FIGURES_TEXT[name] for name in figures},
    }
    save_model(options.out, model, config_of(reader), card)
    if options.golden:
        save_golden(options.golden, model, reader)


if __name__ == "__main__":
    main()
