"""Numbers as the texts that are shown, the same in every format."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

NUMBER = re.compile(
    r"[<>±~]?-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?(/\d+)?( ?(%|×|bytes|[KMG]iB|m?s))?|-?inf|nan|-|"
)

SIGNIFICANT = 4
"""Digits of the largest number of a column."""
LEAST = 3
"""Digits of the others, as far as there is room."""
DECIMALS = 4
"""How many there are for the small ones at most, if the largest needs no more."""
MOST_DECIMALS = 6
LARGEST_FIXED = 7


def short(value: float) -> str:
    """A number in at most about six characters: 0.25, -1.5, 12.3, 1.2e-05."""
    if not np.isfinite(value):
        return "nan" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0 or 0.005 <= abs(value) < 1000:
        digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.1e}"


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; what rounds to zero has no sign."""
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


def value_text(value: str | int | float | None, decimals: int | None = None) -> str:
    """Numbers with four significant digits, or so many decimals; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        if decimals is not None and np.isfinite(value):
            return fixed(value, decimals)
        if np.isfinite(value) and value and not 1e-4 <= abs(value) < 1e6:
            return f"{value:.2e}"
        if 1e4 <= abs(value) < 1e6:
            return f"{value:.0f}"
        return f"{value:.4g}" if np.isfinite(value) else short(value)
    return str(value)


def is_number(text: str | int | float | None) -> bool:
    """Whether a text is a number: `51.8%`, `<0.01`, `3/36`, `56.0 KiB`, `-` for none."""
    return not isinstance(text, str) or NUMBER.fullmatch(text) is not None


def column_texts(
    values: Sequence[str | int | float | None], decimals: int | None = None, missing: str = ""
) -> list[str]:
    """The texts of a column: numbers with decimals in common, as many as `decimals` or as they
    need, so that they can be compared. What is too small for them becomes `<0.0001`; a column
    of tiny or of huge numbers has exponents."""
    floats = [abs(v) for v in values if isinstance(v, float) and np.isfinite(v) and v]
    largest = _exponent(max(floats, default=1.0))
    powers = not -MOST_DECIMALS + SIGNIFICANT - 1 <= largest < LARGEST_FIXED
    if decimals is not None:
        return [missing if value is None else value_text(value, decimals) for value in values]
    needed = None if powers else _decimals(floats)
    return [missing if value is None else _column_text(value, needed) for value in values]


def _column_text(value: str | int | float, decimals: int | None) -> str:
    """A zero without decimals is one that was not rounded to it."""
    if not isinstance(value, float) or not np.isfinite(value) or not value:
        return value_text(value)
    if decimals is None:
        return f"{value:.2e}"
    if abs(value) < 10.0**-decimals:
        return f"{'<' if value > 0 else '>-'}{10.0**-decimals:.{decimals}f}"
    return fixed(value, decimals)


def _decimals(floats: Sequence[float]) -> int:
    """How many decimals the numbers of a column need; none of them is 0."""
    if not floats:
        return 0
    largest = _exponent(max(floats))
    least = max(0, SIGNIFICANT - 1 - largest)
    most = max(least, min(DECIMALS, LARGEST_FIXED - 1 - largest))
    first = [-_exponent(number) for number in floats]
    decimals = max([least, *(min(place + LEAST - 1, most) for place in first if place <= most)])
    while decimals and all(f"{number:.{decimals}f}".endswith("0") for number in floats):
        decimals -= 1
    return decimals


def _exponent(number: float) -> int:
    """The power of ten of its first digit, as it is when rounded to the digits shown."""
    return int(f"{number:.{SIGNIFICANT - 1}e}".partition("e")[2])


def probability_text(value: float) -> str:
    """Four decimals; what is below 1 does not become 1."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def share_text(share: float) -> str:
    """`51.8%`; what is more than nothing does not become it."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def in_bytes(n: float) -> str:
    """`3.2 MiB`"""
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"
