"""Numbers as they are shown."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.views.kinds import Table
from attnviz.views.numbers import column_texts, fixed, is_number, share_text, short


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


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.9254, 0.01362, 6.77e-05), ["0.9254", "0.0136", "<0.0001"]),
        ((0.006561, 6.77e-05, 0.0), ["0.006561", "0.000068", "0"]),
        ((259.09, 0.1669, 4.0), ["259.090", "0.167", "4.000"]),
        ((1.792, 0.5), ["1.792", "0.500"]),
        ((0.25, 0.5), ["0.25", "0.50"]),
        ((4.0, 16.0), ["4", "16"]),
        ((4, 0.5), ["4", "0.5"]),
        ((-6e-05, 0.9999), [">-0.0001", "0.9999"]),
        ((-1e-06, 0.9999), [">-0.0001", "0.9999"]),
        ((4.4e-16, 1e-10, 0.0), ["4.40e-16", "1.00e-10", "0"]),
        ((3.25e9, 1.5), ["3.25e+09", "1.50e+00"]),
        ((np.inf, 0.5, np.nan, None), ["inf", "0.5", "nan", "-"]),
        (("a", 0.125, 7), ["a", "0.125", "7"]),
    ],
)
def test_the_numbers_of_a_column_have_their_decimals_in_common(values, texts):
    assert column_texts(values, missing="-") == texts


def test_what_is_shown_is_within_its_last_decimal():
    numbers = np.random.default_rng(7).normal(size=61) * 10.0 ** np.arange(-4, 3).repeat(9)[:61]
    texts = column_texts(numbers.tolist())
    for number, text in zip(numbers, texts, strict=True):
        if text[0] in "<>":
            assert abs(number) < abs(float(text[1:]))
        else:
            assert abs(float(text) - number) <= 0.5001 * 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize(
    "text",
    [
        "51.8%",
        "51.8 %",
        "<0.0001",
        ">-0.01",
        "36/36",
        "56.0 KiB",
        "nan",
        "-inf",
        "6.77e-05",
        "-",
        "",
    ],
)
def test_texts_that_are_numbers(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["L0.H1", "0-1", "4 heads", "yes", "e-05", "1 2", "[3]", "--"])
def test_texts_that_are_none(text):
    assert not is_number(text)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0.0%"), (0.0004, "<0.1%"), (0.0006, "0.1%"), (0.518, "51.8%")]
)
def test_a_small_share_is_not_none(share, text):
    assert share_text(share) == text
