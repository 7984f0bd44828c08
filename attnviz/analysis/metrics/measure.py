"""Every head of a trace measured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from attnviz.analysis.distributions import are_distributions
from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.metrics.tokens import (
    are_patches,
    known_ids,
    punctuation_marks,
    same_tokens,
    special_tokens,
)
from attnviz.analysis.metrics.values import value_norms
from attnviz.analysis.visibility import BLOCK_CELLS, GUESSED, looks_causal, visible_cells
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array, Bool
from attnviz.nn.weights import Weight
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection

_Columns = dict[str, dict[str, Array]]


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
    contexts = Contexts(trace)
    parts: list[_Columns] = []
    ids: list[RecordId] = []
    heads: list[int] = []
    for done, record in enumerate(records):
        if progress is not None:
            progress(done, len(records))
        selected = list(selection.heads(record))
        parts += _parts(record, selected, contexts, (outputs or {}).get(record.id), metrics)
        ids += [record.id] * len(selected)
        heads += selected

    def column(kind: str) -> dict[str, Array]:
        names = parts[0][kind]
        return {name: np.concatenate([part[kind][name] for part in parts]) for name in names}

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
        self._made: dict[tuple[str, str, bytes], MetricContext] = {}
        self.notes: dict[str, None] = {}

    def of(self, record: Record, heads: Sequence[int]) -> MetricContext:
        """The context of these heads."""
        if record.mask is not None and record.mask.ndim == 3:
            visible = np.stack([visible_cells(record, head) for head in heads])
        else:
            visible = visible_cells(record, 0)
            if looks_causal(record):
                visible = np.tril(visible)
                self.notes[f"{GUESSED}, so the nulls are those of a causal mask"] = None
        key = (record.queries, record.keys, visible.tobytes())
        if key not in self._made:
            self._made[key] = self._context(record, visible)
        return self._made[key]

    def _context(self, record: Record, visible: Bool) -> MetricContext:
        keys = self._trace.streams[record.keys]
        plane = are_patches(keys)
        if plane:
            self.notes["the patches of an image lie in a plane: what is measured along a row of "
                       "tokens is not defined"] = None  # fmt: skip
        special = special_tokens(keys)
        named = self._trace.model.is_array
        n_q, n_k = visible.shape[-2:]
        in_row = record.queries == record.keys and not plane
        return MetricContext(
            visible=visible,
            first=n_k - n_q if in_row else None,
            ids=None if plane else same_tokens(keys) if named else known_ids(keys),
            special=special if special.any() else None,
            punctuation=None if plane else punctuation_marks(keys),
        )


def _distributions_or_nan(weights: Array, partial: bool, visible: Bool) -> Array:
    """The weights, but NaN for heads whose rows are no distributions over the keys they see:
    nothing is said of them."""
    good = are_distributions(weights, partial) & ~np.any(weights, (-2, -1), where=~visible)
    return weights if good.all() else np.where(good[:, None, None], weights, np.nan)


def _norms(record: Record, output: Weight | None) -> Array | None:
    if output is None or record.v is None:
        return None
    return value_norms(record.v, np.asarray(output))


def _blocks(record: Record, heads: list[int]) -> list[list[int]]:
    """Heads that are measured together, so that no copy is ever large."""
    weights = record.stage("weights")
    step = max(1, BLOCK_CELLS // max(1, weights.shape[-2] * weights.shape[-1]))
    return [heads[start : start + step] for start in range(0, len(heads), step)]


def _parts(
    record: Record,
    heads: list[int],
    contexts: Contexts,
    output: Weight | None,
    metrics: Collection[str],
) -> Iterator[_Columns]:
    """The columns of some heads at a time."""
    norms = _norms(record, output)
    for block in _blocks(record, heads):
        context = contexts.of(record, block)
        weights = record.stage("weights")[block]
        pattern = Pattern(
            context,
            _distributions_or_nan(weights, record.site.sinks, context.visible),
            None if norms is None else norms[block],
        )
        yield _measured(pattern, metrics)


def _measured(pattern: Pattern, metrics: Collection[str]) -> _Columns:
    """`value`, `null`, `rows` and `positions` of a `HeadTable`, by metric, [n_head] each."""
    n_head = len(pattern.weights)
    columns: _Columns = {kind: {} for kind in ("value", "null", "rows", "positions")}
    for name in metrics:
        metric = METRICS[name]
        value, rows = metric(pattern)
        columns["value"][name] = value
        columns["null"][name] = np.broadcast_to(metric(pattern.null).value, n_head)
        columns["rows"][name] = np.broadcast_to(rows, n_head)
        for of, position in metric.positions.items():
            where = position(pattern)
            columns["positions"][of] = np.full(n_head, np.nan) if where is None else where
    return columns
