"""Which rows of a table are shown, and in which order: `induction > 0.5 and layer >= 2`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.metrics.columns import column_title, find_column
from attnviz.analysis.metrics.registry import METRICS
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import METRICS_OF_ROLES, role_names, roles
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.types import Array, Bool
from attnviz.registry import nearest

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}

CONDITION = re.compile(r"\s*([^\W\d][\w -]*?)\s*(>=|<=|!=|==|=|>|<)\s*(.+?)\s*")

EXAMPLE = "COLUMN > NUMBER, joined by `and`: 'induction > 0.5 and layer >= 2', 'role = sink'"


class Condition(NamedTuple):
    """A column, a comparison, and what it is compared with."""

    column: str
    sign: str
    value: float | str

    def holds(self, columns: Mapping[str, Array]) -> Bool:
        """[n_row]; NaN fulfils nothing, not even that it differs."""
        values = columns[self.column]
        holds: Bool = np.asarray(COMPARE[self.sign](values, self.value), bool)
        holds &= values == values
        return holds


class Query(NamedTuple):
    """What of a table is shown."""

    where: str | None = None
    """Conditions on columns and on the role."""
    sort: str | None = None
    """By a column, largest first; `-COLUMN` smallest first."""
    top: int | None = None


class Answer(NamedTuple):
    """The rows that were asked for, in their order."""

    table: HeadTable
    roles: list[str]
    """Empty where not all was measured that they depend on."""
    notes: list[str]
    """How they were chosen, a sentence each."""
    columns: list[str]
    """Of numbers, by which they were chosen."""


def metrics_for(query: Query, columns: Iterable[tuple[str, str]]) -> list[str]:
    """The metrics that a query and columns, each with its option, are about.

    Raises:
        AttnvizError: as `ask`, before anything is measured.
    """
    owner = {
        column: metric.name
        for metric in METRICS.values()
        for column in (
            metric.name, f"{metric.name}_null", f"{metric.name}_rows", *metric.positions,
        )
    }  # fmt: skip
    known = [*METRICS, "layer", "head", *owner]
    named = [find_column(column, known, option) for option, column in columns]
    if query.sort is not None:
        name = query.sort.removeprefix("-")
        named.append(find_column(name, known, "--sort", "column of numbers"))
    if query.where is not None:
        nothing = dict.fromkeys((*known, "role"), np.zeros(0))
        conditions = parse_conditions(query.where, nothing, {"role": role_names()})
        named += [condition.column for condition in conditions]
        if "role" in named:
            named += METRICS_OF_ROLES
    return list(dict.fromkeys(owner[name] for name in named if name in owner))


def ask(table: HeadTable, query: Query) -> Answer:
    """The rows of `table` that a query asks for.

    Raises:
        AttnvizError: a condition that cannot be read, or a column that does not exist.
    """
    has_roles = table.value.keys() >= set(METRICS_OF_ROLES)
    role_of = np.array(roles(table) if has_roles else [""] * len(table), dtype=object)
    columns = table.columns()
    numbers = tuple(dict.fromkeys((*table.value, *columns)))  # metrics first, to be offered
    which = np.arange(len(table))
    notes, asked = [], []
    if query.where is not None:
        every = {name: columns[name] for name in numbers} | {"role": role_of}
        conditions = parse_conditions(query.where, every, {"role": role_names()})
        which = which[fulfil(conditions, every)]
        asked += [condition.column for condition in conditions if condition.column in columns]
        notes.append(
            say("{n} of {total} heads fulfil {condition}",
                n=len(which), total=len(table), condition=query.where)
        )  # fmt: skip
    if query.sort is not None:
        rising = query.sort.startswith("-")
        name = find_column(query.sort.removeprefix("-"), numbers, "--sort", "column of numbers")
        asked.append(name)
        keys = columns[name][which] * (1.0 if rising else -1.0)
        which = which[np.argsort(keys, kind="stable")]
        title = column_title(name)
        notes.append(
            say("sorted by {column}, smallest first", column=title)
            if rising
            else say("sorted by {column}, largest first", column=title)
        )
    if query.top is not None and query.top < len(which):
        notes.append(say("the first {n} of {total} heads shown", n=query.top, total=len(which)))
        which = which[: query.top]
    chosen = table.take(which.tolist())
    return Answer(chosen, role_of[which].tolist(), notes, list(dict.fromkeys(asked)))


def parse_conditions(
    text: str, columns: Mapping[str, Array], words: Mapping[str, Sequence[str]]
) -> list[Condition]:
    """The conditions of a text, joined by `and` or commas, about columns [n_row] that exist.

    Args:
        words: of columns of words, all that can stand there, whether or not it does; they can be
            compared with = and != only.
    """
    parts = re.split(r"\s+and\s+|,", text)
    return [_condition(text, part, columns, words) for part in parts]


def fulfil(conditions: list[Condition], columns: Mapping[str, Array]) -> Bool:
    """The rows that meet all conditions, [n_row]."""
    n_row = len(next(iter(columns.values())))
    rows = np.ones(n_row, bool)
    for condition in conditions:
        rows &= condition.holds(columns)
    return rows


def _condition(
    text: str, part: str, columns: Mapping[str, Array], words: Mapping[str, Sequence[str]]
) -> Condition:
    match = CONDITION.fullmatch(part)
    if match is None or re.search(r"\b(and|or|not)\b|[()]", part):
        raise AttnvizError(f"--where {text!r}: cannot read {part.strip()!r}", EXAMPLE)
    name, sign, value = match.groups()
    name = find_column(name, columns, f"--where {text!r}")
    if name in words:
        if sign not in ("=", "==", "!="):
            raise AttnvizError(
                f"--where {text!r}: {name} is a word; {sign} compares numbers",
                f"{name} = {value}",
            )
        value = next((word for word in words[name] if say(word) == value), value)
        if value not in words[name]:
            raise AttnvizError(
                f"--where {text!r}: there is no {name} {value!r}", nearest(value, words[name])
            )
        return Condition(name, sign, value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise AttnvizError(
            f"--where {text!r}: {name} is compared with a number, got {value!r}", EXAMPLE
        )
    return Condition(name, sign, number)
