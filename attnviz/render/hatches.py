"""How each hatch is drawn, by every renderer."""

from __future__ import annotations

from typing import NamedTuple

from attnviz.nn.masks import Hatch


class HatchSigns(NamedTuple):
    """One hatch: a character for a cell, the same in ASCII, and Matplotlib's pattern."""

    sign: str
    ascii: str
    pattern: str


HATCHES: dict[Hatch, HatchSigns] = {
    "rising": HatchSigns("╱", "/", "////"),
    "falling": HatchSigns("╲", "\\", "\\\\\\\\"),
    "dashed": HatchSigns("┄", "-", "----"),
    "upright": HatchSigns("│", "|", "||||"),
    "dotted": HatchSigns("┆", ":", "...."),
    "crossed": HatchSigns("╳", "x", "xxxx"),
    "gridded": HatchSigns("┼", "+", "++++"),
    "ringed": HatchSigns("○", "o", "oooo"),
    "starred": HatchSigns("∗", "*", "****"),
}
