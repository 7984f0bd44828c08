"""One reading of a dump: what is wanted of it, and what was found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.specs import DEFAULT, Conventions
from attnviz.nn.types import Array

GIVEN = ("scores", "capped", "logits", "weights", "context")
"""The stages that a dump may hold, in the order in which they are computed."""


@dataclass(frozen=True, eq=False)
class Request:
    """What the user says of the attention that is wanted; None: the dump says it, or it is the
    convention's default."""

    layout: str | None = None
    n_head: int | None = None
    """Of q, where the heads lie side by side in the width."""
    scale: float | None = None
    causal: bool | None = None
    alignment: str | None = None
    """`lower_right` or `upper_left`."""
    window: int | None = None
    softcap: float | None = None
    d_model: int | None = None
    dtypes: Mapping[str, str] | None = None
    """Array name, or `*` for all -> the type that its bits stand for: {"q": "bfloat16"}."""
    conventions: Conventions = DEFAULT


@dataclass(frozen=True, eq=False)
class Case:
    """A dump with its axes arranged, under one of the readings that its shapes allow."""

    wanted: Computation
    given: Mapping[str, Array]
    """Stage of `GIVEN` -> [n_batch, n_head, n_q, n_k or d_v], as floating-point numbers that the
    dump holds, NaN and infinity included."""
    dtype: str = "float32"
    """Of `noise.DTYPES`: the coarsest type of the arrays, which bounds how exact they can be."""
    averaged: frozenset[str] = frozenset()
    """The stages that are means over the heads, [n_batch, 1, n_q, n_k]."""
    layout: str = ""
    """`bhnd`."""
    reading: tuple[str, ...] = ()
    """How the arrays were read, in sentences."""
    fixes: Mapping[str, str] = field(default_factory=dict)
    """Name of a mistake -> what to do about it where the conventions have words of their own."""
    finite: bool = False
    """Whether the mask is a finite number that is added: then a query that sees no key is right
    with the weights that such a number leaves it, and with zeros."""
    rank: int = 0
    """0: the usual reading; the higher, the less likely before the numbers are looked at."""
