"""Which heads are the most informative: those whose rows differ most from one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.distributions import entropy
from attnviz.analysis.metrics import METRICS, Measure, MetricContext, MetricEntry, Pattern
from attnviz.analysis.metrics.measure import is_measurable, measure_record
from attnviz.analysis.metrics.sums import Measured
from attnviz.analysis.visibility import visible_to
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.trace.record import Record
from attnviz.trace.selection import Selection


class HeadInformation(NamedTuple):
    """Of one head, in nats; NaN where no row sees two keys, and, but for `max_entropy`, where the
    rows are no distributions over the keys."""

    id: RecordId
    head: int
    entropy: float
    """Mean over the rows of -Σ w ln w; where a sink takes some of each, of what the keys get."""
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


def _chosen_row(pattern: Pattern) -> Measure:
    """The mean of the rows of the queries that have a choice, [..., n_head, n_k]."""
    rows = pattern.context.choosing
    count = rows.sum(-1)
    sums = pattern.placed(pattern.column_sums(rows), 1)
    return Measure(sums / np.maximum(count, 1)[..., None], count)


def _row_entropy(pattern: Pattern) -> Measure:
    """That of the rows as they are, also where a sink takes some of each."""
    return pattern.over_rows(pattern.row_entropies)


INFORMATION = (
    METRICS["entropy"],
    MetricEntry("entropy_of_mean", entropy, of=_chosen_row),
    MetricEntry("row_entropy", _row_entropy),
)
"""What is measured of heads."""


def information_of(measured: Measured) -> dict[str, Array]:
    """`entropy`, `max_entropy` and `mutual_information` of heads, [n_head] each.

    I(query; key) = H(mean row) - mean H(row): Cover & Thomas 2006, section 2.4.
    """
    own, even = ({name: kind[name] for name in ("entropy", "row_entropy", "entropy_of_mean")}
                 for kind in (measured.value, measured.null))  # fmt: skip
    gained = own["entropy_of_mean"] - own["row_entropy"]
    return {
        "entropy": own["entropy"],
        "max_entropy": even["entropy"],
        "mutual_information": gained - (even["entropy_of_mean"] - even["row_entropy"]),
    }


def head_information(record: Record, head: int) -> HeadInformation:
    """The information in a head's weights [n_q, n_k] under their mask, if they are distributions.

    Rows that see fewer than two keys have no choice and are left out.
    """
    return _information(record, [head])[0]


def _information(record: Record, heads: Sequence[int]) -> list[HeadInformation]:
    """Of some heads of a record."""
    if record.weights is None and record.summary is not None:
        rows = [record.summary.heads.index(head) for head in heads]
        named = {
            name: record.summary.statistics[name][rows] for name in HeadInformation._fields[2:]
        }
    else:
        context = MetricContext(visible_to(record, heads), None, partial=record.site.sinks)
        named = information_of(measure_record(record, heads, context, INFORMATION))
    return [
        HeadInformation(record.id, head, **{name: float(named[name][i]) for name in named})
        for i, head in enumerate(heads)
    ]


def information_of_heads(
    records: Iterable[Record],
    selection: Selection,
    progress: Callable[[int, int], None] | None = None,
) -> list[HeadInformation]:
    """Of all selected heads whose weights are there, in the order of the records."""
    known = [record for record in records if is_measurable(record)]
    information: list[HeadInformation] = []
    for done, record in enumerate(known):
        if progress is not None:
            progress(done, len(known))
        information += _information(record, list(selection.heads(record)))
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
        if is_measurable(record)
        else HeadInformation(record.id, head, np.nan, np.nan, np.nan)
        for record, head in pairs
    ]
    return ChosenHeads(heads, True, ())


def most_informative(heads: Iterable[HeadInformation], count: int) -> list[HeadInformation]:
    """The `count` heads with the largest mutual information, largest first.

    A head that sends every query to one key (a sink) or to all keys alike has none.
    """
    return sorted(heads, key=lambda h: -np.nan_to_num(h.mutual_information, nan=-1))[:count]
