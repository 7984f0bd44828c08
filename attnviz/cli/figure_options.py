"""The options of figures: what is drawn, and how it looks."""

import re
from pathlib import Path
from typing import Annotated

import typer

from attnviz.cli.options import OutputOptions, group
from attnviz.errors import AttnvizError
from attnviz.files import check_writable
from attnviz.render import is_picture, picture_formats
from attnviz.render.importing import import_matplotlib
from attnviz.render.style import FigureStyle

FIGURES = "Figures"

PRESETS = {"column": 3.5, "page": 7.16}
"""Widths in inches: one column, and both, of a two-column paper: IEEE's, and nearly Nature's."""
UNITS = {"": 1.0, "in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
SIZE = re.compile(r"(?i)([\d.]+)(?:\s*[x×,]\s*([\d.]+))?\s*(in|cm|mm)?")
SIZES, DPI, POINTS = (0.5, 100.0), (20, 2400), (2.0, 96.0)
LONGEST_GRID = 100


@group
class FigureOptions(OutputOptions):
    """Where the result goes; what of it is drawn as one figure, and how figures look. What no
    figure could follow is refused here, before the work."""

    plot: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="One picture, as FILE.png, .pdf, …, or named for you",
            rich_help_panel=FIGURES,
        ),
    ] = None
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="No title, notes, colour bar and positions: a caption says it",
            rich_help_panel=FIGURES,
        ),
    ] = False
    title: Annotated[
        str | None, typer.Option(help="In place of the picture's own", rich_help_panel=FIGURES)
    ] = None
    cmap: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A colour map of Matplotlib's: viridis, Greys, …; one that diverges, as RdBu_r, "
            "for values with a sign",
            rich_help_panel=FIGURES,
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="3.5x2.5 inches, 9x6cm, a width alone, or column or page: one column or both of "
            "a paper",
            rich_help_panel=FIGURES,
        ),
    ] = None
    dpi: Annotated[
        int | None, typer.Option(help="Dots an inch (default: 200)", rich_help_panel=FIGURES)
    ] = None
    font: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A family, or a .ttf file", rich_help_panel=FIGURES),
    ] = None
    font_size: Annotated[
        float | None,
        typer.Option(help="Of labels, in points (default: 8)", rich_help_panel=FIGURES),
    ] = None
    style: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mplstyle",
            help="A style sheet of Matplotlib's, or the name of one",
            rich_help_panel=FIGURES,
        ),
    ] = None
    transparent: Annotated[
        bool, typer.Option("--transparent", help="No background", rich_help_panel=FIGURES)
    ] = False
    no_values: Annotated[
        bool, typer.Option("--no-values", help="No numbers in cells", rich_help_panel=FIGURES)
    ] = False
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="4x4",
            help="Rows × columns of the heads' panels (default: layers × heads)",
            rich_help_panel=FIGURES,
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.plot:
            _check_plot(self.plot)
        style = self.look
        asked = _first_choice(self)
        if asked is None:
            return
        drawn = [path for path in self.output or () if is_picture(path.suffix.lower())]
        if self.plot is None and not drawn:
            raise AttnvizError(
                f"{asked} is about figures, and none is written", "--plot, or -o FILE.png"
            )
        if self.title is not None and self.folders:
            raise AttnvizError(
                "--title is of one picture, and a folder gets several", "--plot FILE.png"
            )
        targets = [*drawn, *([Path(self.plot)] if self.plot else [])]
        if self.transparent and any(p.suffix.lower() in (".jpg", ".jpeg") for p in targets):
            raise AttnvizError("--transparent: a JPEG has a background", "FILE.png or FILE.webp")
        if style.cmap or style.font or style.sheet:
            import_matplotlib()
            from attnviz.render.figure.settings import check

            check(style)

    @property
    def is_written(self) -> bool:
        return bool(self.output) or self.plot is not None

    @property
    def look(self) -> FigureStyle:
        """How the figures look. Raises AttnvizError for what cannot be read or is too large."""
        if self.dpi is not None and not DPI[0] <= self.dpi <= DPI[1]:
            raise AttnvizError(
                f"--dpi: expected {DPI[0]} to {DPI[1]} dots an inch, got {self.dpi}", "--dpi 300"
            )
        if self.font_size is not None and not POINTS[0] <= self.font_size <= POINTS[1]:
            raise AttnvizError(
                f"--font-size: expected {POINTS[0]:g} to {POINTS[1]:g} points, got "
                f"{self.font_size:g}",
                "--font-size 8",
            )
        return FigureStyle(
            bare=self.bare,
            title=self.title,
            cmap=self.cmap,
            size=None if self.size is None else read_size(self.size),
            dpi=self.dpi,
            font=self.font,
            font_size=self.font_size,
            sheet=self.style,
            transparent=self.transparent,
            values=not self.no_values,
            grid=None if self.grid is None else _read_grid(self.grid),
        )


def read_size(text: str) -> tuple[float, float | None]:
    """Inches of `3.5x2.5`, `89mm`, `column`: the width, and the height if it is given."""
    if text.lower() in PRESETS:
        return PRESETS[text.lower()], None
    found = SIZE.fullmatch(text.strip())
    try:
        sides = [float(side) for side in found.groups()[:2] if side] if found else []
    except ValueError:
        sides = []
    if not found or not sides:
        raise AttnvizError(
            f"--size: cannot read {text!r}", f"3.5x2.5, 9x6cm, 3.5, {', '.join(PRESETS)}"
        )
    inches = [side * UNITS[(found[3] or "").lower()] for side in sides]
    if not all(SIZES[0] <= side <= SIZES[1] for side in inches):
        raise AttnvizError(
            f"--size: expected {SIZES[0]:g} to {SIZES[1]:g} inches, got {text}", "--size 3.5x2.5"
        )
    return inches[0], inches[1] if len(inches) > 1 else None


def _read_grid(text: str) -> tuple[int, int]:
    sides = re.split(r"[x×,]", text.lower().replace(" ", ""))
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise AttnvizError(f"--grid: expected ROWSxCOLUMNS, got {text!r}", "--grid 4x4")
    rows, columns = (int(side) for side in sides)
    if not (1 <= rows <= LONGEST_GRID and 1 <= columns <= LONGEST_GRID):
        raise AttnvizError(
            f"--grid: expected 1 to {LONGEST_GRID} rows and columns, got {text}", "--grid 4x4"
        )
    return rows, columns


def _check_plot(target: str) -> None:
    """Raise AttnvizError unless the target is a picture that can be written."""
    path = Path(target)
    suffix = path.suffix.lower() or path.name.lower()
    if not is_picture(suffix):
        raise AttnvizError(
            f"--plot {target}: not a picture",
            f"known: {', '.join(picture_formats())}; -o FILE writes data",
        )
    check_writable(path if path.suffix else Path.cwd() / f"picture{suffix}")


def _first_choice(options: FigureOptions) -> str | None:
    """The first of the options about looks that is set."""
    names = ("bare", "title", "cmap", "size", "dpi", "font", "font_size", "style", "transparent",
             "no_values", "grid")  # fmt: skip
    for name in names:
        if getattr(options, name) not in (None, False):
            return f"--{name.replace('_', '-')}"
    return None
