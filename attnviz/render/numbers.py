"""Numbers in the cells of a heatmap, the same in every format."""

from __future__ import annotations

import numpy as np

from attnviz.views.kinds import Scale, fixed, short


def number_text(value: float, scale: Scale, decimals: int) -> str:
    """A value in as few characters as its column has."""
    if not np.isfinite(value) or scale.by == "log":  # decades need more than fixed decimals
        return short(value)
    return fixed(value, decimals)
