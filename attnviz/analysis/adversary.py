"""Other weights, same output: what a head puts out does not tell its weights."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Array

SMALL = 1e-9
"""Of singular values, against the largest: below it a direction changes nothing."""


def other_weights(weights: Array, values: Array) -> Array:
    """A distribution [n_k] over the same keys that mixes the values [n_k, d_v] to the same output.

    Weight is moved along directions that change neither the output nor the sum, away from where
    most of it was, until a key has none left; then again without that key. What remains are at
    most d_v + 1 keys, of which a mixture always suffices (Carathéodory 1907). Without such a
    direction, as it may be for n_k ≤ d_v + 1, these are the weights that were given.

    Source of the idea: Jain & Wallace 2019, who search for such weights by gradients.
    """
    original = np.asarray(weights, np.float64)
    moved = original.copy()
    bound = np.column_stack([np.asarray(values, np.float64), np.ones(len(original))])
    while True:
        (held,) = np.nonzero(moved)
        directions = null_space(bound[held].T)
        if not directions.shape[1]:
            return moved
        away = directions @ (directions.T @ -original[held])
        if not np.abs(away).max() > SMALL:
            away = directions[:, 0]
        (falling,) = np.nonzero(away < 0)
        steps = moved[held][falling] / -away[falling]
        moved[held] = np.maximum(moved[held] + steps.min() * away, 0)
        moved[held[falling[steps.argmin()]]] = 0  # exactly: rounding may leave a rest


def null_space(matrix: Array) -> Array:
    """An orthonormal basis, [n_column, n], of what a matrix [n_row, n_column] maps to 0."""
    _, sizes, directions = np.linalg.svd(matrix)
    rank = int((sizes > SMALL * sizes.max(initial=0)).sum())
    return np.asarray(directions[rank:].T)


def moved_share(weights: Array, others: Array) -> Array:
    """[..., n_k], [..., n_k] -> [...]: the part of each row's weight that lies on other keys, half
    the sum of |differences|."""
    return np.asarray(np.abs(weights - others).sum(-1) / 2)
