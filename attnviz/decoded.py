"""What a decoder wrote, step by step: it stands beside the trace of the whole."""

from __future__ import annotations

from typing import NamedTuple

from attnviz.trace import Record


class Step(NamedTuple):
    """One token written."""

    id: int
    probability: float
    records: tuple[Record, ...]
    """Of the decoder, if asked for: one row a token that was read in this step."""


class Generated(NamedTuple):
    """What a decoder wrote."""

    read: tuple[int, ...]
    """The ids that it read: what it was given, and all that it wrote but the last."""
    n_given: int
    steps: tuple[Step, ...]
    ended: bool
    """Whether it wrote the end itself; else it was stopped."""

    @property
    def written(self) -> tuple[int, ...]:
        return tuple(step.id for step in self.steps)
