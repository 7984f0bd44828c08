"""Numbers as they are shown."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.views.kinds import (
    Table,
)
from attnviz.views.numbers import fixed, short


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (-1.5, "-1.5"), (12.345, "12.3"), (123.4, "123"), (1, "1"), (100, "100"),
     (12345, "1.2e+04"), (1e-5, "1.0e-05"), (np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.004, "0.00"), (-0.0, "0.00"), (-0.006, "-0.01"), (-12.0, "-12.00")]
)
def test_what_rounds_to_zero_has_no_sign(value, text):
    assert fixed(value, 2) == text
    assert Table("t", ("x",), ((value,),), decimals=2).texts() == [[text]]
