"""Every head of a trace measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics import METRICS, MetricContext, MetricEntry, Pattern
from attnviz.analysis.metrics.conversation import spans_of_keys
from attnviz.analysis.metrics.pattern import BLOCK_CELLS
from attnviz.analysis.metrics.row_sums import RowSums
from attnviz.analysis.metrics.sums import Measured, MetricSums
from attnviz.analysis.metrics.table import NEEDED, HeadTable
from attnviz.analysis.metrics.tokens import (
    are_patches,
    known_ids,
    punctuation_marks,
    same_tokens,
    special_tokens,
)
from attnviz.analysis.metrics.values import value_norms
from attnviz.analysis.visibility import GUESSED, looks_causal, visible_to
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId
from attnviz.nn.threads import in_parallel
from attnviz.nn.types import Array, Bool, floating
from attnviz.nn.weights import Weight
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection

N_TASK = 8
"""Parts in which the rows of a record are measured, whatever the number of cores: so that sums are
rounded alike on every machine."""


def measure_heads(
    trace: Trace,
    selection: Selection | None = None,
    outputs: Mapping[str, Weight] | None = None,
    progress: Callable[[int, int], None] | None = None,
    metrics: Collection[str] = METRICS,
) -> HeadTable:
    """Every metric, or those that are named, of the selected heads.

    Args:
        outputs: W_O of the attentions by record id, see `output_weights`; with it and the stage
            `v`, what the heads move is measured too.
    """
    selection = selection or Selection()
    if not trace.records:
        raise AttnvizError(f"{trace.model.name} has no attention", "try `-m tagger`")
    selection.check(list(trace))
    records = [record for record in trace if selection.covers(record)]
    entries = [METRICS[name] for name in metrics]
    contexts = Contexts(trace)
    parts: list[Measured] = []
    ids: list[RecordId] = []
    heads: list[int] = []
    for done, record in enumerate(records):
        if progress is not None:
            progress(done, len(records))
        selected = list(selection.heads(record))
        if record.weights is None and record.summary is not None:
            contexts.facts(record)
            parts.append(measured_before(record, selected, entries))
        else:
            context, output = contexts.of(record, selected), (outputs or {}).get(record.id)
            parts.append(measure_record(record, selected, context, entries, output))
        ids += [record.id] * len(selected)
        heads += selected

    def column(kind: str) -> dict[str, Array]:
        names = getattr(parts[0], kind)
        return {
            name: np.concatenate([getattr(part, kind)[name] for part in parts]) for name in names
        }

    return HeadTable(
        ids=tuple(ids),
        heads=np.array(heads, np.int64),
        value=column("value"),
        null=column("null"),
        rows=column("rows"),
        positions=column("positions"),
        notes=tuple(contexts.notes),
    )


class Contexts:
    """The contexts of a trace's records, each made once, and what was assumed for them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._made: list[tuple[str, str, MetricContext]] = []
        self.notes: dict[str, None] = {}

    def of(self, record: Record, heads: Sequence[int]) -> MetricContext:
        """The context of these heads."""
        visible = visible_to(record, heads)
        if looks_causal(record):
            visible = np.tril(visible)
            self.notes[f"{GUESSED}, so the nulls are those of a causal mask"] = None
        for queries, keys, context in self._made:
            if (queries, keys) == (record.queries, record.keys) and np.array_equal(
                context.visible, visible
            ):
                return context
        context = self._context(record, visible)
        self._made.append((record.queries, record.keys, context))
        return context

    def facts(self, record: Record) -> KeyFacts:
        """What is known of its keys."""
        facts = key_facts(self._trace.streams[record.keys], self._trace.model.is_array)
        if facts.ids is None:
            self.notes[PLANE] = None
        return facts

    def _context(self, record: Record, visible: Bool) -> MetricContext:
        facts = self.facts(record)
        n_q, n_k = visible.shape[-2:]
        in_row = record.queries == record.keys and facts.ids is not None
        return MetricContext(
            visible, n_k - n_q if in_row else None, *facts, partial=record.site.sinks
        )


PLANE = (
    "the patches of an image lie in a plane: what is measured along a row of tokens is not defined"
)


class KeyFacts(NamedTuple):
    """What the metrics know of the keys; None where nothing is known, or nothing of the kind."""

    ids: Array | None
    special: Bool | None
    punctuation: Bool | None
    spans: Mapping[str, Bool] = MappingProxyType({})


def key_facts(keys: Tokens, named: bool = False) -> KeyFacts:
    """named: of tokens that have names, no ids."""
    special = special_tokens(keys)
    special_or_none = special if special.any() else None
    if are_patches(keys):
        return KeyFacts(None, special_or_none, None)
    ids = same_tokens(keys) if named else known_ids(keys)
    return KeyFacts(ids, special_or_none, punctuation_marks(keys), spans_of_keys(keys))


def measure_record(
    record: Record,
    heads: Sequence[int],
    context: MetricContext,
    metrics: Sequence[MetricEntry],
    output: Weight | None = None,
) -> Measured:
    """Metrics of some heads of a record whose weights were kept."""
    norms = None
    if output is not None and record.v is not None:
        norms = value_norms(record.v, np.asarray(output))[list(heads)]
    sums = MetricSums(metrics, len(heads), record.site.sinks)
    blocks = context.blocks()
    step = -(-len(blocks) // N_TASK)

    def read(some: Sequence[slice]) -> MetricSums:
        own = sums.fork()
        for rows in some:
            part = context if len(blocks) == 1 else context.block(rows)
            _read(own, record, heads, part, norms)
            part.forget()
        return own

    tasks = [
        functools.partial(read, blocks[start : start + step])
        for start in range(0, len(blocks), step)
    ]
    with np.errstate(all="ignore"):
        for own in in_parallel(tasks):
            sums.merge(own)
    return sums.finish(context)


def _read(
    sums: MetricSums,
    record: Record,
    heads: Sequence[int],
    block: MetricContext,
    norms: Array | None,
) -> None:
    """A block of rows, so many heads at a time that no copy is large."""
    rows = slice(0, block.shape[0]) if block.part is None else block.part.rows
    every, own_masks = record.stage("weights"), block.visible.ndim > 2
    step = max(1, BLOCK_CELLS // max(1, block.visible.shape[-2] * every.shape[-1]))
    if not own_masks:
        sums.add_null(block)
    for start in range(0, len(heads), step):
        some = slice(start, min(start + step, len(heads)))
        context = block
        if own_masks:
            context = block.whole.block(rows, visible=block.visible[some])
            sums.add_null(context, some)
        weights = floating(every[_index(heads[some]), rows])
        sums.add(Pattern(context, weights, None if norms is None else norms[some]), some)


def _index(heads: Sequence[int]) -> slice | list[int]:
    """Without a copy where they follow one another."""
    first, last = heads[0], heads[-1]
    in_row = list(heads) == list(range(first, last + 1))
    return slice(first, last + 1) if in_row else list(heads)


def measured_before(
    record: Record, heads: Sequence[int], metrics: Sequence[MetricEntry]
) -> Measured:
    """Metrics of some heads of a record that was summarised, from its statistics.

    Raises:
        AttnvizError: they were not measured.
    """
    assert record.summary is not None
    summary, measured = record.summary, Measured({}, {}, {}, {}, RowSums(len(heads), False))
    rows = [summary.heads.index(head) for head in heads]
    for metric in metrics:
        for kind, columns in ((kind, getattr(measured, kind)) for kind in NEEDED):
            name = f"{kind}/{metric.name}"
            if name not in summary.statistics:
                raise AttnvizError(
                    f"{record.id}: {metric.name} was not measured when the weights were there",
                    "measure the text again: attnviz heads",
                )
            columns[metric.name] = summary.statistics[name][rows]
        for place in metric.positions:
            measured.positions[place] = summary.statistics[f"positions/{place}"][rows]
    return measured


def is_measurable(record: Record) -> bool:
    """Whether its weights are there, or were measured before they were forgotten."""
    if record.weights is None:
        return record.summary is not None and bool(record.summary.statistics)
    return bool(record.weights.size)
