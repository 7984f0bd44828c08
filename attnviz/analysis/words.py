"""Pieces of words put together: the attention of words instead of tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace, read_only

MERGED = "pieces merged into words: sum over keys, mean over queries"

NO_ID = -1
"""The id of a word of several pieces."""


class _Words(NamedTuple):
    """Where each word begins, and how many tokens it has; [n_word]."""

    starts: Array
    sizes: Array


def merge_words(trace: Trace) -> Trace:
    """The trace with words for tokens: a weight is what the pieces of one word, on average, give
    to all pieces of another, so that rows still sum to 1. A cell is masked if all of its are.

    Only weights and masks can be merged: a word has no score. What else was kept is left out.

    Raises:
        AttnvizError: nothing says which tokens make a word, or no weights were kept.
    """
    if not any(tokens.words for tokens in trace.streams.values()):
        raise AttnvizError(
            "there are no pieces to merge: nothing says which tokens make a word",
            "--words is for checkpoints whose tokenizer cuts words into pieces",
        )
    words = {name: _words(tokens) for name, tokens in trace.streams.items()}
    return replace(
        trace,
        model=trace.model.with_notes(MERGED),
        streams={name: merge_tokens(tokens) for name, tokens in trace.streams.items()},
        records=tuple(_merged(r, words[r.queries], words[r.keys]) for r in trace),
        hidden_states={},
        logits=None,
        routing={},
    )


def merge_tokens(tokens: Tokens) -> Tokens:
    """The words of tokens that know them; else the tokens themselves."""
    if not tokens.words:
        return tokens
    starts, sizes = (array.tolist() for array in _words(tokens))
    alone = {start for start, size in zip(starts, sizes, strict=True) if size == 1}

    def first(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[start] for start in starts) if values else ()

    return Tokens(
        tokens=tuple(
            tokens.tokens[start] if start in alone else name
            for start, name in zip(starts, tokens.word_labels, strict=True)
        ),
        ids=tuple(tokens.ids[start] if start in alone else NO_ID for start in starts),
        labels=tokens.word_labels,
        segments=first(tokens.segments),
        special=_word_positions(tokens, tokens.special),
        unknown=_word_positions(tokens, tokens.unknown),
        tags=first(tokens.tags),
        generated=_word_positions(tokens, tokens.generated),
        roles=first(tokens.roles),
    )


def _word_positions(tokens: Tokens, positions: tuple[int, ...]) -> tuple[int, ...]:
    """The words that hold these tokens."""
    return tuple(sorted({tokens.words[position] for position in positions}))


def _words(tokens: Tokens) -> _Words:
    words = np.array(tokens.words or range(len(tokens)))
    _, starts, sizes = np.unique(words, return_index=True, return_counts=True)
    return _Words(starts, sizes)


def _merged(record: Record, queries: _Words, keys: _Words) -> Record:
    weights = record.stage("weights")
    sums = np.add.reduceat(weights, keys.starts, axis=-1, dtype=np.float64)
    totals = np.add.reduceat(sums, queries.starts, axis=-2)
    means = (totals / queries.sizes[:, None]).astype(weights.dtype)

    def blocks(reduce: np.ufunc, array: Array | None) -> Array | None:
        if array is None:
            return None
        by_key = reduce.reduceat(array, keys.starts, axis=-1)
        return read_only(reduce.reduceat(by_key, queries.starts, axis=-2))

    return Record(
        replace(record.site, merged_words=True),
        weights=read_only(means),
        mask=blocks(np.logical_or, record.mask),
        masked_by=blocks(np.minimum, record.masked_by),
    )
