"""What the weights of one head say, beside what a head that spreads evenly would say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from attnviz.nn.types import Array, Bool
from attnviz.trace.record import Record
from attnviz.trace.selection import Selection

BLOCK_CELLS = 1 << 20


class HeadFacts(NamedTuple):
    """Of one head; entropies in nats. NaN where no row sees two keys."""

    id: str
    head: int
    entropy: float
    """Mean over the rows of -Σ w ln w."""
    most: float
    """The same for a head that spreads evenly over the visible keys."""
    telling: float
    """The mutual information of query and key, every query equally likely: the entropy of the
    mean row less the mean entropy of the rows (their Jensen-Shannon divergence), above what an
    even spread under the same mask has. At most 0 if all rows are alike."""


def head_facts(record: Record, head: int) -> HeadFacts:
    """Entropy and tellingness of weights [n_q, n_k] under their mask.

    Rows that see fewer than two keys have no choice and are left out.
    """
    count, n_k = 0, record.stage("weights").shape[-1]
    entropies = np.zeros(2)  # of the weights, and of an even spread
    means = np.zeros((2, n_k))
    for weights, visible in row_blocks(record, head):
        rows = visible.sum(-1) > 1
        pair = np.asarray(weights[rows], np.float64), spread_evenly(visible[rows])
        entropies += [entropy(each).sum() for each in pair]
        means += [each.sum(0) for each in pair]
        count += int(rows.sum())
    if not count:
        return HeadFacts(record.id, head, np.nan, np.nan, np.nan)
    entropies /= count
    told = entropy(means / count) - entropies
    return HeadFacts(
        id=record.id,
        head=head,
        entropy=float(entropies[0]),
        most=float(entropies[1]),
        telling=float(told[0] - told[1]),
    )


def facts_of_heads(
    records: Iterable[Record],
    selection: Selection,
    progress: Callable[[int, int], None] | None = None,
) -> list[HeadFacts]:
    """The facts of all selected heads whose weights are there, in the order of the records."""
    heads = [
        (record, head)
        for record in records
        if record.weights is not None and record.weights.size
        for head in selection.heads(record)
    ]
    facts = []
    for done, (record, head) in enumerate(heads):
        if progress is not None:
            progress(done, len(heads))
        facts.append(head_facts(record, head))
    return facts


def most_informative(facts: Iterable[HeadFacts], count: int) -> list[HeadFacts]:
    """The `count` heads whose rows differ most from one another, most telling first.

    A head that sends every query to one key (a sink) or to all keys alike tells nothing.
    """
    return sorted(facts, key=lambda f: -np.nan_to_num(f.telling, nan=-1))[:count]


def entropy(weights: Array) -> Array:
    """-Σ w ln w over the last axis, in nats, summed in float64: [..., n_k] -> [...]."""
    terms = np.log(np.maximum(weights, np.finfo(weights.dtype).tiny))
    terms *= np.maximum(weights, 0)
    total: Array = terms.sum(-1, dtype=np.float64)
    return -total


def spread_evenly(visible: Bool) -> Array:
    """The weights of a head that gives every visible key the same: [n_q, n_k] -> [n_q, n_k]."""
    count = visible.sum(-1, keepdims=True)
    even: Array = visible / np.maximum(count, 1)
    return even


def row_blocks(record: Record, head: int) -> Iterator[tuple[Array, Bool]]:
    """Some rows of the weights and of the mask at a time, so that no copy is ever large."""
    weights, visible = record.stage("weights")[head], visible_cells(record, head)
    step = max(1, BLOCK_CELLS // max(1, weights.shape[-1]))
    for start in range(0, len(weights), step):
        yield weights[start : start + step], visible[start : start + step]


def visible_cells(record: Record, head: int) -> Bool:
    """Which keys each query sees, [n_q, n_k]; all of them if no mask was kept."""
    weights = record.stage("weights")
    if record.mask is None:
        return np.broadcast_to(np.True_, weights.shape[-2:])
    mask = record.mask[head % len(record.mask)] if record.mask.ndim == 3 else record.mask
    return np.asarray(mask, bool)
