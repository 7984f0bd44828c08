"""Train `tagger`, an English part-of-speech tagger, or a sibling that sees less.

    python samples/training/tagger.py --wordnet FOLDER --model tagger --out FOLDER --also 1 2

- `tagger`: two layers of attention, every word sees the whole sentence;
- `tagger-window`: a fully connected net over a word and two neighbours on either side;
- `tagger-word`: each word by itself.

The data and how they are tagged: tagger_corpus.py; where WordNet is had: tagger_wordnet.py.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stack import Transformer, round_to_half, save_model
from tagger_corpus import MOST_WORDS, TAGS, Corpus, Example, read_corpus
from tagger_wordnet import WordNet
from torch import Tensor
from torch.nn import functional as F

from attnviz.models.tokenizers.pieces import N_PIECE_OF_WORD, word_pieces
from attnviz.tokens import split_words

STACKS: dict[str, dict[str, Any]] = {
    "tagger": {
        "mix": "attention",
        "layers": 2,
        "d_model": 64,
        "d_ff": 128,
        "positions": "rope:base=100",
    },
    "tagger-window": {"mix": "window:reach=2", "layers": 1, "d_model": 48, "d_ff": 128},
    "tagger-word": {"mix": "none", "layers": 2, "d_model": 48, "d_ff": 128},
}
COMMON = {"kind": "encoder", "heads": 4, "norm_place": "pre", "activation": "gelu"}
"""Fields of the stack that all three share."""

MIN_COUNT = 20
"""A word seen less often has no vector of its own, only pieces."""
N_PIECE = 896
STEPS = 5400
BATCH = 64
RATE = 3e-3
WORD_DROPOUT = 0.2
"""The share of words read as [UNK] in training, so that their pieces and neighbours must do."""
PIECE_NOISE = 0.1
"""The share of pieces read as some other piece in training."""
WEIGHT_DECAY = 0.1
SHARPEN = 0.003
"""Weight of the mean entropy of attention in the loss: heads that look at few words."""
SENTENCES = (
    "I saw a saw", "He will saw the saw", "The saw is sharp", "I can can a can",
    "They book a book", "time flies like an arrow", "fruit flies like a banana",
    "We watch the watch", "The old man the boat", "She left the left bank",
)  # fmt: skip


class Reader:
    """Words as numbers: ids of the known ones, and pieces of every one.

    Attention sees a set of words and the distances between them, and so cannot tell where a text
    begins and ends; a window sees zeros there. `bounded` puts [BOS] and [EOS] around each text.
    """

    def __init__(self, words: list[str], bounded: bool) -> None:
        self.words = words
        self.bounds = (["[BOS]"], ["[EOS]"]) if bounded else ([], [])
        self.n_before = len(self.bounds[0])
        self.ids = {word: id for id, word in enumerate(words)}
        self.pieces: dict[str, tuple[int, ...]] = {}

    @classmethod
    def of(cls, examples: Iterable[Example], bounded: bool) -> Reader:
        counts = Counter(word.lower() for example in examples for word in example.words)
        known = sorted((word for word, n in counts.items() if n >= MIN_COUNT),
                       key=lambda word: (-counts[word], word))  # fmt: skip
        bounds = ["[BOS]", "[EOS]"] if bounded else []
        return cls(["[UNK]", *bounds, *known], bounded)

    def batch(self, texts: list[list[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids [n_text, n], pieces [n_text, n, n_piece], visible [n_text, n]."""
        before, after = self.bounds
        texts = [[*before, *words, *after] for words in texts]
        shape = len(texts), max(map(len, texts))
        ids, visible = np.zeros(shape, np.int64), np.zeros(shape, bool)
        pieces = np.zeros((*shape, N_PIECE_OF_WORD), np.int64)
        for row, words in enumerate(texts):
            ids[row, : len(words)] = [self._id(word) for word in words]
            pieces[row, : len(words)] = [self._pieces(word) for word in words]
            visible[row, : len(words)] = True
        return torch.from_numpy(ids), torch.from_numpy(pieces), torch.from_numpy(visible)

    def _id(self, word: str) -> int:
        return self.ids.get(word, self.ids.get(word.lower(), 0))

    def _pieces(self, word: str) -> tuple[int, ...]:
        if word not in self.pieces:
            self.pieces[word] = word_pieces(word, N_PIECE)
        return self.pieces[word]


def allowed_tags(examples: list[Example]) -> Tensor:
    """The tags that are not excluded [n_text, n, n_tag]: of padding, none is."""
    shape = len(examples), max(len(example.words) for example in examples)
    allowed = np.ones((*shape, len(TAGS)), bool)
    for row, example in enumerate(examples):
        allowed[row, : len(example.words)] = [_row(choices) for choices in example.choices]
    return torch.from_numpy(allowed)


@functools.cache
def _row(choices: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(tag in choices for tag in TAGS)


def excluded_mass(logits: Tensor, allowed: Tensor) -> Tensor:
    """Minus the logarithm of the probability of the allowed tags, mean over the words of which
    some tag is excluded; with one allowed tag this is cross-entropy."""
    right = logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)
    surprise = logits.logsumexp(-1) - right
    return surprise.sum() / (~allowed).any(-1).sum()


def batches(examples: list[Example], rng: random.Random) -> Iterator[list[Example]]:
    """Without end: examples of like length together, so that little is padding."""
    while True:
        shuffled = rng.sample(examples, len(examples))
        pools = [shuffled[i : i + 50 * BATCH] for i in range(0, len(shuffled), 50 * BATCH)]
        for pool in pools:
            pool.sort(key=lambda example: len(example.words))
            epoch = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
            rng.shuffle(epoch)
            yield from epoch


def train(name: str, reader: Reader, corpus: Corpus, steps: int, seed: int) -> Transformer:
    """A trained model, its weights rounded to what the file holds."""
    torch.manual_seed(seed)
    reads = {"n_token": len(reader.words), "n_piece": N_PIECE}
    model = Transformer({**COMMON, **STACKS[name]}, len(TAGS), reads)
    optimiser = torch.optim.AdamW(
        model.parameters(), RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, max(steps, 20), pct_start=0.1)
    source = batches(corpus.training, random.Random(seed))
    for step in range(steps):
        examples = next(source)
        ids, pieces, visible = reader.batch([example.words for example in examples])
        ids = ids * (torch.rand(ids.shape) >= WORD_DROPOUT)
        noise = torch.randint(N_PIECE, pieces.shape)
        pieces = torch.where(torch.rand(pieces.shape) < PIECE_NOISE, noise, pieces)
        logits, attentions = model(ids, pieces=pieces, visible=visible)
        allowed = allowed_tags(examples)
        loss = excluded_mass(logits[:, reader.n_before :][:, : allowed.shape[1]], allowed)
        for weights in attentions.values():
            entropy = -(weights * (weights + 1e-9).log()).sum(-1).mean(1)  # [n_text, n]
            loss = loss + SHARPEN * entropy[visible].mean() / len(attentions)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"seed {seed}, step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    round_to_half(model)
    return model


def probabilities(
    model: Transformer,
    reader: Reader,
    texts: list[list[str]],
    scale_heads: dict[str, Tensor] | None = None,
) -> list[Tensor]:
    """For each text the probabilities of the tags [n, n_tag]."""
    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(texts), 200):
            part = texts[start : start + 200]
            ids, pieces, visible = reader.batch(part)
            logits, _ = model(ids, pieces=pieces, visible=visible, scale_heads=scale_heads)
            rows = logits.softmax(-1)[:, reader.n_before :]
            found += [row[: len(words)] for row, words in zip(rows, part, strict=True)]
    return found


def figures(
    model: Transformer,
    reader: Reader,
    examples: list[Example],
    corpus: Corpus,
    scale_heads: dict[str, Tensor] | None = None,
) -> dict[str, float]:
    """Accuracies on the certain tags, and the numbers of words that they are of."""
    right, n = Counter[str](), Counter[str]()
    texts = [example.words for example in examples]
    found = probabilities(model, reader, texts, scale_heads)
    for example, p in zip(examples, found, strict=True):
        best = p.argmax(-1).tolist()
        for i, tag in enumerate(example.tags):
            if tag is not None:
                for kind in kinds(example, i, reader, corpus):
                    n[kind] += 1
                    right[kind] += tag == TAGS[best[i]]
    accuracies = {f"accuracy{kind}": round(right[kind] / n[kind], 4) for kind in KINDS if n[kind]}
    return accuracies | {f"n{kind}": n[kind] for kind in KINDS}


KINDS = {
    "": "words whose tag is certain",
    "_ambiguous": "nouns and verbs among them that occur in the training text both as a certain "
    "noun and as a certain verb",
    "_noun_or_verb": "nouns and verbs (by synset) that WordNet lists as both",
    "_noun_or_verb_near": "nouns and verbs (by synset) that WordNet lists as both, in examples "
    "with no word more than two places away",
    "_noun_or_verb_far": "nouns and verbs (by synset) that WordNet lists as both, in examples "
    "with a word more than two places away",
    "_unknown": "unknown words, read by their pieces",
}


def kinds(example: Example, i: int, reader: Reader, corpus: Corpus) -> list[str]:
    """What the word at place i, whose tag is certain, counts for."""
    word, tag = example.words[i].lower(), example.tags[i]
    noun_or_verb = tag in ("NOUN", "VERB")
    known_as_both = noun_or_verb and i in example.heads and word in corpus.noun_and_verb
    far = max(i, len(example.words) - 1 - i) > 2
    belongs = {
        "": True,
        "_ambiguous": noun_or_verb and word in corpus.ambiguous,
        "_noun_or_verb": known_as_both,
        "_noun_or_verb_near": known_as_both and not far,
        "_noun_or_verb_far": known_as_both and far,
        "_unknown": word not in reader.ids,
    }
    return [kind for kind in KINDS if belongs[kind]]


def head_figures(
    model: Transformer, reader: Reader, examples: list[Example], corpus: Corpus
) -> dict[str, float]:
    """Accuracy on the ambiguous words with each head taken out (its context as 0)."""
    examples = [e for e in examples if any(word.lower() in corpus.ambiguous for word in e.words)]
    found = {}
    for id, head in heads(model):
        without = figures(model, reader, examples, corpus, out(id, head))
        found[f"accuracy_ambiguous_without_{short(id, head)}"] = without["accuracy_ambiguous"]
    return found


def describe_heads(
    model: Transformer, reader: Reader, text: str, first: int, second: int
) -> list[str]:
    """What each head does for the two places of a word that is VERB first and NOUN second."""
    words = text.split()
    read = [*reader.bounds[0], *words, *reader.bounds[1]]
    ids, pieces, visible = reader.batch([words])
    with torch.no_grad():
        _, attentions = model(ids, pieces=pieces, visible=visible)
    lines = []
    for id, head in heads(model):
        [p] = probabilities(model, reader, [words], out(id, head))
        looks = []
        for place in (first, second):
            weights = attentions[id][0, head, place + reader.n_before]
            key = int(weights.argmax())
            looks.append(f"{words[place]} looks at {read[key]} {key} ({weights[key]:.2f})")
        verb, noun = p[first, TAGS.index("VERB")], p[second, TAGS.index("NOUN")]
        lines.append(
            f"{short(id, head)}: {', '.join(looks)}; without it VERB {verb:.2f}, NOUN {noun:.2f}"
        )
    return lines


def heads(model: Transformer) -> list[tuple[str, int]]:
    """The heads as record id and number."""
    assert model.encoder is not None
    blocks = dict(model.encoder.named_children())
    layers = [name for name, block in blocks.items() if hasattr(block, "self")]
    return [(f"encoder.{layer}.self", head) for layer in layers for head in range(COMMON["heads"])]


def out(id: str, head: int) -> dict[str, Tensor]:
    return {id: 1 - F.one_hot(torch.tensor(head), COMMON["heads"]).float()}


def short(id: str, head: int) -> str:
    return f"L{id.split('.')[1]}.H{head}"


def tag_text(model: Transformer, reader: Reader, text: str) -> str:
    words = split_words(text)
    [p] = probabilities(model, reader, [words])
    return " ".join(
        f"{word}/{TAGS[i]}" for word, i in zip(words, p.argmax(-1).tolist(), strict=True)
    )


def sample(corpus: Corpus, size: int = 600) -> list[Example]:
    """Held-out examples for the tests: all with an ambiguous word, the others evenly spread."""
    chosen, others = [], []
    for e in corpus.held_out:
        tagged = zip(e.words, e.tags, strict=True)
        ambiguous = any(t in ("NOUN", "VERB") and w.lower() in corpus.ambiguous for w, t in tagged)
        (chosen if ambiguous else others).append(e)
    n = size - len(chosen)
    return chosen + [others[i * len(others) // n] for i in range(n)]


def write_sample(path: Path, corpus: Corpus) -> None:
    examples = sample(corpus)
    words = {word.lower() for e in examples for word in e.words}
    content = {
        "source": "usage examples of WordNet 3.0, Copyright 2006 by Princeton University; "
        "see WORDNET-LICENSE.txt in attnviz/models/packaged",
        "ambiguous": sorted(words & corpus.ambiguous),
        "examples": [{"text": e.text, "words": e.words, "tags": e.tags} for e in examples],
    }
    data = json.dumps(content, ensure_ascii=False).encode()
    path.write_bytes(gzip.compress(data, mtime=0))


def write_golden(path: Path, model: Transformer, reader: Reader) -> None:
    """Inputs, logits and attention weights of a few texts, in float32."""
    arrays: dict[str, Any] = {}
    for i, text in enumerate((*SENTENCES[:2], "The zorbling Frimbles didn't re-read it in 1999 .")):
        ids, pieces, visible = reader.batch([split_words(text)])
        with torch.no_grad():
            logits, attentions = model(ids, pieces=pieces, visible=visible)
        arrays |= {f"{i}/text": text, f"{i}/ids": ids[0], f"{i}/pieces": pieces[0]}
        arrays |= {f"{i}/logits": logits[0]}
        arrays |= {f"{i}/{id}/weights": weights[0] for id, weights in attentions.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{name: np.asarray(array) for name, array in arrays.items()})


def other_figures(reader: Reader, corpus: Corpus, args: argparse.Namespace) -> dict[str, float]:
    """Accuracies of models of other seeds, which are not shipped."""
    found = {}
    for seed in args.also:
        model = train(args.model, reader, corpus, args.steps, seed)
        measured = figures(model, reader, corpus.held_out, corpus)
        found |= {f"{k}_seed_{seed}": v for k, v in measured.items() if k.startswith("accuracy")}
    return found


def card(model: Transformer, reader: Reader, corpus: Corpus, args: argparse.Namespace,
         seconds: float, others: dict[str, float]) -> dict[str, Any]:  # fmt: skip
    measured = figures(model, reader, corpus.held_out, corpus)
    chosen = figures(model, reader, sample(corpus), corpus)
    names = ("accuracy", "accuracy_ambiguous", "n", "n_ambiguous")
    measured |= {f"sample_{name}": chosen[name] for name in names if name in chosen}
    texts = {name: _explain(name) for name in measured}
    without = head_figures(model, reader, corpus.held_out, corpus)
    texts |= {
        name: f"accuracy_ambiguous with the context of head {name.rpartition('_')[2]} set to 0"
        for name in without
    }
    texts |= {
        name: f"as {name.partition('_seed_')[0]}, for a model trained with another seed"
        for name in others
    }
    also = " --also " + " ".join(map(str, args.also)) if args.also else ""
    return {
        "name": args.model,
        **ABOUT[args.model],
        "data": f"{len(corpus.training):,} usage examples of WordNet 3.0, and "
        f"{len(corpus.held_out):,} held out by a hash of the text, tagged by rule where the tag is "
        "certain; no other text and no teacher model: see tagger_corpus.py",
        "data_licence": LICENCE,
        "licence": "MIT",
        "recipe": f"samples/training/tagger.py --model {args.model} --steps {args.steps} "
        f"--seed {args.seed}{also}: minus log probability of the tags that are not excluded"
        + (f" + {SHARPEN} x mean entropy of attention" if heads(model) else "")
        + f", AdamW {RATE}, weight decay {WEIGHT_DECAY}, batches of {BATCH} texts",
        "seed": args.seed,
        "training_seconds": round(seconds),
        "threads": 1,
        "figures": measured | without | others,
        "figures_text": texts,
        "tagged": [tag_text(model, reader, text) for text in SENTENCES],
        "heads": describe_heads(model, reader, SENTENCES[0], 1, 3),
        "limits": LIMITS,
    }


def _explain(name: str) -> str:
    where = "held-out examples"
    if name.startswith("sample_"):
        name, where = name.removeprefix("sample_"), "the examples of tagger-heldout.json.gz"
    what, kind = ("share tagged correctly", name.removeprefix("accuracy"))
    if name.startswith("n"):
        what, kind = "number", name.removeprefix("n")
    return f"{what}: {KINDS[kind]}; {where}"


TASK = (
    "Tags each word of an English text with its part of speech (Universal Dependencies tags); "
    "unknown words are recognised by their endings, beginnings and shape. "
)
ABOUT = {
    "tagger": {
        "title": "English part-of-speech tagger: two layers of four heads",
        "task_text": TASK + "The heads show which neighbours tell a noun from a verb.",
    },
    "tagger-window": {
        "title": "Part-of-speech tagger without attention: two words on either side",
        "task_text": TASK + "A sibling of `tagger` for comparison: a fully connected net that sees "
        "a word and two neighbours on either side.",
    },
    "tagger-word": {
        "title": "Part-of-speech tagger without context: each word by itself",
        "task_text": TASK + "A sibling of `tagger` for comparison: the same word has the same tag "
        "in every sentence.",
    },
}
LICENCE = (
    "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved. Used, modified and "
    "distributed under the WordNet 3.0 licence, without warranty; its text is in "
    "WORDNET-LICENSE.txt. The name of Princeton University may not be used in advertising."
)
LIMITS = [
    "Trained and measured on short usage examples, many of them phrases, with tags that follow "
    "from rules: the figures say little about other texts, and they leave out the hard words, "
    "which no rule decides.",
    "A headword is tagged by the class of its synset, and examples are chosen to illustrate it: "
    "ambiguous words are easier there than in running text.",
    "Forms of be are always AUX, possessives PRON, verb particles ADP; a contraction has the tag "
    "of its first part; a sign such as % is PUNCT; SYM and X are not used.",
    "Trained on texts of at most 30 words; it reads longer ones, but was not measured on them.",
    "On words that can be noun or verb, attention is only about one percentage point better than "
    "the window of two words (mean of three seeds; the shipped models tie on accuracy_ambiguous), "
    "and no better on the examples used to choose the settings. Most of its gain is in examples "
    "with words more than two places away; a quarter of these words are in shorter ones.",
    "INTJ, SCONJ and PROPN are rare in the data and tagged less well.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--model", choices=STACKS, default="tagger")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also", type=int, nargs="*", default=[], help="more seeds, to report")
    parser.add_argument("--golden", type=Path, help="an .npz of inputs, logits and weights")
    parser.add_argument("--sample", type=Path, help="a .json.gz of held-out examples")
    args = parser.parse_args()

    torch.set_num_threads(1)
    corpus = read_corpus(WordNet(args.wordnet))
    reader = Reader.of(corpus.training, bounded=args.model == "tagger")
    stack = {**COMMON, **STACKS[args.model]}
    source = {"reads": "words", "lower": True, "words": reader.words, "n_piece": N_PIECE}
    if reader.n_before:
        source |= {"begin": "[BOS]", "end": "[EOS]", "close": True}

    start = time.monotonic()
    model = train(args.model, reader, corpus, args.steps, args.seed)
    seconds = time.monotonic() - start
    config = {
        "stack": stack,
        "task": "tag",
        "labels": list(TAGS),
        "source": source,
        "trained_tokens": MOST_WORDS + 2 * reader.n_before,
    }
    others = other_figures(reader, corpus, args)
    content = card(model, reader, corpus, args, seconds, others)
    save_model(args.out, model, config, content)
    if args.golden:
        write_golden(args.golden, model, reader)
    if args.sample:
        write_sample(args.sample, corpus)
    for name, value in content["figures"].items():
        print(f"{name:40} {value}")
    print("\n".join(content["tagged"] + content["heads"]))


if __name__ == "__main__":
    main()
