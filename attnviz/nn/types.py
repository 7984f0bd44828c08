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
