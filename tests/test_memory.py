"""Sizes as people write them."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.memory import parse_size


@pytest.mark.parametrize(
    ("text", "n_byte"),
    [
        ("1GB", 10**9),
        ("500 mb", 500 * 10**6),
        ("2GiB", 2 << 30),
        ("1.5k", 1500),
        ("3Ki", 3072),
        ("1e9", 10**9),
        ("7b", 7),
        (7, 7),
    ],
)
def test_sizes(text, n_byte):
    assert parse_size(text) == n_byte


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1.2.3", "1XB", "0", "0.1", "1e99", "nan", "²"])
def test_no_sizes(text):
    with pytest.raises(AttnvizError, match="--memory: expected") as caught:
        parse_size(text)
    assert repr(text) in caught.value.message
