"""Lines of our own on a terminal, without Rich: errors, help, the start page. They come at once."""

from __future__ import annotations

import os
import shutil
import sys
from itertools import pairwise
from typing import TextIO

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "1;31", "32", "33", "36"

NARROWEST, WIDEST = 40, 120


def has_colour(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal that was not asked for none; or FORCE_COLOR."""
    words = sys.argv[1:]
    if "--color=never" in words or ("--color", "never") in pairwise(words):
        return False
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody reads a stream as it is written."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def paint(text: str, style: str, colour: bool) -> str:
    """`text` in a style, if there are colours."""
    return f"\x1b[{style}m{text}\x1b[0m" if colour and text else text


def columns() -> int:
    """The width of the terminal, within reason."""
    return max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, broken at spaces only: no word or path is ever cut."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cell_width(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def cell_width(text: str) -> int:
    """The columns that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
