"""The arguments of `attend`, checked before anything is computed.

Each function returns the argument as the formula takes it, or raises an AttnvizError that names
the argument, what was expected and what was found.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn import masks
from attnviz.nn.scores import SCORES, Score, entry_of
from attnviz.nn.types import Array

ALIGNMENTS = ("lower_right", "upper_left")


def numbers(name: str, value: Any) -> Array:
    """The argument as an array of real numbers, booleans among them, of any shape [...]."""
    array = as_array(name, value)
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):  # bfloat16 and the like
        return array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise AttnvizError(
            f"{name} holds {array.dtype}; expected real numbers", f"{name}.astype(np.float32)"
        )
    return array


def as_array(name: str, value: Any) -> Array:
    """The argument as an array of any type and shape [...]; ragged lists are refused."""
    if isinstance(value, np.ma.MaskedArray):
        raise AttnvizError(
            f"{name} is a masked array, whose mask would be lost; expected a plain array",
            f"{name}.filled(…), and give what is visible as `mask`",
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged; a tensor that has a gradient
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AttnvizError(
            f"{name}: expected an array of numbers; got {type(value).__name__}: {reason}",
            "all rows of an axis have one length; a PyTorch tensor: .detach().cpu().numpy()",
        ) from error


def real(name: str, value: Any) -> float | None:
    """A finite number or None."""
    if value is None:
        return None
    if _is_number(value, float, np.floating):
        try:
            number = float(value)
        except OverflowError:  # an int of hundreds of digits
            number = math.inf
        if math.isfinite(number):
            return number
    raise AttnvizError(f"{name}: expected a finite number; got {_shown(value)}", f"{name}=1.5")


def cap(value: Any, dtype: np.dtype[Any]) -> float | None:
    """`softcap`: a positive number that this type can divide by; None or 0 for no cap."""
    number = real("softcap", value)
    if not number:
        return None
    low, high = float(np.finfo(dtype).tiny), min(float(np.finfo(dtype).max), 1.7e308)
    if not low <= number <= high:
        raise AttnvizError(
            f"softcap: expected a positive number, in {dtype} from {low:.2g} to {high:.2g}; "
            f"got {_shown(value)}",
            "softcap=50.0; None for no cap",
        )
    return number


def sink_logits(value: Any, n_head: int) -> Array | None:
    """`sinks`: one number a head, [n_head]."""
    if value is None:
        return None
    array = numbers("sinks", value)
    if array.shape != (n_head,):
        raise AttnvizError(
            f"sinks has the shape {list(array.shape)}; expected [n_head] = [{n_head}]",
            "one logit a head: np.zeros(n_head)",
        )
    return array


def added(value: Any) -> Array | None:
    """`bias` [...], which broadcasts to [n_head, n_q, n_k]: numbers, not booleans."""
    if value is None:
        return None
    array = numbers("bias", value)
    if array.dtype.kind == "b":
        raise AttnvizError(
            "bias holds bool; expected numbers that are added to the scores",
            "give what is visible as `mask`",
        )
    return array


def alignment(causal: Any) -> bool:
    """Whether `causal` asks for a causal mask."""
    if isinstance(causal, str) and causal in ALIGNMENTS:
        return True
    if isinstance(causal, bool | np.bool_) or (_is_number(causal) and causal in (0, 1)):
        return bool(causal)
    raise AttnvizError(
        f"unknown causal alignment: {_shown(causal)}",
        'use True, False, "lower_right" or "upper_left"',
    )


def window_mask(window: Any) -> masks.Mask:
    """`window`: a number of positions from 1, or a pair of distances from 0, None for no bound."""
    if isinstance(window, tuple | list):
        if len(window) != 2 or not all(each is None or _is_count(each, 0) for each in window):
            raise AttnvizError(
                "window: expected a pair (left, right) of whole numbers from 0, None for no "
                f"bound; got {_shown(window)}",
                "window=(128, 0); flash-attention's -1 is None here",
            )
        left, right = window
        return masks.Mask((("window", functools.partial(masks.band, left=left, right=right)),))
    if not _is_count(window, 1):
        raise AttnvizError(
            "window: expected a whole number ≥ 1, as a window holds at least the query itself, or "
            f"a pair (left, right); got {_shown(window)}",
            "window=1",
        )
    return masks.Mask((("window", functools.partial(masks.window, size=window)),))


def scoring(score: Any, q: Array, k: Array) -> Score:
    """`score`: a registered name or a function, with the learned arrays that it needs, in shapes
    that fit q [n_head, n_q, d_q] and k [n_kv_head, n_k, d_k]."""
    function: Score = SCORES[score].function if isinstance(score, str) else score
    if not callable(function):
        raise AttnvizError(
            f"score: expected a name or a function (q, k) -> scores; got {_shown(score)}",
            f"known: {', '.join(SCORES)}",
        )
    entry = entry_of(function)
    if entry is None or not entry.arrays:
        return function
    call = f"functools.partial(scores.{entry.name}, {', '.join(f'{a}=…' for a in entry.arrays)})"
    bound = _bound(function, entry.function)
    missing = [name for name in entry.arrays if name not in bound]
    if missing:
        raise AttnvizError(
            f"score: `{entry.name}` needs its learned arrays {', '.join(missing)}; got none",
            f"bind them: score={call}",
        )
    sizes = {"d_q": q.shape[-1], "d_k": k.shape[-1]}
    for name, axes in entry.arrays.items():
        array = numbers(f"score: {name}", bound[name])
        if array.ndim == len(axes):
            sizes.setdefault(axes[0], array.shape[0])  # d_hidden is that of the first array
        expected = [sizes.get(axis, axis) for axis in axes]
        if list(array.shape) != expected:
            raise AttnvizError(
                f"score: {name} of `{entry.name}` has the shape {list(array.shape)}; expected "
                f"[{', '.join(axes)}] = [{', '.join(map(str, expected))}]",
                f"score={call}",
            )
    return function


def _bound(function: Score, bare: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a partial function by name; its first two, q and k, come with the call."""
    if not isinstance(function, functools.partial):
        return {}
    bound = inspect.signature(bare).bind_partial(*function.args, **function.keywords)
    return dict(bound.arguments)


def _is_number(value: Any, *kinds: type) -> bool:
    """Whether it is one whole number, or one of `kinds`: of Python, NumPy or an array of no axes;
    no boolean."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return isinstance(value, (int, np.integer, *kinds)) and not isinstance(value, bool | np.bool_)


def _is_count(value: Any, low: int) -> bool:
    return _is_number(value) and bool(value >= low)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split()) if not _is_huge(value) else "a number of many digits"
    return text if len(text) <= 60 else text[:59] + "…"


def _is_huge(value: Any) -> bool:
    """Python refuses to write such an int."""
    return isinstance(value, int) and abs(value) > 10**60
