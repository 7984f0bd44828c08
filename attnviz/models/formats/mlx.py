"""Weights that MLX quantised: whole numbers of some bits, with a scale and a shift for each group.

A matrix NAME.weight [d_out, d_in] is stored as NAME.weight [d_out, d_in·bits/32] of uint32, a
stream of bits from the lowest to the highest, NAME.scales and NAME.biases [d_out, d_in/group].
Source: MLX, `mlx.core.quantize` (mode affine).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import UNQUANTISED, Rows, TensorFile
from attnviz.nn.types import Array
from attnviz.tokens import label

FIELD = "quantization"
"""Of config.json, where MLX says how it quantised."""

BITS = (2, 3, 4, 5, 6, 8)
WORD = 32
BESIDE = (".scales", ".biases")
"""What lies beside the words of a matrix."""


def is_affine(config: Mapping[str, Any]) -> bool:
    """Whether a config is that of weights that MLX quantised so."""
    said = config.get(FIELD)
    repeated = config.get("quantization_config")
    return (
        isinstance(said, dict)
        and {"bits", "group_size"} <= said.keys()
        and said.get("mode", "affine") == "affine"
        and (repeated is None or repeated == said)
    )


class MLXWeights:
    """The weights of a file as matrices of numbers, whatever their layout in the file."""

    def __init__(self, file: TensorFile, config: Mapping[str, Any]) -> None:
        self._file, self._said = file, config[FIELD]
        self.path, self.n_byte, self.sha256 = file.path, file.n_byte, file.sha256
        self._groups = {
            name.removesuffix(".scales"): self._group(name.removesuffix(".scales"))
            for name in file.shapes
            if name.endswith(".scales")
        }
        self.shapes = {
            name: self._shape(name, shape)
            for name, shape in file.shapes.items()
            if name.rpartition(".")[0] not in self._groups
            or not name.endswith(("scales", "biases"))
        }

    def copies(self, name: str) -> bool:
        return self._is_quantised(name) or self._file.copies(name)

    def read(self, name: str, rows: Rows | None = None) -> Array:
        """The tensor or some of its rows."""
        if not self._is_quantised(name):
            return self._file.read(name, rows)
        base = name.removesuffix(".weight")
        bits, _ = self._groups[base]
        words = self._file.read(name, rows)
        if words.dtype != np.uint32:
            raise self._error(base, f"expected uint32, got {words.dtype}")
        scales, shifts = (
            self._file.read(base + part, rows).astype(np.float32)[..., None] for part in BESIDE
        )
        numbers = unpacked(words, bits).astype(np.float32)
        groups = numbers.reshape(*scales.shape[:-1], -1)
        groups *= scales
        groups += shifts
        return numbers

    def _is_quantised(self, name: str) -> bool:
        return name.endswith(".weight") and name.removesuffix(".weight") in self._groups

    def _shape(self, name: str, stored: tuple[int, ...]) -> tuple[int, ...]:
        if not self._is_quantised(name):
            return stored
        bits, _ = self._groups[name.removesuffix(".weight")]
        return (*stored[:-1], stored[-1] * WORD // bits)

    def _group(self, base: str) -> tuple[int, int]:
        """The bits of a number and the size of a group, which a matrix may have of its own."""
        own = self._said.get(base)
        said = own if isinstance(own, dict) else self._said
        bits, size = said.get("bits"), said.get("group_size")
        if bits not in BITS or not isinstance(size, int) or size < 1:
            raise self._error(base, f"bits = {bits}, group_size = {size} in {FIELD}")
        shapes = [
            self._file.shapes.get(f"{base}.{part}") for part in ("weight", "scales", "biases")
        ]
        weight, scales, shifts = shapes
        if weight is None or scales is None or scales != shifts:
            raise self._error(base, "expected weight, scales and biases, the last two alike")
        if weight[:-1] != scales[:-1] or weight[-1] * WORD != scales[-1] * size * bits:
            raise self._error(
                base,
                f"weight {list(weight)} and scales {list(scales)} do not fit {bits} bits in groups "
                f"of {size}",
            )
        return bits, size

    def _error(self, base: str, problem: str) -> AttnvizError:
        return AttnvizError(f"{self.path}: {label(base)}, quantised by MLX: {problem}", UNQUANTISED)


def unpacked(words: Array, bits: int) -> Array:
    """words [..., n_word] of uint32 -> the whole numbers of `bits` bits in them, [..., n]."""
    stream = np.ascontiguousarray(words, "<u4").view(np.uint8)
    if 8 % bits:
        single = np.unpackbits(stream, axis=-1, bitorder="little")
        digits = single.reshape(*words.shape[:-1], -1, bits)
        whole: Array = digits @ (1 << np.arange(bits)).astype(np.uint8)
        return whole
    parts = stream[..., None] >> np.arange(0, 8, bits, dtype=np.uint8)
    return (parts & np.uint8((1 << bits) - 1)).reshape(*words.shape[:-1], -1)
