"""The first page: what to try, and where to go from there."""

from __future__ import annotations

import shutil
import sys
from textwrap import wrap

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
    width = shutil.get_terminal_size((80, 24)).columns
    blocks = ["\n".join(wrap("attnviz shows what attention computes, in the terminal.", width))]
    widest = max(len(command) for command, _ in TRY + YOURS + MORE)
    is_wide = widest + 4 + max(len(about) for _, about in TRY + YOURS + MORE) <= width
    for title, rows in (("Try", TRY), ("With your own", YOURS), ("More", MORE)):
        lines = []
        for command, about in rows:
            painted = f"  {paint(command, GREEN, colour)}"
            if is_wide:
                lines.append(f"{painted}{' ' * (widest - len(command))}  {about}")
            else:
                lines += [painted, *wrap(about, width, initial_indent="    ",
                                         subsequent_indent="    ")]  # fmt: skip
        blocks.append("\n".join([paint(title, BOLD, colour), *lines]))
    return in_encoding("\n\n".join(blocks), encoding)
