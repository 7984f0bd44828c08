"""What the weights of one head say, beside what a head that spreads evenly would say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, Bool
from attnviz.selection import Selection
from attnviz.trace import Record


class HeadFacts(NamedTuple):
    """Of one head; entropies in nats. NaN where no row sees two keys."""

    id: str
    head: int
    entropy: float
    """Mean over the rows of -Σ w ln w."""
    most: float
    """The same for a head that spreads evenly over the visible keys."""
    telling: float
    """How much knowing the query tells of the key, above what the mask alone tells."""


def head_facts(record: Record, head: int) -> HeadFacts:
    """Entropy and tellingness of weights [n_q, n_k] under their mask."""
    weights = np.asarray(record.stage("weights")[head], np.float64)
    visible = visible_cells(record, head)
    even = spread_evenly(visible)
    rows = visible.sum(-1) > 1
    if not rows.any():
        return HeadFacts(record.id, head, np.nan, np.nan, np.nan)
    return HeadFacts(
        id=record.id,
        head=head,
        entropy=float(entropy(weights[rows]).mean()),
        most=float(entropy(even[rows]).mean()),
        telling=information(weights[rows]) - information(even[rows]),
    )


def most_telling(records: Iterable[Record], selection: Selection, count: int) -> list[HeadFacts]:
    """The `count` heads whose rows differ most from one another, most telling first.

    A head that sends every query to one key (a sink) or to all keys alike tells nothing.
    """
    facts = [
        head_facts(record, head)
        for record in records
        if record.weights is not None and record.weights.size
        for head in selection.heads(record)
    ]
    return sorted(facts, key=lambda f: -np.nan_to_num(f.telling, nan=-1))[:count]


def entropy(weights: Array) -> Array:
    """-Σ w ln w over the last axis, in nats: [n_q, n_k] -> [n_q]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(weights > 0, weights * np.log(weights), 0)
    total: Array = np.where(np.isnan(weights), np.nan, terms).sum(-1)
    return -total


def information(weights: Array) -> float:
    """Mutual information of query and key in nats, every query equally likely.

    The entropy of the mean row less the mean entropy of the rows (the Jensen-Shannon divergence
    of the rows): 0 if all rows are alike, ln n_q if no two rows share a key. [n_q, n_k] -> number.
    """
    return float(entropy(weights.mean(-2)) - entropy(weights).mean())


def spread_evenly(visible: Bool) -> Array:
    """The weights of a head that gives every visible key the same: [n_q, n_k] -> [n_q, n_k]."""
    count = visible.sum(-1, keepdims=True)
    even: Array = visible / np.maximum(count, 1)
    return even


def visible_cells(record: Record, head: int) -> Bool:
    """Which keys each query sees, [n_q, n_k]; all of them if no mask was kept."""
    weights = record.stage("weights")
    if record.mask is None:
        return np.ones(weights.shape[-2:], bool)
    mask = record.mask[head % len(record.mask)] if record.mask.ndim == 3 else record.mask
    return np.asarray(mask, bool)
