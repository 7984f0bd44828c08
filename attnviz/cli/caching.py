"""The key/value cache that a command's options ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.spread import one_of

if TYPE_CHECKING:
    from attnviz.nn.cache import Cache

CACHES = ("contiguous", "paged", "none")
HOW = "How keys and values are kept"


@dataclass(frozen=True)
class CacheOptions:
    """How a decoder keeps the keys and values of what it has read."""

    cache: Annotated[
        str,
        typer.Option(
            help="contiguous, paged, or none: all is computed anew at every step",
            rich_help_panel=HOW,
        ),
    ] = "contiguous"
    block_size: Annotated[
        int, typer.Option(help="Tokens in a block of a paged cache", rich_help_panel=HOW)
    ] = 16
    kv_blocks: Annotated[
        int, typer.Option(help="Blocks that a paged cache has", rich_help_panel=HOW)
    ] = 64

    def __post_init__(self) -> None:
        one_of("cache", self.cache, CACHES)

    @property
    def factory(self) -> Callable[[], Cache] | None:
        """What makes an empty cache; None for no cache."""
        from attnviz.nn.blocks import BlockPool
        from attnviz.nn.cache import ContiguousCache
        from attnviz.nn.paged import PagedCache

        if self.cache == "none":
            return None
        if self.cache == "contiguous":
            return ContiguousCache
        pool = BlockPool(self.kv_blocks, self.block_size)
        return lambda: PagedCache(pool)
