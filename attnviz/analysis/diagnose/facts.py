"""What is known beside q, k and v, of which a mistake may have used the wrong thing."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz.nn.positions import RopeStyle
from attnviz.nn.types import Array, Bool


@dataclass(frozen=True, eq=False)
class Rotary:
    """Queries and keys before they are rotated, and the rotation that is wanted."""

    q: Array
    """[n_batch, n_head, n_q, d_k]"""
    k: Array
    """[n_batch, n_kv_head, n_k, d_k]"""
    q_positions: Array
    """[n_q], or [n_batch, n_q]"""
    k_positions: Array
    """[n_k], or [n_batch, n_k]"""
    base: float = 10_000.0
    style: RopeStyle = "half"
    width: int | None = None
    """How many of the d_k features are rotated; None: all."""
    frequencies: Array | None = None
    """[width / 2], radians a position, where a long context changed them; None: of the base."""
    gain: float = 1.0
    """What YaRN multiplies q and k by as it rotates them."""


@dataclass(frozen=True, eq=False)
class Paged:
    """A cache in blocks: where the keys and values of each text lie."""

    keys: Array
    """[n_block, block_size, n_kv_head, d_k]"""
    values: Array
    """[n_block, block_size, n_kv_head, d_v]"""
    tables: Array
    """[n_batch, max_blocks]: numbers of blocks; -1 ends a text's list."""
    lengths: Array
    """[n_batch]: tokens of each text."""


@dataclass(frozen=True, eq=False)
class Dropped:
    """Weights of the dump that dropout has set to 0, as they were found in its numbers."""

    kept: Bool
    """[n_batch, n_head, n_q, n_k]: False where one fell out."""
    rate: float
    """p"""
    ratio: float
    """What the others are multiplied by: 1/(1 - p), or 1."""
    n_dropped: int
    n_kept: int
    rows: tuple[int, int] | None = None
    """The first and the last query that show it; None: all do."""


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything optional: None or empty where the dump does not say."""

    d_model: int | None = None
    """The width of the model; the reference takes n_head · d_k where it is not known."""
    mask: Array | None = None
    """The mask as the file has it, before it was read as visible or hidden."""
    rotary: Rotary | None = None
    alibi: Array | None = None
    """[n_head]: slopes whose bias is part of `bias`."""
    paged: Paged | None = None
    normed_from: tuple[Array, Array] | None = None
    """q and k before their norm."""
    inputs: tuple[Array, Array] | None = None
    """x [n_batch, n, d_model] and the weight of the fused projection, [d_model, width]."""
    fused: Array | None = None
    """[n_batch, n, width]: what the fused projection gave, before it was split."""
    dropped: Dropped | None = None
    scale: tuple[float, str] | None = None
    """The scale of the dump, as it was found in its numbers, and its name: `1/√64 (d_k)`."""
    base: float | None = None
    """The base of the dump's rotation, as it was found in its numbers."""
    gain: Array | None = None
    """[n_head]: what the outputs of the dump are multiplied by, as it was found in its numbers."""
