"""The array type of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Bool: TypeAlias = NDArray[np.bool_]
else:  # importing numpy.typing would cost a third of the start of the command line
    Array = Bool = np.ndarray

MAX_REPR = 60
"""Characters of a field in the `repr` of a result."""


def floating(x: Array) -> Array:
    """`x` itself if it holds float32 or float64; half precision, whole numbers and booleans as
    float32: what is inspected should not be blurred by the inspection.

    x [...] -> [...].
    """
    wide = np.issubdtype(x.dtype, np.floating) and x.dtype.itemsize >= 4
    if wide:
        return x
    with np.errstate(invalid="ignore"):  # a signalling NaN of half precision
        return x.astype(np.float32)


def to_bfloat16(x: Array) -> Array:
    """Finite numbers rounded to the nearest of bfloat16, ties to even, as float32.

    x [...] -> [...].
    """
    bits = np.asarray(x, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return np.asarray(rounded.view(np.float32))


def brief(result: Any) -> str:
    """The `repr` of a result: its fields, arrays by their shapes and never by their numbers."""
    fields = result._asdict() if hasattr(result, "_asdict") else vars(result)
    parts = (f"{name} {_in_short(value)}" for name, value in fields.items())
    return f"<{type(result).__name__}: {', '.join(parts)}>"


def _in_short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(list(value.shape))
    text = repr(value)
    if isinstance(value, tuple | list | dict) and len(text) > MAX_REPR:
        return f"{len(value)} of {type(next(iter(value))).__name__}"
    return text if len(text) <= MAX_REPR else f"{text[:MAX_REPR]}…"
