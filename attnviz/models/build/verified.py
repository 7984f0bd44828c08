"""Which families are verified: what the tests measured against transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from attnviz.models.json_object import read_object

TABLE = Path(__file__).parent / "verified.json"
"""Written by `ATTNVIZ_UPDATE=1 pytest tests/models/build`."""


class Verified(NamedTuple):
    """Bounds, with room, of the differences from transformers in the tests of a family, in
    float32. They are those of its tiny checkpoints, not of any other one."""

    variants: tuple[str, ...]
    """The tiny checkpoints, one for every option of the family that changes the numbers."""
    cases: tuple[str, ...]
    """The inputs that they were run on."""
    attentions: float
    hidden_states: float
    logits: float | None
    """None where the family's output is not computed."""
    transformers: str
    """The version compared with."""

    @property
    def summary(self) -> str:
        """For the screen."""
        logits = "" if self.logits is None else f", logits within {self.logits:.0e}"
        return (
            f"its family, not this one: tiny checkpoints against transformers {self.transformers}, "
            f"attention within {self.attentions:.0e}, hidden states within "
            f"{self.hidden_states:.0e}{logits}"
        )


def verified() -> Mapping[str, Verified]:
    """By family: `model_type`, with _ where that may have -."""
    families = read_object(TABLE, "install attnviz again")
    return {
        family: Verified(**fields)._replace(
            variants=tuple(fields["variants"]), cases=tuple(fields["cases"])
        )
        for family, fields in families.items()
    }


def markdown() -> str:
    """The table of `.github/docs/checkpoints.md`."""
    lines = [
        "| family | checkpoints | inputs | attention | hidden states | logits |",
        "|---|---|---|---|---|---|",
    ]
    for family, measured in sorted(verified().items()):
        logits = "–" if measured.logits is None else f"{measured.logits:.0e}"
        lines.append(
            f"| `{family}` | {len(measured.variants)} | {', '.join(measured.cases)} "
            f"| {measured.attentions:.0e} | {measured.hidden_states:.0e} | {logits} |"
        )
    return "\n".join(lines) + "\n"


def names() -> str:
    """The line of the README."""
    return f"{len(verified())} families: " + ", ".join(f"`{name}`" for name in sorted(verified()))
