"""Where in a transformer an attention sits, and how it computes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from attnviz.errors import AttnvizError

KINDS = ("self", "cross")


class RecordId(str):
    """The id of an attention and of its record: `encoder.0.self`.

    A string like any other, as a key or in JSON, that knows its parts. Only here are ids spelled
    and parsed.
    """

    __slots__ = ("block", "kind", "layer")

    block: str
    """`encoder` or `decoder`; `array` where a file does not say."""
    layer: int
    kind: str
    """`self` or `cross`."""

    def __new__(cls, block: str, layer: int, kind: str) -> RecordId:
        self = super().__new__(cls, f"{block}.{layer}.{kind}")
        self.block, self.layer, self.kind = block, layer, kind
        return self

    def __getnewargs__(self) -> tuple[str, int, str]:  # type: ignore[override]
        return self.block, self.layer, self.kind

    @classmethod
    def parse(cls, text: str) -> RecordId:
        """The id that `text` spells. Raises AttnvizError if it does not spell one."""
        match = re.fullmatch(rf"(\w+)\.(0|[1-9][0-9]*)\.({'|'.join(KINDS)})", text)
        if match is None:
            raise AttnvizError(
                f"{text!r} is not the id of a record", "ids have the form encoder.0.self"
            )
        return cls(match[1], int(match[2]), match[3])

    @property
    def place(self) -> tuple[str, int]:
        """Its block and layer."""
        return self.block, self.layer

    @property
    def group(self) -> tuple[str, str]:
        """Its block and kind: what the attentions of all layers have in common."""
        return self.block, self.kind


@dataclass(frozen=True, slots=True)
class Site:
    """Where an attention sits, which streams of tokens it reads, and how it computes."""

    id: RecordId
    queries: str
    """The stream whose tokens are the rows."""
    keys: str
    """The stream whose tokens are the columns."""
    n_head: int
    n_kv_head: int
    mask: tuple[str, ...] = ()
    """The names of the mask's rules; none where nothing is masked."""
    score: str | None = None
    """The name of the score; None where a file does not say."""
    scale: float | None = None
    """What the score is multiplied by; None where a file does not say."""
    softcap: float | None = None
    """The scores are capped at ± this, if at all."""
    sinks: bool = False
    """Whether learned sinks take some of each row, which then sums to less than 1."""
    n_content: int | None = None
    """How many features of q and k, the first ones, know no position, where rotated ones stand
    behind them: latent attention. None elsewhere."""
    merged_words: bool = False
    """Whether the rows and columns are words, put together of the tokens' pieces."""
    head: int | None = None
    """Of one head that was taken from several, its number among them."""

    @property
    def block(self) -> str:
        return self.id.block

    @property
    def layer(self) -> int:
        return self.id.layer

    @property
    def kind(self) -> str:
        return self.id.kind

    @property
    def score_and_scale(self) -> tuple[str, float]:
        """For computing it again: where a file says nothing, a plain scaled dot product of which
        the scale is not known is taken as it is."""
        return self.score or "scaled_dot", 1.0 if self.scale is None else self.scale

    @property
    def mask_name(self) -> str:
        """The names of the mask's rules as one, `causal+padding`; `none` without any."""
        return "+".join(self.mask) or "none"
