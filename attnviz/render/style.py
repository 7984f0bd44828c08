"""How figures look: what a reader may choose, in inches and points. Pure data, no Matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, eq=False, repr=False)  # which starts faster
class FigureStyle:
    """The choices for a figure; the defaults are those of every report."""

    bare: bool = False
    """No title, no notes, no colour bar, no positions beside the tokens."""
    title: str | None = None
    """In place of the picture's own; of a report of several views, above all of them."""
    cmap: str | None = None
    """A colour map of Matplotlib's: a sequential one replaces the sequential ramp, a diverging
    one the diverging ramp."""
    size: tuple[float, float | None] | None = None
    """Width and height in inches of a figure of one picture; None is as high as it has to be."""
    dpi: int | None = None
    font: str | None = None
    """A family that is installed, or the file of a font."""
    font_size: float | None = None
    """Of labels, in points; titles and notes keep their proportion to it."""
    sheet: Path | None = None
    """A `.mplstyle` file, or the name of one of Matplotlib's styles."""
    transparent: bool = False
    values: bool = True
    """Numbers in the cells, where there is room."""
    grid: tuple[int, int] | None = None
    """Rows and columns in which the panels of a grid are arranged."""


PLAIN = FigureStyle()
