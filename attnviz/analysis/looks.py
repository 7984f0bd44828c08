"""What a head looks at in one text, for a sentence: its role where a rule holds, else what is true
of these rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import MARGIN, METRICS_OF_ROLES, MIXED, ROLES, UNDEFINED, Role, roles
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head, Selection, heads_of

KEY = "key"
"""Of a head without a role that gives most to one key."""

EVEN, FOCUSED, SCATTERED = "even", "focused", "scattered"
"""Of a head without any pattern: its rows are broad, on few keys each, or between the two."""

ONE_KEY = 1.3
"""Effective keys of a row that is as good as on one."""

BROAD = 0.9
"""The share of the most that an entropy can be, from which a row is broad."""

SINK = "sink_share"
OFFSET = "positional"


class Look(NamedTuple):
    """What one head looks at."""

    pattern: str
    """The name of a role, or one of the above."""
    is_role: bool
    """Whether the role's rule holds, chance and all; else it is true of these rows, no more."""
    share: float
    """The weight that goes there, mean over the queries that have such a key; of `positional` the
    share of the queries that look there most."""
    even: float
    """The same of a head that spreads evenly: its null."""
    n_query: int
    """Of how many queries `share` is the mean."""
    position: int | None
    """Of the key that gets most of all; None where no text is known."""
    position_share: float
    """The share of all weights that this key gets."""
    offset: int | None
    """From the query to where `positional` looks: -2 for two tokens back."""
    keys: float
    """exp(mean entropy): as if a row looked at so many keys, all alike."""
    max_keys: float
    """The same of an even spread: how many keys a row sees."""
    spread: float
    """Entropy as a share of what it can be at most, 0 to 1."""


def head_looks(trace: Trace, heads: Sequence[Head]) -> dict[Head, Look]:
    """What some heads of a trace look at: only they are measured, and only what roles need."""
    if not heads:
        return {}
    by_record: dict[RecordId, tuple[int, ...]] = {}
    for head in heads:
        id = trace[str(head.id)].id
        by_record[id] = (*by_record.get(id, ()), head.number)
    selection = Selection(tuple(heads_of(id, numbers) for id, numbers in by_record.items()))
    table = measure_heads(trace, selection, metrics=METRICS_OF_ROLES)
    found = dict(zip(zip(table.ids, table.heads.tolist(), strict=True), looks(table), strict=True))
    return {head: found[head.id, head.number] for head in heads}


def looks(table: HeadTable) -> list[Look]:
    """What every head of a table looks at."""
    names = roles(table)
    return [_look(table, row, name) for row, name in enumerate(names)]


def _look(table: HeadTable, row: int, name: str) -> Look:
    pattern = name if name != MIXED else _of_this_text(table, row)
    metric = next((role.metric for role in ROLES if role.name == pattern), SINK)

    def number(values: Array | None) -> int | None:
        return None if values is None or not np.isfinite(values[row]) else int(values[row])

    return Look(
        pattern=pattern,
        is_role=name not in (MIXED, UNDEFINED),
        share=float(table.value[metric][row]),
        even=float(table.null[metric][row]),
        n_query=int(table.rows[metric][row]),
        position=number(table.positions.get("sink_place")),
        position_share=float(table.value[SINK][row]),
        offset=number(table.positions.get("best_offset")),
        keys=float(table.value["effective_tokens"][row]),
        max_keys=float(table.null["effective_tokens"][row]),
        spread=float(table.value["normalised_entropy"][row]),
    )


def _of_this_text(table: HeadTable, row: int) -> str:
    """What stands out in these rows, though they are too few, or too near to chance, for a role."""

    def excess(metric: str) -> float:
        return float(table.value[metric][row] - table.null[metric][row])

    near = [
        role
        for role in ROLES
        if isinstance(role, Role)
        and role.metric != SINK
        and table.value[role.metric][row] >= role.minimum
        and excess(role.metric) >= MARGIN
        and 2 * table.rows[role.metric][row] >= table.rows["normalised_entropy"][row]
    ]
    if near:
        return near[0].name
    if excess(SINK) >= MARGIN:
        return KEY
    if table.value["normalised_entropy"][row] >= BROAD:
        return EVEN
    return FOCUSED if table.value["effective_tokens"][row] <= ONE_KEY else SCATTERED
