"""Multiplications, counted while a computation runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attnviz.nn.types import Array


class Tally:
    """A number that goes up."""

    def __init__(self) -> None:
        self.count = 0


class _Counted(np.ndarray):
    """An array whose products are counted, and those of all that comes of it."""

    tally: Tally | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.tally = getattr(source, "tally", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = tuple(_plain(array) for array in options["out"])
        plain = [_plain(array) for array in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        if method == "__call__" and self.tally is not None:
            self.tally.count += _products(ufunc, plain, result)
        return result if "out" in options else _counted(result, self.tally)


def count_products(function: Callable[..., Any], *arrays: Array) -> int:
    """How many numbers `function(*arrays)` multiplies by another: in products of matrices and of
    arrays. Products with a single number, and other operations, are left out.

    A product counts if one of the two comes from `arrays`; functions such as `np.pad` make new
    arrays, which nobody watches, so the weights had better be among them.
    """
    tally = Tally()
    function(*(_counted(array, tally) for array in arrays))
    return tally.count


def _products(ufunc: np.ufunc, inputs: list[Any], result: Any) -> int:
    if ufunc is np.matmul:
        return int(np.size(result) * np.shape(inputs[0])[-1])
    if ufunc is np.multiply and all(np.ndim(array) for array in inputs):
        return int(np.size(result))
    return 0


def _plain(array: Any) -> Any:
    return array.view(np.ndarray) if isinstance(array, _Counted) else array


def _counted(array: Any, tally: Tally | None) -> Any:
    if not isinstance(array, np.ndarray):
        return array
    counted = array.view(_Counted)
    counted.tally = tally
    return counted
