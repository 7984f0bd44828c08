"""The types that numbers were computed in, which are not always those that a file holds them in.

NumPy has no bfloat16: it is saved as its bits, or widened. Half precision is often widened before
it is saved, and then still as coarse as it was.
"""

from __future__ import annotations

import numpy as np

from attnviz.archive.safetensors import widen_bfloat16
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.types import Array

NAMES = {
    "bfloat16": ("bf16",),
    "float16": ("fp16", "f16", "half"),
    "float32": ("fp32", "f32", "float"),
    "float64": ("fp64", "f64", "double"),
}
"""A type -> how else it is written."""

EPS = {
    "bfloat16": 2.0**-7,
    "float16": 2.0**-10,
    "float32": 2.0**-23,
    "float64": 2.0**-52,
}
"""The relative precision of each: the distance from 1 to the next number."""

N_LOOKED_AT = 1 << 20
"""Numbers of an array by which its type is told."""

N_STRETCH = 16
"""Stretches of a large array that they lie in: it may be on a disk."""

MIN_NUMBERS = 8
LAST_BIT = 1 / 8
"""Of numbers that were rounded to a type, the last bit is set in half; of whole numbers and the
like, which any type holds, in hardly any. So many are between the two."""

SPREAD = (0.5, 6.0)
"""The standard deviation of log2 |x| that activations have: normal numbers have 1.6."""


def canonical(text: str) -> str:
    """A type as somebody writes it, `bf16`, by the name it has here."""
    word = text.strip().casefold().removeprefix("torch.").removeprefix("jnp.")
    for name, others in NAMES.items():
        if word == name or word in others:
            return name
    raise AttnvizError(f"unknown type {text!r}", f"known: {', '.join(NAMES)}, or bf16, fp16, fp32")


def reinterpreted(name: str, x: Array, dtype: str) -> Array:
    """Numbers of a type whose bits an array holds; bfloat16 becomes float32. An array of numbers
    that are so wide, or wider, stays as it is.

    Raises:
        AttnvizError: the bits are not as many as those of the type.
    """
    if x.dtype.kind == "f":
        return x
    width = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}[dtype]
    if dtype == "bfloat16" and x.dtype.kind in "uiV" and x.dtype.itemsize == 4:
        return x.view(np.float32)  # widened, and its bits kept
    if x.dtype.kind not in "uiV" or x.dtype.itemsize != width:
        raise AttnvizError(
            f"{name} holds {x.dtype}, which are not the bits of {dtype}",
            f"{dtype} takes {width} bytes a number",
        )
    if dtype == "bfloat16":
        return widen_bfloat16(_bits(x))
    return _bits(x).view(dtype)


def type_name(x: Array) -> str:
    """The type of an array [...] that cannot be read, for errors."""
    if x.dtype.kind == "V" and x.dtype.itemsize == 1:
        return "bytes, as NumPy writes float8 without saying which"
    return str(x.dtype)


def _bits(x: Array) -> Array:
    """The bits of an array as whole numbers of its width."""
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return x.view(unsigned.newbyteorder(x.dtype.byteorder)).astype(unsigned, copy=False)


def guessed_bits(x: Array) -> str | None:
    """The type of 2 bytes whose bits an array of whole numbers holds; None if it may be neither,
    or either."""
    if x.dtype.kind == "V" and x.dtype.itemsize == 2:
        return "bfloat16"  # what NumPy writes of types that it does not know
    if x.dtype not in (np.dtype(np.uint16), np.dtype(np.int16)):
        return None
    some = _bits(sample(x))
    fits = [
        name
        for name, numbers in (
            ("bfloat16", widen_bfloat16(some)),
            ("float16", some.view(np.float16)),
        )
        if _are_activations(numbers)
    ]
    return fits[0] if len(fits) == 1 else None


def bits_note(name: str, dtype: str) -> str:
    """What is to be said of such an array."""
    return say("{name}: its whole numbers are read as the bits of {dtype}", name=name, dtype=dtype)


def _are_activations(x: Array) -> bool:
    """Whether numbers lie about as those do that a model computes: within some powers of 2."""
    x = np.abs(x.astype(np.float64))
    x = x[(x > 0) & np.isfinite(x)]
    if len(x) < MIN_NUMBERS:
        return False
    powers = np.log2(x)
    return SPREAD[0] < float(powers.std()) < SPREAD[1] and abs(float(np.median(powers))) < 20


def true_type(x: Array) -> str:
    """The narrowest type that the numbers of an array have been rounded to: `float16` also where
    they were widened before they were saved."""
    if x.dtype.kind != "f":
        return "float32"
    stored = {2: "float16", 4: "float32"}.get(x.dtype.itemsize, "float64")
    some = sample(x)
    some = some[np.isfinite(some) & (some != 0)]
    if len(some) < MIN_NUMBERS or stored == "float16":
        return stored
    if stored == "float64":
        with np.errstate(over="ignore"):  # not narrow, then
            narrow = some.astype(np.float32)
        if not np.array_equal(narrow, some) or not _uses_last_bit(narrow, 0):
            return _of_float32(narrow, stored) if np.array_equal(narrow, some) else stored
        return "float32"
    return _of_float32(some, stored)


def _of_float32(x: Array, otherwise: str) -> str:
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    if not (bits & np.uint32(0xFFFF)).any():
        return "bfloat16" if _uses_last_bit(x, 16) else otherwise
    with np.errstate(all="ignore"):
        narrow = x.astype(np.float16)
    if np.array_equal(narrow.astype(x.dtype), x) and _uses_last_bit(x, 13):
        return "float16"
    return otherwise


def _uses_last_bit(x: Array, place: int) -> bool:
    """Whether the bit `place` of float32 is set in so many numbers as rounding leaves it in."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32) >> np.uint32(place)
    return float((bits & np.uint32(1)).mean()) > LAST_BIT


def sample(x: Array) -> Array:
    """All numbers of an array, or evenly spaced stretches of a large one: [...] -> [n]."""
    if x.size <= N_LOOKED_AT:
        return np.asarray(x).reshape(-1)
    flat = x.reshape(-1) if x.flags.c_contiguous else x.T.reshape(-1)
    length = N_LOOKED_AT // N_STRETCH
    starts = np.linspace(0, x.size - length, N_STRETCH).astype(int)
    return np.concatenate([flat[start : start + length] for start in starts])
