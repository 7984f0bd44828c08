"""The axes of heads, against loops; and shapes that do not fit together."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.heads import (
    check_broadcast,
    check_shapes,
    merge_heads,
    repeat_heads,
    split_heads,
)

BATCH, N_HEAD, N, D = 2, 3, 5, 7


def test_each_head_has_neighbouring_features(generator):
    x = generator.normal(size=(BATCH, N, N_HEAD * D))
    heads = split_heads(x, N_HEAD)
    assert heads.shape == (BATCH, N_HEAD, N, D)
    for head in range(N_HEAD):
        np.testing.assert_array_equal(heads[:, head], x[..., head * D : (head + 1) * D])
    np.testing.assert_array_equal(merge_heads(heads), x)


def test_consecutive_query_heads_share_a_key_head(generator):
    x = generator.normal(size=(BATCH, 2, N, D))
    repeated = repeat_heads(x, 6)
    for head in range(6):
        np.testing.assert_array_equal(repeated[:, head], x[:, head // 3])
    assert repeat_heads(x, 2) is x


def test_a_width_that_heads_do_not_divide():
    with pytest.raises(AttnvizError, match="4 heads do not divide the width 6") as error:
        split_heads(np.ones((N, 6)), 4)
    assert error.value.hint.endswith(": 1, 2, 3, 6")
    with pytest.raises(AttnvizError, match="0 heads"):
        split_heads(np.ones((N, 6)), 0)


@pytest.mark.parametrize(
    ("q", "k", "v", "message"),
    [
        ((N, D), (1, N, D), (1, N, D), r"q has the shape \[5, 7\]"),
        ((2, 6, N, D), (6, N, D), (6, N, D), "leading axes"),
        ((6, N, D), (6, 11, D), (6, 13, D), "n_k = 11 keys and v has 13"),
        ((6, N, D), (3, N, D), (2, N, D), "n_kv_head = 3 and v has 2"),
        ((5, N, D), (3, N, D), (3, N, D), "n_head = 5 of q is not a multiple of n_kv_head = 3"),
        ((0, N, D), (0, N, D), (0, N, D), "n_kv_head = 0"),
    ],
)
def test_axes_that_do_not_fit_are_named(q, k, v, message):
    with pytest.raises(AttnvizError, match=message):
        check_shapes(*map(np.ones, (q, k, v)))


def test_axes_that_fit():
    check_shapes(*map(np.ones, ((2, 6, N, D), (2, 3, 11, D), (2, 3, 11, 13))))


def test_a_mask_may_lack_axes_or_have_one_of_size_1():
    shape = (BATCH, N_HEAD, N, 11)
    for good in ((11,), (N, 11), (1, 1), (N_HEAD, 1, 11), shape):
        check_broadcast("mask", np.ones(good), shape)
    for bad in ((N,), (11, N), (2, N, 11), (1, *shape)):
        with pytest.raises(AttnvizError, match=r"\[2, 3, 5, 11\]"):
            check_broadcast("mask", np.ones(bad), shape)
