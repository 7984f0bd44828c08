"""What went wrong, in a line and a hint, on stderr."""

from __future__ import annotations

import sys

from attnviz.cli.plain import CYAN, RED, cell_width, columns, has_colour, is_terminal, paint, wrap
from attnviz.tokens import label

LONGEST_LINE, ENDING = 1000, 200
"""Characters of a message that quotes something very long."""

STYLES = {"error": RED, "hint": CYAN}


def fail(message: str, hint: str | None) -> int:
    """Say what went wrong, and give the exit code for it.

    What a message quotes of a file or a name may hold anything. A reader at a terminal gets lines
    of its width, a program one line each.
    """
    said = {"error": " ".join(message.split())} | ({"hint": hint} if hint else {})
    colour, terminal = has_colour(sys.stderr), is_terminal(sys.stderr)
    for kind, text in said.items():
        cut = len(text) > LONGEST_LINE
        shown = label(f"{text[:LONGEST_LINE]} … {text[-ENDING:]}" if cut else text)
        start = f"{kind}: "
        lines = wrap(shown, columns() - len(start)) if terminal else [shown]
        beside = "\n".join([lines[0], *(_indented(line, len(start)) for line in lines[1:])])
        print(paint(start, STYLES[kind], colour) + beside, file=sys.stderr)
    return 2


def _indented(line: str, indent: int) -> str:
    """A line below the first; without the indent where a path needs all of the width."""
    return line if indent + cell_width(line) > columns() else " " * indent + line
