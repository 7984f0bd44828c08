"""What to try next, after the first look."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from rich.cells import cell_len

from attnviz.cli.quiet import QUIET
from attnviz.language import say

LONGEST = 40
"""Characters of a text that is repeated in a command."""

BETWEEN = " · "


def next_commands(arguments: Sequence[str], texts: Sequence[str | None]) -> tuple[str, ...]:
    """Commands that go on from `attnviz run`, called with these arguments.

    `explain` is among them where it would read the same text with the same model.
    """
    options = [each.partition("=")[0] for each in arguments if each.startswith("-") and each != "-"]
    alike = set(options) <= {"-m", "--model"} and len(texts) == 1
    text = texts[0] if texts else None
    first = []
    if alike and text is not None and len(text) <= LONGEST and text.isprintable():
        model = [each for each in arguments[1:] if each != text]
        first = [" ".join(["attnviz explain", _quoted(text), *map(shlex.quote, model)])]
    return (*first, "attnviz learn", "-o page.html")


def hint_line(commands: Sequence[str], width: int) -> str:
    """One line of at most `width` columns, with as many commands as fit; empty if none does."""
    line = ""
    shown: list[str] = []
    for command in commands:
        longer = say("try next: {commands}", commands=BETWEEN.join([*shown, command]))
        if cell_len(longer) <= width:
            shown.append(command)
            line = longer
    return line


def is_wanted() -> bool:
    """Whether somebody reads both what is shown and what is said."""
    return not QUIET.get() and sys.stdout.isatty() and sys.stderr.isatty()


def _quoted(text: str) -> str:
    return f'"{text}"' if not set(text) & set('"$`\\!') else shlex.quote(text)
