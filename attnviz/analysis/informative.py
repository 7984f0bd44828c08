"""Which heads are the most informative: those whose rows differ most from one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.distributions import are_distributions, entropy, spread_evenly
from attnviz.analysis.visibility import row_blocks
from attnviz.nn.site import RecordId
from attnviz.trace.record import Record
from attnviz.trace.selection import Selection


class HeadInformation(NamedTuple):
    """Of one head, in nats; NaN where no row sees two keys, and, but for `max_entropy`, where the
    rows are no distributions over the keys."""

    id: RecordId
    head: int
    entropy: float
    """Mean over the rows of -Σ w ln w."""
    max_entropy: float
    """The same for a head that spreads evenly over the visible keys."""
    mutual_information: float
    """Of query and key, every query equally likely: the entropy of the mean row less the mean
    entropy of the rows (their Jensen-Shannon divergence), above what an even spread under the same
    mask has. At most 0 if all rows are alike."""

    @property
    def effective_keys(self) -> float:
        """The number of keys that an even spread of the same entropy would have."""
        return float(np.exp(self.entropy))


def head_information(record: Record, head: int) -> HeadInformation:
    """The information in a head's weights [n_q, n_k] under their mask, if they are distributions.

    Rows that see fewer than two keys have no choice and are left out.
    I(query; key) = H(mean row) - mean H(row): Cover & Thomas 2006, section 2.4.
    """
    count, n_k = 0, record.stage("weights").shape[-1]
    entropies = np.zeros(2)  # of the weights, and of an even spread
    means = np.zeros((2, n_k))
    for weights, visible in row_blocks(record, head):
        rows = visible.sum(-1) > 1
        wide = np.asarray(weights[rows], np.float64)
        is_distribution = are_distributions(weights, record.site.sinks)
        if not is_distribution or np.any(weights, where=~visible):
            wide = np.full_like(wide, np.nan)
        pair = wide, spread_evenly(visible[rows])
        entropies += [entropy(each).sum() for each in pair]
        means += [each.sum(0) for each in pair]
        count += int(rows.sum())
    if not count:
        return HeadInformation(record.id, head, np.nan, np.nan, np.nan)
    entropies /= count
    information = entropy(means / count) - entropies
    return HeadInformation(
        id=record.id,
        head=head,
        entropy=float(entropies[0]),
        max_entropy=float(entropies[1]),
        mutual_information=float(information[0] - information[1]),
    )


def information_of_heads(
    records: Iterable[Record],
    selection: Selection,
    progress: Callable[[int, int], None] | None = None,
) -> list[HeadInformation]:
    """Of all selected heads whose weights are there, in the order of the records."""
    heads = [
        (record, head)
        for record in records
        if record.weights is not None and record.weights.size
        for head in selection.heads(record)
    ]
    information = []
    for done, (record, head) in enumerate(heads):
        if progress is not None:
            progress(done, len(heads))
        information.append(head_information(record, head))
    return information


class ChosenHeads(NamedTuple):
    """The heads that are shown one by one, and what is known of all selected ones."""

    heads: Sequence[HeadInformation]
    are_all: bool
    """Whether these are all that were selected; else they are the most informative."""
    information: Sequence[HeadInformation]
    """Of all selected heads whose weights are there."""


def choose_heads(
    records: Sequence[Record],
    selection: Selection,
    count: int,
    progress: Callable[[int, int], None] | None = None,
) -> ChosenHeads:
    """All selected heads, if they are not more than `count` (or one), else the `count` most
    informative ones."""
    pairs = [(record, head) for record in records for head in selection.heads(record)]
    if len(pairs) > max(count, 1):
        information = information_of_heads(records, selection, progress)
        return ChosenHeads(most_informative(information, count), False, information)
    heads = [
        head_information(record, head)
        if record.weights is not None
        else HeadInformation(record.id, head, np.nan, np.nan, np.nan)
        for record, head in pairs
    ]
    return ChosenHeads(heads, True, ())


def most_informative(heads: Iterable[HeadInformation], count: int) -> list[HeadInformation]:
    """The `count` heads with the largest mutual information, largest first.

    A head that sends every query to one key (a sink) or to all keys alike has none.
    """
    return sorted(heads, key=lambda h: -np.nan_to_num(h.mutual_information, nan=-1))[:count]
