"""Numbers as the texts that are shown, the same in every format."""

from __future__ import annotations

import numpy as np


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


def probability_text(value: float) -> str:
    """Four decimals; what is below 1 does not become 1."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4f}"


def in_bytes(n: float) -> str:
    """`3.2 MiB`"""
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"
