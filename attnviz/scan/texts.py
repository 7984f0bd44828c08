"""Lines -> what a model reads, put together by length."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.models.run.inputs import as_input, read_target, read_text
from attnviz.nn.embedding import Input
from attnviz.tokens import Tokens


class Text(NamedTuple):
    """What a model reads at once: streams of tokens by name."""

    streams: Mapping[str, Tokens]

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(len(tokens) for tokens in self.streams.values())


def read_line(model: Model, line: str, max_length: int) -> list[Text]:
    """One text; several windows of at most `max_length` tokens where the line is longer.

    An encoder-decoder reads `SOURCE<TAB>TARGET`.

    Raises:
        AttnvizError: the model cannot read this line.
    """
    unlimited = model._replace(max_tokens=None)
    if model.kind != "encoder-decoder":
        return [Text({"source": part}) for part in windows(read_text(unlimited, line), max_length)]
    source, tab, target = line.partition("\t")
    if not tab or not source.strip() or not target.strip():
        raise AttnvizError(
            f"{model.name} reads SOURCE<TAB>TARGET, got {line!r:.60}", "one tab in each line"
        )
    pair = Text({"source": read_text(unlimited, source), "target": read_target(unlimited, target)})
    if max(pair.lengths) > max_length:
        raise AttnvizError(
            f"a pair is not cut, and this one has {max(pair.lengths)} tokens; expected at most "
            f"{max_length}",
            "shorten it",
        )
    return [pair]


def windows(tokens: Tokens, max_length: int) -> list[Tokens]:
    """Parts of at most `max_length` tokens, none of them twice; what the tokenizer added before and
    behind the text is in each."""
    if len(tokens) <= max_length:
        return [tokens]
    special, unknown = set(tokens.special), set(tokens.unknown)
    inner = [i for i in range(len(tokens)) if i not in special] or [0]
    before = [i for i in sorted(special) if i < inner[0]]
    behind = [i for i in sorted(special) if i > inner[-1]]
    text = list(range(inner[0], inner[-1] + 1))
    n_text = max_length - len(before) - len(behind)
    if n_text < 1:
        raise AttnvizError(
            f"{len(before) + len(behind)} tokens stand around each text; a window of {max_length} "
            "has no room for it",
            f"--longest {len(before) + len(behind) + 1}",
        )
    return [
        _taken(tokens, special, unknown, [*before, *text[start : start + n_text], *behind])
        for start in range(0, len(text), n_text)
    ]


def batches(texts: Sequence[Text], capacity: int) -> Iterator[list[Text]]:
    """Texts of the same lengths together, so that none needs padding, and no more of them than
    have `capacity` pairs of a query and a key."""
    for lengths, group in groupby(sorted(texts, key=lambda t: t.lengths), lambda t: t.lengths):
        same = list(group)
        step = max(1, capacity // max(lengths) ** 2)
        for start in range(0, len(same), step):
            yield same[start : start + step]


def batch_inputs(model: Model, texts: Sequence[Text]) -> dict[str, Input]:
    """What the transformer reads of texts of one length: [n_text, n_token] ids, and so on."""
    batch = {}
    every = [text_inputs(model, text) for text in texts]
    for name in texts[0].streams:
        inputs = [each[name] for each in every]
        batch[name] = Input(
            ids=_stacked([each.ids for each in inputs]),
            segments=_stacked([each.segments for each in inputs]),
            pieces=_stacked([each.pieces for each in inputs]),
        )
    return batch


def text_inputs(model: Model, text: Text) -> dict[str, Input]:
    """What the transformer reads of one text: [n_token] ids, and so on."""
    return {
        name: as_input(model, tokens, target=name == "target")
        for name, tokens in text.streams.items()
    }


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [array for array in arrays if array is not None]
    return np.stack(present) if present else None


def _taken(
    tokens: Tokens, special: Collection[int], unknown: Collection[int], indices: Sequence[int]
) -> Tokens:
    return Tokens(
        tokens=tuple(tokens.tokens[i] for i in indices),
        ids=tuple(tokens.ids[i] for i in indices),
        labels=tuple(tokens.labels[i] for i in indices),
        segments=tuple(tokens.segments[i] for i in indices) if tokens.segments else (),
        special=tuple(new for new, old in enumerate(indices) if old in special),
        unknown=tuple(new for new, old in enumerate(indices) if old in unknown),
    )
