"""Matplotlib's settings while a figure is drawn: its own, a style sheet's, the reader's."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import colormaps, font_manager
from matplotlib.colors import Colormap

from attnviz.errors import AttnvizError
from attnviz.registry import nearest, slip
from attnviz.render.figure.colour_maps import kind_of_map
from attnviz.render.figure.fonts import FIRST
from attnviz.render.style import FigureStyle

LABELS = 8.0
"""Of labels, in points, where nobody says otherwise; titles are larger, notes smaller."""

OWN: dict[str, Any] = {
    "font.size": LABELS,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "none",  # text that can be searched and edited
}
"""What a style sheet may change."""

FIXED: dict[str, Any] = {
    "text.parse_math": False,  # one $ in a token would abort the figure
    "text.usetex": False,
    "axes.unicode_minus": False,
    "axes.grid": False,
    "svg.hashsalt": "attnviz",
    "hatch.linewidth": 0.5,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "savefig.bbox": None,
    "image.interpolation": "nearest",
}
"""What nothing changes: labels are hostile, bytes repeat, everything stands where it was put."""

PROGRAM = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "webagg", "tk")
"""What is not about figures, but about the program."""

FONT_FILES = (".ttf", ".otf", ".ttc")

_MAPS: ContextVar[dict[str, str] | None] = ContextVar("_MAPS", default=None)


def check(style: FigureStyle) -> None:
    """Raise AttnvizError for a colour map, a font or a style sheet that is none."""
    if style.cmap is not None:
        kind_of_map(style.cmap)
    if style.font is not None:
        font_family(style.font)
    if style.sheet is not None:
        sheet_settings(style.sheet)


@contextlib.contextmanager
def settings(style: FigureStyle) -> Iterator[None]:
    """Matplotlib as the style wants it; nothing of what the machine's user has set for others."""
    defaults = _of_figures(matplotlib.rcParamsDefault)
    sheet = {} if style.sheet is None else sheet_settings(style.sheet)
    chosen: Any = {**defaults, **OWN, **sheet, **FIXED}
    if style.font_size is not None:
        chosen["font.size"] = style.font_size
    if style.font is not None or not {"font.family", "font.sans-serif"} & set(sheet):
        chosen["font.family"] = [FIRST if style.font is None else font_family(style.font)]
    with matplotlib.rc_context(chosen), own_maps(style, sheet.get("image.cmap")):
        yield


@contextlib.contextmanager
def own_maps(style: FigureStyle, usual: str | None = None) -> Iterator[None]:
    """The reader's colour map in place of the ramp of its kind."""
    name = style.cmap or usual
    maps = {}
    if name is not None:
        maps["diverging" if kind_of_map(name) == "diverging" else "sequential"] = name
    token = _MAPS.set(maps)
    try:
        yield
    finally:
        _MAPS.reset(token)


def own_map(kind: str) -> Colormap | None:
    """The reader's colour map for a `sequential` or `diverging` scale, if there is one."""
    name = own_map_name(kind)
    return None if name is None else colormaps[name]


def own_map_name(kind: str) -> str | None:
    return (_MAPS.get() or {}).get(kind)


def sheet_settings(sheet: Path) -> dict[str, Any]:
    """The settings of a style sheet, by its path, or by the name of one of Matplotlib's."""
    from matplotlib.style import available
    from matplotlib.style import library as known

    name = str(sheet)
    if not sheet.exists():
        if name in known:
            return _of_figures(known[name])
        if sheet.suffix == ".mplstyle" or "/" in name:
            raise AttnvizError(f"--style: there is no file {sheet}", "check its name")
        raise AttnvizError(f"--style: no file or style {name!r}", nearest(name, available))
    return _read_sheet(sheet)


def _read_sheet(path: Path) -> dict[str, Any]:
    heard: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("matplotlib")
    level, logger.propagate = logger.level, False
    logger.addHandler(listener)
    logger.setLevel(logging.WARNING)
    try:
        found = matplotlib.rc_params_from_file(path, True, use_default_template=False)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise AttnvizError(f"--style {path}: {error}", "see `customizing Matplotlib`") from error
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = True
    if heard:
        raise AttnvizError(
            f"--style {path}: {' '.join(heard[0].split())}", "a line is `name: value`"
        )
    return _of_figures(found)


def _of_figures(settings: Any) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k.partition(".")[0] not in PROGRAM}


def font_family(name: str) -> str:
    """The family of a font by its name or its file."""
    if name.lower().endswith(FONT_FILES):
        try:
            font_manager.fontManager.addfont(name)
        except (OSError, RuntimeError) as error:
            raise AttnvizError(f"--font {name}: not a font: {error}", "a .ttf or .otf") from error
        return str(font_manager.FontProperties(fname=name).get_name())
    known = sorted({font.name for font in font_manager.fontManager.ttflist})
    by_case = {each.casefold(): each for each in known}
    if (found := by_case.get(name.casefold())) is not None:
        return found
    if name.casefold() in GENERIC:
        return name.casefold()
    guess = slip(name, known)
    raise AttnvizError(
        f"--font: {name!r} is not installed",
        f"did you mean `{guess}`?"
        if guess
        else f"installed: {', '.join(known[:12])}, …; or a file: --font FILE.ttf",
    )


GENERIC = ("serif", "sans-serif", "monospace")
