"""The stages of an attention, by name, and who takes them while it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attnviz.nn.types import Array

if TYPE_CHECKING:
    from attnviz.nn.streaming import Inputs, TileReader

STAGES = ("q", "k", "v", "scores", "logits", "mask", "weights", "context")
MATRICES = ("scores", "logits", "weights")
"""Those of every head, query and key."""

TERMS = ("content_to_position", "position_to_content")
"""Parts of the bias that take a query or a key: of the few attentions that have them."""

VECTORS = ("q", "k", "v", "context")
"""Those of every head and token."""


class StageKeeper(Protocol):
    """Is handed the stages of one attention; besides STAGES `bias`, TERMS and `masked_by`."""

    def wants(self, stage: str) -> bool:
        """Whether it will keep this stage: what it does not want need not be computed whole."""
        ...

    def keep(self, stage: str, array: Array) -> None: ...

    def reader(self, inputs: Inputs) -> TileReader | None:
        """Who reads the weights tile by tile, instead of matrices that are kept; None: nobody."""
        ...


class DiscardStages:
    """Of a run that nobody records: keeps nothing, so nothing is copied."""

    def wants(self, stage: str) -> bool:
        return False

    def keep(self, stage: str, array: Array) -> None:
        pass

    def reader(self, inputs: Inputs) -> TileReader | None:
        return None


class CollectStages:
    """Keeps every stage, by name."""

    def __init__(self) -> None:
        self.stages: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return True

    def keep(self, stage: str, array: Array) -> None:
        self.stages[stage] = array

    def reader(self, inputs: Inputs) -> TileReader | None:
        return None
