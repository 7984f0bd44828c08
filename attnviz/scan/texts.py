"""Lines -> what a model reads, put together by length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def read_line(model: Model, line: str, longest: int) -> list[Text]:
    """One text; several windows of at most `longest` tokens where the line is longer.

    An encoder-decoder reads `SOURCE<TAB>TARGET`.

    Raises:
        AttnvizError: the model cannot read this line.
    """
    unlimited = model._replace(max_tokens=None)
    if model.kind != "encoder-decoder":
        return [Text({"source": part}) for part in windows(read_text(unlimited, line), longest)]
    source, tab, target = line.partition("\t")
    if not tab or not source.strip() or not target.strip():
        raise AttnvizError(
            f"{model.name} reads SOURCE<TAB>TARGET, got {line!r:.60}", "one tab in each line"
        )
    pair = Text({"source": read_text(unlimited, source), "target": read_target(unlimited, target)})
    if max(pair.lengths) > longest:
        raise AttnvizError(
            f"a pair is not cut, and this one has {max(pair.lengths)} tokens; expected at most "
            f"{longest}",
            "shorten it",
        )
    return [pair]


def windows(tokens: Tokens, longest: int) -> list[Tokens]:
    """Parts of at most `longest` tokens, none of them twice; what the tokenizer added before and
    behind the text is in each."""
    if len(tokens) <= longest:
        return [tokens]
    special = set(tokens.special)
    inner = [place for place in range(len(tokens)) if place not in special] or [0]
    before = [place for place in sorted(special) if place < inner[0]]
    behind = [place for place in sorted(special) if place > inner[-1]]
    text = list(range(inner[0], inner[-1] + 1))
    room = longest - len(before) - len(behind)
    if room < 1:
        raise AttnvizError(
            f"{len(before) + len(behind)} tokens stand around each text; a window of {longest} "
            "has no room for it",
            f"--longest {len(before) + len(behind) + 1}",
        )
    return [
        _taken(tokens, [*before, *text[start : start + room], *behind])
        for start in range(0, len(text), room)
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
    found = {}
    for name in texts[0].streams:
        inputs = [as_input(model, text.streams[name], target=name == "target") for text in texts]
        found[name] = Input(
            ids=_stacked([given.ids for given in inputs]),
            segments=_stacked([given.segments for given in inputs]),
            pieces=_stacked([given.pieces for given in inputs]),
        )
    return found


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [array for array in arrays if array is not None]
    return np.stack(present) if present else None


def _taken(tokens: Tokens, places: Sequence[int]) -> Tokens:
    special, unknown = set(tokens.special), set(tokens.unknown)
    return Tokens(
        tokens=tuple(tokens.tokens[place] for place in places),
        ids=tuple(tokens.ids[place] for place in places),
        labels=tuple(tokens.labels[place] for place in places),
        segments=tuple(tokens.segments[place] for place in places) if tokens.segments else (),
        special=tuple(i for i, place in enumerate(places) if place in special),
        unknown=tuple(i for i, place in enumerate(places) if place in unknown),
    )
