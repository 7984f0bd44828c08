"""The conventions of a specification or a library: what its attention is meant to compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attnviz.analysis.diagnose.computation import STEPS, Step


@dataclass(frozen=True)
class Conventions:
    """What a reader of q, k, v and a mask has to know that the arrays do not say."""

    name: str = "attnviz"
    true_is: Literal["visible", "hidden"] = "visible"
    """What True means in a boolean mask."""
    causal: Literal["lower_right", "upper_left"] = "lower_right"
    """Where the queries stand among more keys."""
    default_scale: Literal["1/√d_k", "1"] = "1/√d_k"
    steps: tuple[Step, ...] = STEPS
    """The order of scale, softcap, bias and mask."""
    empty_rows: Literal["zero", "nan", "uniform"] = "zero"
    """What a query gets that sees no key."""
    layout: str | None = None
    """The axes that are tried first: `bhnd`."""


DEFAULT = Conventions()
