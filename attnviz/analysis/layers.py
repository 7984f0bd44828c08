"""How the attentions of a model compute, layer by layer, put together where they are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from attnviz.language import say
from attnviz.nn.site import Site


class LayerGroup(NamedTuple):
    """Layers whose attentions differ in their weights only."""

    block: str
    kind: str
    layers: tuple[int, ...]
    n_head: int
    n_kv_head: int
    mask: tuple[str, ...]
    score: str | None
    scale: float | None
    softcap: float | None

    @property
    def sharing(self) -> str:
        """Which key/value head a query head uses."""
        if self.n_head == self.n_kv_head:
            return say("each its own")
        if self.n_kv_head == 1:
            return say("all share one")
        return say("{n}: head h uses h // {m}", n=self.n_kv_head, m=self.n_head // self.n_kv_head)


def layer_groups(sites: Sequence[Site]) -> list[LayerGroup]:
    """The groups, in the order of their first layers."""
    groups: dict[tuple[object, ...], list[Site]] = {}
    for site in sites:
        alike = (*site.id.group, site.n_head, site.n_kv_head, site.mask, site.score, site.softcap)
        groups.setdefault((*alike, _rounded(site.scale)), []).append(site)
    return [
        LayerGroup(
            block=group[0].block,
            kind=group[0].kind,
            layers=tuple(site.layer for site in group),
            n_head=group[0].n_head,
            n_kv_head=group[0].n_kv_head,
            mask=group[0].mask,
            score=group[0].score,
            scale=group[0].scale,
            softcap=group[0].softcap,
        )
        for group in groups.values()
    ]


def ranges(numbers: Sequence[int]) -> str:
    """`0-4,6` for 0, 1, 2, 3, 4 and 6, in ascending order."""
    parts: list[tuple[int, int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _rounded(scale: float | None) -> str:
    return "" if scale is None else f"{scale:.6g}"
