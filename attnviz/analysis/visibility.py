"""Which keys the queries of a record see: by its mask or, where none was kept, by its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.nn.types import Bool
from attnviz.trace.record import Record

LATER_ROWS = 256
"""Rows that are looked at together for weights on later keys."""

GUESSED = "no mask is known; no weight lies above the diagonal"
"""Why an attention without a mask is taken for causal."""


def visible_cells(record: Record, head: int) -> Bool:
    """Which keys each query of a head sees, [n_q, n_k]; all of them if no mask was kept."""
    weights = record.stage("weights")
    if record.mask is None:
        return np.broadcast_to(np.True_, weights.shape[-2:])
    mask = record.mask[head % len(record.mask)] if record.mask.ndim == 3 else record.mask
    return np.asarray(mask, bool)


def visible_to(record: Record, heads: Sequence[int]) -> Bool:
    """Which keys each query of some heads sees, [n_q, n_k], or [n_head, n_q, n_k] where heads have
    masks of their own."""
    if record.mask is None or record.mask.ndim < 3:
        return visible_cells(record, 0)
    return np.asarray(record.mask[np.asarray(heads) % len(record.mask)], bool)


def visible_to_any(record: Record) -> Bool:
    """Which keys each query sees with any head, [n_q, n_k]; without a mask all of them, or those
    up to the query if the weights look causal."""
    if record.mask is not None:
        return np.asarray(record.mask.any(0) if record.mask.ndim == 3 else record.mask, bool)
    every = np.ones(record.stage("weights").shape[-2:], bool)
    return np.tril(every) if looks_causal(record) else every


def looks_causal(record: Record) -> bool:
    """Whether no mask was kept of a self-attention whose queries give nothing to later keys, and
    there are enough of them not to be so by chance."""
    if record.mask is not None or record.kind != "self":
        return False
    weights = record.stage("weights")
    n_q, n_k = weights.shape[-2:]
    if not n_q == n_k > 2:
        return False
    starts = range(0, n_q, LATER_ROWS)
    return not any(
        (weights[:, i : i + LATER_ROWS, i + LATER_ROWS :]).any()
        or np.triu(weights[:, i : i + LATER_ROWS, i : i + LATER_ROWS], 1).any()
        for i in starts
    )


def empty_rows(record: Record, head: int) -> list[int]:
    """The queries that give no weight to any key."""
    rows = (record.stage("weights")[head] == 0).all(-1)
    return [int(row) for row in np.flatnonzero(rows)]


def later_keys(n_token: int) -> Bool:
    """The keys behind each query, [n_token, n_token]."""
    return np.triu(np.ones((n_token, n_token), bool), 1)
