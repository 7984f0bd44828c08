"""The stages of an attention, by name, and who takes them while it computes."""

from __future__ import annotations

from typing import Protocol

from attnviz.nn.types import Array

STAGES = ("q", "k", "v", "scores", "logits", "mask", "weights", "context")
MATRICES = ("scores", "logits", "weights")
"""Those of every head, query and key."""


class StageKeeper(Protocol):
    """Is handed the stages of one attention; besides STAGES `bias` and `masked_by`."""

    def wants(self, stage: str) -> bool:
        """Whether it will keep this stage: what it does not want need not be computed whole."""
        ...

    def keep(self, stage: str, array: Array) -> None: ...


class DiscardStages:
    """Of a run that nobody records: keeps nothing, so nothing is copied."""

    def wants(self, stage: str) -> bool:
        return False

    def keep(self, stage: str, array: Array) -> None:
        pass


class CollectStages:
    """Keeps every stage, by name."""

    def __init__(self) -> None:
        self.stages: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return True

    def keep(self, stage: str, array: Array) -> None:
        self.stages[stage] = array
