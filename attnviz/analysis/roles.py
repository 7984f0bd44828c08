"""What a head is called, by rules that are stated and that neither an even spread nor chance on a
short text meets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics.table import HeadTable
from attnviz.language import say, to_say
from attnviz.nn.types import Bool

MIXED = to_say("mixed")

UNDEFINED = to_say("undefined")
"""Of a head of which nothing could be measured: its rows are no distributions over the keys."""

OF_REPEATS = (to_say("induction"), to_say("duplicate-token"))
"""Roles of heads that find tokens that come again."""

MIN_ROWS = 4
"""Fewer queries are no ground for a name."""

MARGIN = 0.25

DEVIATIONS = 3.0


OF_EACH = 3
"""Heads of a role that stand for it."""


class Role(NamedTuple):
    """A name and what a head must do to have it."""

    name: str
    metric: str
    minimum: float
    """The metric must be this at least, and its null less."""
    margin: float = MARGIN
    """By so much the metric must exceed its null."""
    deviations: float = DEVIATIONS
    """And by so many standard deviations of a head whose queries look at one key each, at random:
    over m queries they are √(null (1 - null) / m) at most."""

    @property
    def rule(self) -> str:
        """In a sentence of the reader's language."""
        return say(
            "{metric} ≥ {minimum:g}, and above its null by at least {margin:g} and by at least "
            "{deviations:g} standard deviations; the null itself is below {minimum:g}",
            metric=self.metric,
            minimum=self.minimum,
            margin=self.margin,
            deviations=self.deviations,
        )

    def holds(self, table: HeadTable) -> Bool:
        """[n_row]; a metric that is not defined meets no rule."""
        value, null = table.value[self.metric], table.null[self.metric]
        rows = table.rows[self.metric]
        deviation = np.sqrt(np.maximum(null * (1 - null), 0) / np.maximum(rows, 1))
        return np.asarray(
            (rows >= MIN_ROWS)
            & (value >= self.minimum)
            & (null < self.minimum)
            & (value - null >= np.maximum(self.margin, self.deviations * deviation))
        )


class Broad(NamedTuple):
    """The role of heads that are like their null."""

    name: str = to_say("broad")
    metric: str = "normalised_entropy"
    minimum: float = 0.9
    tokens: float = 8.0

    @property
    def rule(self) -> str:
        """In a sentence of the reader's language."""
        return say(
            "normalised_entropy ≥ {minimum:g}, where an even spread covers at least {tokens:g} "
            "tokens; on fewer, every head is broad",
            minimum=self.minimum,
            tokens=self.tokens,
        )

    def holds(self, table: HeadTable) -> Bool:
        """[n_row]"""
        return np.asarray(
            (table.rows["normalised_entropy"] >= MIN_ROWS)
            & (table.value["normalised_entropy"] >= self.minimum)
            & (table.null["effective_tokens"] >= self.tokens)
        )


ROLES: list[Role | Broad] = [
    Role(to_say("induction"), "induction", 0.5),
    Role(to_say("duplicate-token"), "duplicate_token", 0.5),
    Role(to_say("previous-token"), "previous_token", 0.5),
    Role(to_say("next-token"), "next_token", 0.5),
    Role(to_say("self"), "self_token", 0.5),
    Role(to_say("sink"), "first_token", 0.5),
    Role(to_say("special-token"), "special_tokens", 0.6),
    Role(to_say("other sink"), "sink_share", 0.5, deviations=5.0),  # the best of many keys
    Role(to_say("punctuation"), "punctuation", 0.5),
    Role(to_say("positional"), "positional", 0.9),
    Broad(),
]
"""In the order in which they are tried: a head has the first that fits. Clark et al. 2019 cluster
with 0.5 for a position and 0.6 for special tokens, Voita et al. 2019 call a head positional from
0.9; the other thresholds, and all margins and deviations, are this program's own."""


METRICS_OF_ROLES = (*(role.metric for role in ROLES), "effective_tokens")
"""What roles depend on."""


def role_names() -> list[str]:
    """All that a head can be called."""
    return [*(role.name for role in ROLES), MIXED, UNDEFINED]


def doubts(table: HeadTable) -> list[str]:
    """What speaks against taking the roles for more than they are, if anything does."""
    names = np.array(roles(table), dtype=object)
    periods = table.positions.get("period", np.full(len(table), np.nan))
    sentences = []
    for name in OF_REPEATS:
        those = periods[names == name]
        for period in sorted({int(period) for period in those[np.isfinite(those)]}):
            every = say("token") if period == 1 else say("{n} tokens", n=period)
            sentences.append(
                say("{role}: everything that repeats here does so every {tokens}, so a head that "
                    "always looks at one fixed offset would look the same",
                    role=say(name), tokens=every)
            )  # fmt: skip
    return sentences


def roles(table: HeadTable) -> list[str]:
    """The role of every row; `mixed` where no rule holds, `undefined` where no metric is."""
    defined = [np.isfinite(values) for values in table.value.values()]
    names = np.where(np.any(defined, axis=0), MIXED, UNDEFINED).astype(object)
    for role in reversed(ROLES):
        names[role.holds(table)] = role.name
    return [str(name) for name in names]


def clearest(table: HeadTable, names: Sequence[str], role: Role | Broad) -> list[int]:
    """The rows of the heads that have a role, the clearest first; `names`: the role of each."""
    rows = np.flatnonzero([name == role.name for name in names])
    order = np.argsort(-table.value[role.metric][rows], kind="stable")
    found: list[int] = rows[order].tolist()
    return found


def leading(table: HeadTable, count: int) -> list[int]:
    """The rows of at most `count` heads that have a role most clearly, a few of each role; where
    none has a role, of the most focused ones."""
    names = roles(table)
    having = [rows for role in ROLES if (rows := clearest(table, names, role))]
    if not having:
        focused = np.argsort(table.value["effective_tokens"], kind="stable")
        return [int(row) for row in focused[:count]]
    return [row for rows in having for row in rows[:OF_EACH]][:count]
