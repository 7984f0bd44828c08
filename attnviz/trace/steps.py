"""The steps of a decoder, as `generate(output_attentions=True)` returns them, as whole layers.

Each step has an array for each layer: first the rows of the prompt, then one row a step, each a key
longer than the row before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.masks import CAUSAL, NONE, Mask, custom
from attnviz.nn.types import Array, Bool

NUMBERED = re.compile(r"(step|layer)\D*(\d+)\D+(step|layer)\D*(\d+)\D*", re.IGNORECASE)
"""`step_3_layer_0`, `layer0.step3`"""

HINT = "save out.attentions as step_0_layer_0, step_0_layer_1, …, or show one: --array NAME"


class Joined(NamedTuple):
    """All steps of all layers."""

    layers: dict[str, Array]
    """[n_head, n_q, n_k] each; 0 where a key was not there yet."""
    mask: Mask
    """Which keys were there."""
    n_step: int


def joined(
    path: Path, arrays: Mapping[str, Array], numbers: Callable[[str, Array], Array]
) -> Joined | None:
    """The arrays of a file, in the order of their names, each [n_head, n_q, n_k] or with a batch
    of one before it; None where they are not the steps of a decoder.

    Args:
        numbers: name, array -> the same as floating-point numbers.

    Raises:
        AttnvizError: their names say that they are, but their shapes do not fit.
    """
    steps = {name: _without_batch(array) for name, array in arrays.items()}
    if len(steps) < 2 or any(array.ndim != 3 for array in steps.values()):
        return None
    named = _by_name(steps)
    layers = named or _by_shape(steps)
    if layers is None:
        return None
    shapes = [[steps[name].shape for name in layer] for layer in layers]
    fit = _grows if named is None else _follow
    if any(not fit(each) or len(each) != len(shapes[0]) for each in shapes):
        if named is None:
            return None
        raise AttnvizError(
            f"{path}: the names are those of steps and layers, but the shapes are not: expected "
            "[n_head, n_q, n_k] with as many keys as in the step before and the new rows",
            HINT,
        )
    parts = [[numbers(name, steps[name]) for name in layer] for layer in layers]
    return Joined(
        {f"layer_{number}": _filled(each) for number, each in enumerate(parts)},
        _mask(_visible(parts)),
        len(layers[0]),
    )


def _without_batch(array: Array) -> Array:
    return array[0] if array.ndim == 4 and len(array) == 1 else array


def _by_name(steps: Mapping[str, Array]) -> list[list[str]] | None:
    """The steps of each layer, where every name says which they are; None if any does not."""
    found: dict[int, dict[int, str]] = {}
    for name in steps:
        match = NUMBERED.fullmatch(name)
        if match is None or match[1].lower() == match[3].lower():
            return None
        numbers = {match[1].lower(): int(match[2]), match[3].lower(): int(match[4])}
        found.setdefault(numbers["layer"], {})[numbers["step"]] = name
    return [[layer[step] for step in sorted(layer)] for _, layer in sorted(found.items())]


def _by_shape(steps: Mapping[str, Array]) -> list[list[str]] | None:
    """The steps of each layer, where their shapes tell: the first step of each layer has the shape
    of the first array, and no later one has."""
    names = list(steps)
    is_first = [steps[name].shape == steps[names[0]].shape for name in names]
    n_layer = sum(is_first)
    n_step, rest = divmod(len(names), n_layer)
    if rest or n_step < 2:
        return None
    if all(is_first[:n_layer]):
        return [names[layer::n_layer] for layer in range(n_layer)]
    return [names[layer * n_step :][:n_step] for layer in range(n_layer)]


def _follow(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether each step grows, or all have the same heads and keys: those of an encoder."""
    return _grows(shapes) or len({(n_head, n_key) for n_head, _, n_key in shapes}) == 1


def _grows(shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether each step [n_head, n_q, n_k] has the keys of the one before and its own."""
    n_head, _, n_key = shapes[0]
    for shape in shapes[1:]:
        n_key += shape[1]
        if shape[0] != n_head or shape[2] != n_key:
            return False
    return True


def _filled(parts: Sequence[Array]) -> Array:
    """[n_head, n_q, n_k]: the rows of all steps one after another."""
    n_q, n_k = sum(part.shape[1] for part in parts), parts[-1].shape[2]
    whole = np.zeros((len(parts[0]), n_q, n_k), np.result_type(*parts))
    first = 0
    for part in parts:
        whole[:, first : first + part.shape[1], : part.shape[2]] = part
        first += part.shape[1]
    return whole


def _visible(layers: Sequence[Sequence[Array]]) -> Bool:
    """[n_q, n_k]: the keys that were there; in a step of several rows, those up to the row's own
    where no head of any layer gives a later one any weight."""
    parts = layers[0]
    whole = np.zeros((sum(part.shape[1] for part in parts), parts[-1].shape[2]), bool)
    first = 0
    for number, part in enumerate(parts):
        n_row, n_key = part.shape[1:]
        later = np.triu(np.ones((n_row, n_key), bool), n_key - n_row + 1)
        used = any((layer[number] * later).any() for layer in layers)
        whole[first : first + n_row, :n_key] = True if used else ~later
        first += n_row
    return whole


def _mask(visible: Bool) -> Mask:
    n_q, n_k = visible.shape
    if visible.all():
        return NONE
    is_causal = (visible == np.tri(n_q, n_k, n_k - n_q, dtype=bool)).all()
    return CAUSAL if is_causal else custom(visible, "steps")
