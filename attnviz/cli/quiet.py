"""Whether a command says no more than it must: `--quiet`."""

from __future__ import annotations

from contextvars import ContextVar

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Of the command that runs: no hints, no progress, nothing on stderr but warnings and errors."""

NEEDED = ("warning: ", "differs: ")
"""How what is said all the same begins."""


def is_said(text: str) -> bool:
    """Whether a line goes to stderr."""
    return not QUIET.get() or text.startswith(NEEDED)
