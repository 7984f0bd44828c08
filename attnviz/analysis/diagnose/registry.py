"""The registry of known mistakes, and what each knows of itself.

A mistake is a function from the computation that is wanted to those that somebody got instead:

    @MISTAKES.add(
        id="S1",
        title="no scale",
        computed="softmax(QKᵀ)",
        wanted="softmax(QKᵀ/√d_k)",
        fix="scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5",
        threads=("mlc-ai/mlc-llm#3426",),
    )
    def no_scale(c: Computation) -> Iterator[Variant]:
        yield Variant(replace(c, scale=1.0))

It gives nothing where it makes no sense (no mask to forget), and the likeliest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from attnviz.analysis.diagnose.computation import Computation
from attnviz.registry import Entry, Registry

Detection = Literal["exact", "parameter", "more", "weights", "equal", "rounding"]
"""How it can be told from numbers: `exact` from q, k, v, mask and output; `parameter` if a number
that is searched for is right (a window, a cap); `more` needs one more tensor (queries before RoPE,
a cache, block tables); `weights` needs the weights, or no more visible keys than d_v; `equal` gives
the same numbers as the reference, and is no mistake; `rounding` drowns in half precision."""

Family = Literal[
    "scale", "softmax", "mask", "causal", "heads", "layout", "position", "norm", "cache",
    "dropout", "precision",
]  # fmt: skip


class Variant(NamedTuple):
    """One way in which a mistake can be made."""

    computation: Computation
    parameter: Mapping[str, Any] = {}
    """What tells it from the other ways, as JSON can hold it: {"window": 129}."""
    words: str = ""
    """The same in words, where the entry's title does not say it: `1/√512`."""


class _Number(float):
    """Six digits, where a text does not say how many."""

    def __format__(self, spec: str) -> str:
        return super().__format__(spec or ".6g")


def filled(text: str, parameter: Mapping[str, Any]) -> str:
    """A text with the parameters of a mistake in it; as it is where they are not among them."""
    values = {k: _Number(v) if isinstance(v, float) else v for k, v in parameter.items()}
    try:
        return text.format_map(values)
    except (KeyError, IndexError, ValueError):
        return text


@dataclass(frozen=True)
class MistakeEntry(Entry):
    """A function of the wanted computation, `(Computation) -> Iterator[Variant]`."""

    id: str = ""
    """Of the catalogue: `S2`."""
    family: Family = "scale"
    title: str = ""
    """What was done, as it follows `your output is what you get with`: to be said."""
    computed: str = ""
    """The formula that was computed."""
    wanted: str = ""
    """The formula that should have been."""
    fix: str = ""
    """One line of code or one short sentence; `{name}` stands for a parameter."""
    threads: tuple[str, ...] = ()
    """Where others did the same: `owner/repository#number`."""
    detect: Detection = "exact"
    pairs: bool = False
    """Whether it is often made together with another one."""
    rarity: int = field(default=5)
    """1 common, 9 rare: of explanations that fit equally, the commonest comes first."""

    searched: bool = False
    """Whether it may be made with any number: that which was found in the dump is a fact."""

    def variants(self, c: Computation) -> Iterator[Variant]:
        return iter(self.function(c) or ())


MISTAKES: Registry[MistakeEntry] = Registry("mistake", MistakeEntry)
