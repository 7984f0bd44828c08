"""What a command finds when it starts: streams, their encodings, variables of the environment."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from attnviz.nn.threads import begin_with_one
from attnviz.tokens import REPLACE

NARROWEST = 10
"""Columns, or lines, that a terminal may have; 9999 at most."""


def prepare() -> None:
    """Make the process fit for any command: three streams that are open and take any character,
    and no variable that would break what only reads its size or its name."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _closed_stream(number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        if not _is_size(os.environ.get(name, "80")):
            del os.environ[name]
    begin_with_one()
    # a name that Matplotlib does not know stops its import; files need no window
    os.environ.pop("MPLBACKEND", None)


def discard_unwritable(streams: Iterable[TextIO]) -> None:
    """Send to nowhere what can no longer be written, so that Python does not fail on it at exit."""
    for stream in streams:
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):  # a stand-in has no number
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _closed_stream(number: int) -> TextIO:
    """A stream for a number that is closed, so that no file gets it. Nothing can be read from
    stdin or written to stdout, and what is said on stderr is lost."""
    flags = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)[number]
    descriptor = os.open(os.devnull, flags)  # takes the lowest number that is free
    return open(descriptor, "w" if number else "r", encoding="utf-8", closefd=False)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 5 and int(text) >= NARROWEST
