"""The first page: what to try, and where to go from there."""

from __future__ import annotations

import sys

from attnviz.cli.plain import BOLD, GREEN, has_colour, paint
from attnviz.tokens import in_encoding

TRY = (
    ('attnviz run "I saw a saw"', "what every word looks at"),
    ("attnviz learn", "how attention works, idea by idea"),
    ('attnviz explain "I saw a saw"', "every number behind one weight"),
)

YOURS = (
    ("attnviz run TEXT -m FOLDER", "a checkpoint of yours, or org/name --download"),
    ("attnviz show weights.npy", "arrays from your own code"),
    ("attnviz run TEXT -o page.html", "a page; .png .svg .pdf .csv .json .npz too"),
)

MORE = (
    ("attnviz --help", "all commands"),
    ("attnviz COMMAND --help", "what one of them can do"),
    ("attnviz --install-completion", "the Tab key completes"),
)


def start_page() -> str:
    """The page, in colour where stdout has it."""
    colour = has_colour(sys.stdout)
    encoding = sys.stdout.encoding or "ascii"
    blocks = ["attnviz shows what attention computes, in the terminal."]
    for title, rows in (("Try", TRY), ("With your own", YOURS), ("More", MORE)):
        widest = max(len(command) for command, _ in TRY + YOURS + MORE)
        lines = [
            f"  {paint(command, GREEN, colour)}{' ' * (widest - len(command))}  {about}"
            for command, about in rows
        ]
        blocks.append("\n".join([paint(title, BOLD, colour), *lines]))
    return in_encoding("\n\n".join(blocks), encoding)
