"""The card of a model that attnviz trained: its data, licence and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import TensorFile
from attnviz.models.json_object import read_object

KINDS: dict[str, type] = {
    "figures": dict,
    "figures_text": dict,
    "limits": list,
    "training_seconds": float,
}


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of the model in a folder, if there is one."""
    path = folder / "card.json"
    if not path.exists():
        return None
    card = read_object(path, "install attnviz again")
    if "sha256" not in card:
        return None  # somebody else's file of that name
    for key, kind in KINDS.items():
        value = card.get(key, kind())
        if not isinstance(float(value) if isinstance(value, int) else value, kind):
            raise AttnvizError(f"{path}: {key} is not a {kind.__name__}", "install attnviz again")
    return card


def check_card(folder: Path, weights: TensorFile) -> None:
    """Raise AttnvizError if the weights are not those that the card's figures are of."""
    card = read_card(folder)
    if card is not None and card.get("sha256") != weights.sha256():
        raise AttnvizError(
            f"{weights.path} is damaged: its SHA-256 is not the one in card.json",
            "install attnviz again, or train the model again",
        )
