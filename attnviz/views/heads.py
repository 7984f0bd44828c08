"""What every head does: a table, the roles, a map of one metric, how alike heads are."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import getdoc

import numpy as np

from attnviz.analysis.layers import ranges
from attnviz.analysis.metrics import METRICS, Measure, MetricEntry, Pattern
from attnviz.analysis.metrics.registry import SHARE
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import MIN_ROWS, MIXED, ROLES, doubts, role_names
from attnviz.analysis.similarity import MAX_DISTANCE
from attnviz.nn.types import Array
from attnviz.trace.selection import Head
from attnviz.views.head_map import head_maps
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    Value,
    View,
)
from attnviz.views.numbers import short

WIDE, NARROW = 8, 6
"""How many metrics fit on a screen beside `L0.H1`, or `decoder.0.cross.H1`."""

EVEN = "even"
"""What stands for the null, a head that spreads evenly."""

LISTED = 12

CAVEAT = (
    "Weights show where a head read from, not what it moved nor why the model answered; check "
    "with what values weigh, with ablation or with gradients."
)


def usual_columns(table: HeadTable) -> list[str]:
    """The metrics that fit on a screen, of those that are defined here."""
    defined = set(table.defined())
    usual = sorted((m for m in METRICS.values() if m.heading), key=lambda metric: metric.priority)
    names = [metric.name for metric in usual if metric.name in defined]
    return names[: WIDE if _alike(table) else NARROW]


def head_table_view(
    table: HeadTable, roles: Sequence[str], columns: Sequence[str], notes: Sequence[str] = ()
) -> Table:
    """A row a head, below those of the null: an even spread under the same masks and lengths."""
    numbers = table.columns()
    groups = _null_groups(table, columns)
    even = tuple(
        (_even_name(table, rows, len(groups)), "(null)", *(_null(table, c, rows) for c in columns))
        for rows in groups
    )
    lines = tuple(
        (name, roles[row], *(_value(table, c, float(numbers[c][row]), row) for c in columns))
        for row, name in enumerate(head_names(table))
    )
    return Table(
        "heads",
        ("head", "role", *map(_title, columns)),
        (*even, *lines),
        (*_table_notes(table, columns, groups), *table.notes, *notes),
        decimals=2,
        missing="-",
    )


def _table_notes(
    table: HeadTable, columns: Sequence[str], groups: Sequence[list[int]]
) -> list[str]:
    if not len(table):
        return []
    notes = [f"{EVEN}: what a head has that spreads evenly over the keys it may see"]
    metrics = [name for name in columns if name in table.null]
    if own := [c for c in metrics if any(np.ptp(table.null[c][rows]) > 1e-9 for rows in groups)]:
        named = _listed([_title(c) for c in own])
        notes.append(f"{named}: the null differs by head; {EVEN} has its mean")
    if few := [_title(c) for c in metrics if 0 < table.rows[c].max() < MIN_ROWS]:
        notes.append(f"over fewer than {MIN_ROWS} queries, which name no role: {_listed(few)}")
    defined = table.defined()
    if missing := [name for name in table.value if name not in defined]:
        notes.append(f"not defined here: {_listed(missing)}; --explain says when they are")
    return notes


def full_table(table: HeadTable, roles: Sequence[str]) -> Table:
    """Everything that is known of every head, the null and the number of queries in columns of
    their own: for programs that read tables."""
    columns = table.columns()
    rows = tuple(
        (id, roles[row], *(_plain(values[row]) for values in columns.values()))
        for row, id in enumerate(table.ids)
    )
    return Table("heads", ("id", "role", *columns), rows)


def chosen_view(notes: Sequence[str]) -> Text:
    """Which heads are shown and in what order, where no table says it."""
    return Text(tuple(Line(text, "", "note") for text in notes))


def roles_view(table: HeadTable, roles: Sequence[str]) -> Text:
    """Which heads have a role."""
    names = head_names(table)
    lines: list[Line] = []
    for role in role_names():
        having = [name for name, its in zip(names, roles, strict=True) if its == role]
        if having:
            which = "" if role == MIXED else f" ({_listed(having)})"
            lines.append(Line(f"{len(having)} {role}{which}", "" if lines else "roles"))
    return Text((*lines, *(Line(doubt, "", "warning") for doubt in doubts(table))))


def map_views(table: HeadTable, metric: str) -> list[View]:
    """Layers × heads, a heatmap for each block and kind."""
    values = table.value[metric]
    defined = np.isfinite(values) | np.isfinite(table.null[metric])
    scale = _scale(metric, values)
    return [
        each.titled(metric, *_map_notes(table, metric, each.rows), *table.notes)
        for each in head_maps(table.ids, table.heads, values, scale, defined)
    ]


def similarity_view(names: Sequence[str], distances: Array, liked: bool) -> Heatmap:
    """Head by head: how far apart their rows are."""
    axis = Axis("head", tuple(names))
    return Heatmap(
        "Jensen-Shannon distance of the heads",
        distances,
        axis,
        axis,
        Scale(0.0, MAX_DISTANCE),
        notes=(
            f"mean over the queries of √JSD: 0 the same rows, {MAX_DISTANCE:.3f} no key in common",
            "like heads side by side: leaves of average linkage, in their best order"
            if liked
            else "in the order of layers",
        ),
    )


def explain_view() -> Text:
    """What every metric and every role is."""
    even = "its value for a head that spreads evenly over the keys that it may see"
    lines = [Line(f"{EVEN}, beside every metric: {even}", "null")]
    for name, metric in METRICS.items():
        short_name = f" (column {metric.heading})" if metric.heading else ""
        unit = f", in {metric.unit}" if metric.unit else ""
        lines.append(Line(f"{name}{short_name}{unit}", "metric", "head"))
        lines.append(Line(" ".join((getdoc(metric.function) or "").split())))
    for role in ROLES:
        lines += [Line(role.name, "role", "head"), Line(role.rule)]
    lines.append(Line(MIXED, "role", "head"))
    lines.append(
        Line(
            f"No rule holds. Every rule needs {MIN_ROWS} queries; the first that holds, in this "
            "order, names the head."
        )
    )
    lines.append(Line(CAVEAT, "", "note"))
    return Text(tuple(lines))


def head_names(table: HeadTable) -> list[str]:
    """`L0.H1`, or `decoder.0.cross.H1` where there are several blocks or kinds."""
    alike, heads = _alike(table), map(Head, table.ids, table.heads.tolist())
    return [head.short if alike else str(head) for head in heads]


def _alike(table: HeadTable) -> bool:
    return len({id.group for id in table.ids}) == 1


def _null_groups(table: HeadTable, columns: Sequence[str]) -> list[list[int]]:
    """The rows of heads that have the same nulls; what values weigh differs by head, and does
    not part them."""
    parting = [c for c in columns if c in table.null and not _entry(c).null_by_head]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(table)):
        key = tuple(f"{table.null[name][row]:.9g}" for name in parting)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _even_name(table: HeadTable, rows: Sequence[int], n_group: int) -> str:
    """`even`, or where there are several nulls `even decoder.0-2.self`."""
    if n_group == 1:
        return EVEN
    stacks: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        stacks.setdefault(table.ids[row].group, set()).add(int(table.layers[row]))
    named = (f"{block}.{ranges(sorted(own))}.{kind}" for (block, kind), own in stacks.items())
    return f"{EVEN} {' '.join(named)}"


def _null(table: HeadTable, column: str, rows: Sequence[int]) -> Value:
    """None for what has no null: a deviation, say."""
    values = table.null[column][rows] if column in table.null else np.array(np.nan)
    return float(values.mean()) if np.isfinite(values).all() else None


def _value(table: HeadTable, column: str, value: float, row: int) -> Value:
    """None where a metric is not defined; nan where weights are broken."""
    if np.isnan(value):
        return "nan" if column in table.null and np.isfinite(table.null[column][row]) else None
    return value


def _plain(value: np.generic) -> Value:
    number = value.item()
    return None if isinstance(number, float) and np.isnan(number) else number


def _map_notes(table: HeadTable, metric: str, rows: Array) -> tuple[str, ...]:
    """What the metric is, of how many queries it is the mean, and what an even spread has."""
    about = " ".join((getdoc(_entry(metric).function) or metric).split("\n\n")[0].split())
    nulls = table.null[metric][rows]
    nulls = nulls[np.isfinite(nulls)]
    if not nulls.size:
        return (about,)
    ends = dict.fromkeys(short(float(end)) for end in (nulls.min(), nulls.max()))
    counts = table.rows[metric][rows]
    over = " to ".join(map(str, dict.fromkeys((int(counts.min()), int(counts.max())))))
    queries = "query" if over == "1" else "queries"
    return f"an even spread has {' to '.join(ends)}; over {over} {queries}", about


def _scale(metric: str, values: Array) -> Scale:
    if _entry(metric).range == SHARE:
        return WEIGHTS
    finite = values[np.isfinite(values)]
    return Scale(float(min(finite.min(initial=0), 0)), float(max(finite.max(initial=0), 0)))


def _entry(column: str) -> MetricEntry:
    """Of a column; a file may have metrics that nobody here knows."""
    return METRICS[column] if column in METRICS else MetricEntry(column, _unknown)


def _unknown(pattern: Pattern) -> Measure:
    return pattern.undefined()


def _title(column: str) -> str:
    return _entry(column).title


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
