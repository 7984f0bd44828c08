"""What every head does: a table, the roles, a map of one metric, how alike heads are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import getdoc

import numpy as np

from attnviz.analysis.layers import ranges
from attnviz.analysis.looks import looks
from attnviz.analysis.metrics import METRICS, Measure, MetricEntry, Pattern
from attnviz.analysis.metrics.columns import column_title
from attnviz.analysis.metrics.registry import SHARE
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import MIN_ROWS, MIXED, ROLES, UNDEFINED, clearest, doubts
from attnviz.analysis.similarity import MAX_DISTANCE
from attnviz.language import say, to_say
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.selection import Head
from attnviz.views.head_map import head_maps
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    CellTone,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    Value,
    View,
)
from attnviz.views.numbers import short
from attnviz.views.sentences import look_sentence

EVEN = to_say("even")
"""What stands for the null, a head that spreads evenly."""

LISTED = 12

OTHERS = 4
"""Heads of a role that are named beside the clearest one."""

ALWAYS = 2
"""The priorities of metrics that come first whatever the heads do."""

IMPORTANT = 5
"""Metrics that are more important than a sentence, where not all have room."""

CAVEAT = to_say(
    "Weights show where a head read from, not what it moved nor why the model answered; check "
    "with what values weigh, with ablation or with gradients."
)


def usual_columns(table: HeadTable, roles: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """The columns that were asked about, then the metrics that are shown unasked, the most
    important first: how broad and how far, what gives the roles that occur, the rest; those that
    are defined here, over enough queries if any are."""
    defined, occur = set(table.defined()), {r.metric for r in ROLES if r.name in roles}
    usual = sorted(
        (m for m in METRICS.values() if m.heading and m.name in defined),
        key=lambda m: (m.priority > ALWAYS and m.name not in occur, m.priority),
    )
    names = [metric.name for metric in usual]
    enough = [name for name in names if table.rows[name].max(initial=0) >= MIN_ROWS]
    return list(dict.fromkeys((*asked, *(enough or names))))


def head_sentences(table: HeadTable, keys: Sequence[Tokens | None]) -> list[str]:
    """What every head looks at. `keys`: the tokens that each looks at, if they are known."""
    return [look_sentence(look, tokens) for look, tokens in zip(looks(table), keys, strict=True)]


def head_table_view(
    table: HeadTable,
    roles: Sequence[str],
    columns: Sequence[str],
    notes: Sequence[str] = (),
    sentences: Sequence[str] | None = None,
) -> Table:
    """A row a head, below those of the null: an even spread under the same masks and lengths.
    With sentences, as wide as the screen allows; without, all columns, below one another."""
    numbers = table.columns()
    groups = _null_groups(table, columns)
    said = sentences is not None
    even = tuple(
        (_even_name(table, rows, len(groups)), say("(null)"),
         *(_null(table, c, rows) for c in columns), *[None] * said)
        for rows in groups
    )  # fmt: skip
    lines = tuple(
        (name, say(roles[row]),
         *(_value(table, c, float(numbers[c][row]), row) for c in columns),
         *([sentences[row]] if sentences is not None else []))
        for row, name in enumerate(head_names(table))
    )  # fmt: skip
    titles = (say("head"), say("role"), *map(_title, columns))
    last = len(titles)
    return Table(
        say("heads"),
        (*titles, *([say("looks at")] if said else [])),
        (*even, *lines),
        (*_table_notes(table, columns, groups, asked=not said), *table.notes, *notes),
        decimals=2,
        missing="" if said else "-",
        tones=_tones(len(even), roles, columns),
        groups=(len(even),) if not said else (),
        importance=(*range(2 + IMPORTANT), last) if said and last > 2 + IMPORTANT else (),
        folds=not said,
    )


def _tones(
    n_even: int, roles: Sequence[str], columns: Sequence[str]
) -> dict[tuple[int, int], CellTone]:
    """The null steps back, and so does a head without a role; what gives a role stands out."""
    of_role: dict[str, str] = {role.name: role.metric for role in ROLES}
    tones: dict[tuple[int, int], CellTone] = {
        (row, column): "faint" for row in range(n_even) for column in range(2 + len(columns))
    }
    for row, role in enumerate(roles, n_even):
        tones[row, 1] = "strong" if role in of_role else "faint"
        if of_role.get(role) in columns:
            tones[row, 2 + columns.index(of_role[role])] = "strong"
    return tones


def _table_notes(
    table: HeadTable, columns: Sequence[str], groups: Sequence[list[int]], asked: bool
) -> list[str]:
    if not len(table):
        return []
    notes = [say("even: an even spread over visible keys; numbers without a unit lie in 0 to 1")]
    metrics = [name for name in columns if name in table.null]
    if few := [_title(c) for c in metrics if 0 < table.rows[c].max() < MIN_ROWS]:
        notes.append(
            say("over fewer than {n} queries, which name no role: {columns}",
                n=MIN_ROWS, columns=_listed(few))
        )  # fmt: skip
    if not asked:
        return notes
    if own := [c for c in metrics if any(np.ptp(table.null[c][rows]) > 1e-9 for rows in groups)]:
        named = _listed([_title(c) for c in own])
        notes.append(say("{columns}: the null differs by head; even has its mean", columns=named))
    defined = table.defined()
    if missing := [name for name in columns if name in table.value and name not in defined]:
        notes.append(
            say("not defined here: {columns}; --explain says when they are",
                columns=_listed([_title(name) for name in missing]))
        )  # fmt: skip
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


WITHOUT = {
    MIXED: to_say("{n} without a role: {heads}"),
    UNDEFINED: to_say("{n} whose rows are no distributions over the keys: {heads}"),
}


def chosen_view(notes: Sequence[str]) -> Text:
    """Which heads are shown and in what order, where no table says it."""
    return Text(tuple(Line(text, "", "note") for text in notes))


def roles_view(
    table: HeadTable, roles: Sequence[str], sentences: Sequence[str], above: Text | None = None
) -> Text:
    """Which heads have a role, and what the clearest of each looks at; below other lines."""
    names = head_names(table)
    lines = [line for line in above.lines if line.term != say("tags")] if above else []
    for role in ROLES:
        if having := clearest(table, roles, role):
            first, *others = having
            text = f"{names[first]} {sentences[first]}"
            if others:
                also = _listed([names[row] for row in others], OTHERS)
                text = say("{sentence}; also {heads}", sentence=text, heads=also)
            lines.append(Line(text, say(role.name)))
    for name, text in WITHOUT.items():
        without = [head for head, its in zip(names, roles, strict=True) if its == name]
        if without:
            named = _listed(without, 2 * OTHERS)
            lines.append(Line(say(text, n=len(without), heads=named), say(name)))
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


def similarity_view(
    names: Sequence[str], distances: Array, liked: bool, sample: tuple[int, int] | None = None
) -> Heatmap:
    """Head by head: how far apart their rows are; of a sample, of how many rows of all."""
    axis = Axis(say("head"), tuple(names))
    return Heatmap(
        say("Jensen-Shannon distance of the heads"),
        distances,
        axis,
        axis,
        Scale(0.0, MAX_DISTANCE),
        notes=(
            say(
                "mean over the queries of √JSD: 0 the same rows, {most:.3f} no key in common",
                most=MAX_DISTANCE,
            ),
            *(
                ()
                if sample is None
                else (
                    say(
                        "of {n} of the {total} queries, evenly spaced: the weights of all would be "
                        "too many to be kept",
                        n=sample[0],
                        total=sample[1],
                    ),
                )
            ),
            say("like heads side by side: leaves of average linkage, in their best order")
            if liked
            else say("in the order of layers"),
        ),
    )


def explain_view() -> Text:
    """What every metric and every role is."""
    lines = [
        Line(
            say("even, beside every metric: its value for a head that spreads evenly over the keys "
                "that it may see"),
            say("null"),
        )
    ]  # fmt: skip
    for name, metric in METRICS.items():
        column = say("{name} (column {column})", name=name, column=metric.title)
        unit = say(", in {unit}", unit=say(metric.unit)) if metric.unit else ""
        lines.append(Line((column if metric.heading else name) + unit, say("metric"), "head"))
        lines.append(Line(" ".join((getdoc(metric.function) or "").split())))
    for role in ROLES:
        lines += [Line(say(role.name), say("role"), "head"), Line(role.rule)]
    lines.append(Line(say(MIXED), say("role"), "head"))
    rules = say(
        "No rule holds. Every rule needs {n} queries; the first that holds, in this order, names "
        "the head. A standard deviation is √(null (1 - null) / queries): that of a head whose "
        "queries each look at one key at random.",
        n=MIN_ROWS,
    )
    return Text((*lines, Line(rules), Line(say(CAVEAT), "", "note")))


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
        return say(EVEN)
    stacks: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        stacks.setdefault(table.ids[row].group, set()).add(int(table.layers[row]))
    named = (f"{block}.{ranges(sorted(own))}.{kind}" for (block, kind), own in stacks.items())
    return f"{say(EVEN)} {' '.join(named)}"


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
    numbers = dict.fromkeys((int(counts.min()), int(counts.max())))
    over = say("1 query") if list(numbers) == [1] else say("{n} queries", n=_range(numbers))
    return say(
        "an even spread has {value}; over {queries}", value=_range(ends), queries=over
    ), about


def _range(ends: Iterable[object]) -> str:
    low, *high = map(str, ends)
    return say("{low} to {high}", low=low, high=high[0]) if high else low


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
    """With its unit, where it has one."""
    entry = _entry(column)
    unit = f" ({say(entry.unit)})" if entry.unit and not entry.heading else ""
    return column_title(column) + unit


def _listed(names: Sequence[str], most: int = LISTED) -> str:
    listed = ", ".join(names[:most])
    more = len(names) - most
    return say("{names} and {n} more", names=listed, n=more) if more > 0 else listed
