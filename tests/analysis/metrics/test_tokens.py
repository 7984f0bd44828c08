"""What is punctuation."""

from __future__ import annotations

import pytest

from attnviz.analysis.metrics.tokens import is_punctuation


@pytest.mark.parametrize(
    ("token", "is_one"),
    [(",", True), ("Ġ.", True), ("▁…", True), ("。", True), ("##'", True), ("...", True),
     ("[SEP]", False), ("a.", False), ("#1", False), ("", False), ("▁", False), ("$", False)],
)  # fmt: skip
def test_punctuation(token, is_one):
    assert is_punctuation(token) is is_one
