"""`induction > 0.5 and layer >= 2`: which rows of a table are wanted."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
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

CONDITION = re.compile(r"\s*([A-Za-z]\w*)\s*(>=|<=|!=|==|=|>|<)\s*(.+?)\s*")

EXAMPLE = "COLUMN > NUMBER, joined by `and`: 'induction > 0.5 and layer >= 2', 'role = sink'"


class Condition(NamedTuple):
    """A column, a comparison, and what it is compared with."""

    column: str
    sign: str
    value: float | str

    def holds(self, columns: Mapping[str, Array]) -> Bool:
        """[n_row]; NaN fulfils nothing, not even that it differs."""
        values = columns[self.column]
        found: Bool = np.asarray(COMPARE[self.sign](values, self.value), bool)
        found &= values == values
        return found


def parse_conditions(
    text: str, columns: Mapping[str, Array], words: Mapping[str, Sequence[str]]
) -> list[Condition]:
    """The conditions of a text, joined by `and` or commas, about columns that there are.

    Args:
        words: of columns of words, all that can stand there, whether or not it does; they can be
            compared with = and != only.
    """
    parts = re.split(r"\s+and\s+|,", text)
    return [_condition(text, part, columns, words) for part in parts]


def fulfil(conditions: list[Condition], columns: Mapping[str, Array]) -> Bool:
    """The rows that meet all conditions, [n_row]."""
    n_row = len(next(iter(columns.values())))
    found = np.ones(n_row, bool)
    for condition in conditions:
        found &= condition.holds(columns)
    return found


def _condition(
    text: str, part: str, columns: Mapping[str, Array], words: Mapping[str, Sequence[str]]
) -> Condition:
    match = CONDITION.fullmatch(part)
    if match is None or re.search(r"\b(and|or|not)\b|[()]", part):
        raise AttnvizError(f"--where {text!r}: cannot read {part.strip()!r}", EXAMPLE)
    name, sign, value = match.groups()
    if name not in columns:
        raise AttnvizError(f"--where {text!r}: there is no column {name!r}", nearest(name, columns))
    if name in words:
        if sign not in ("=", "==", "!="):
            raise AttnvizError(
                f"--where {text!r}: {name} is a word; {sign} compares numbers",
                f"{name} = {value}",
            )
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
