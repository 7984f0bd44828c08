"""One vector out of many: what a classifier of images reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from attnviz.nn.linear import Linear
from attnviz.nn.norms import Norm
from attnviz.nn.types import Array


class Classifier(NamedTuple):
    """[n_token, d_model] -> [1, n_class]: the logits of a class."""

    linear: Linear
    """[n_class, d_pooled]"""
    pool: Callable[[Array], Array]
    """[n_token, d_model] -> [1, d_pooled]"""
    before: Norm | None = None
    """Over what comes out of the stack."""

    def __call__(self, x: Array) -> Array:
        return self.linear(self.pool(x if self.before is None else self.before(x)))


def class_token(x: Array) -> Array:
    """The vector of the class token: [n_token, d_model] -> [1, d_model].

    Source: Dosovitskiy et al. 2021, equation 4.
    """
    return x[..., :1, :]


def class_token_and_mean(x: Array) -> Array:
    """That, and the mean of the patches' vectors behind it: [n_token, d_model] -> [1, 2·d_model].

    Source: Oquab et al. 2024, appendix B.3 (linear evaluation).
    """
    mean = x[..., 1:, :].mean(-2, keepdims=True)
    return np.concatenate([class_token(x), mean], -1)
