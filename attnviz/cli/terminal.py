"""What the terminal at the other end can show: how many colours, and on what background."""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from attnviz.render.palette import Background
    from attnviz.render.terminal.screen import Depth

FULL: Final = 16777216

TRUE_COLOUR_TERMS = (
    "xterm-kitty",
    "xterm-ghostty",
    "alacritty",
    "foot",
    "wezterm",
    "contour",
    "rio",
)
TRUE_COLOUR_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "mintty", "Tabby")
TRUE_COLOUR_SIGNS = ("WT_SESSION", "KONSOLE_VERSION", "KITTY_WINDOW_ID", "ALACRITTY_WINDOW_ID")
"""Variables that some terminals set, besides COLORTERM."""

TIMEOUT = 0.1
"""Seconds that an answer may take; a terminal that has none answers the second question at once."""

# "what is your background?" and "what are you?", which every terminal answers
QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
ANSWER = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F]+)/([0-9a-fA-F]+)/([0-9a-fA-F]+)")
LAST_ANSWER = re.compile(rb"\x1b\[\?[0-9;]*c")


def colour_depth(choice: str, environment: Mapping[str, str] = os.environ) -> Depth:
    """How many colours; an explicit flag wins, then NO_COLOR, then FORCE_COLOR, then what the
    terminal says of itself."""
    term = environment.get("TERM", "")
    if choice == "never" or (choice == "auto" and environment.get("NO_COLOR")):
        return 0
    forced = choice == "always" or bool(environment.get("FORCE_COLOR"))
    speechless = term in ("", "dumb") and not environment.get("WT_SESSION")
    if not forced and (speechless or not _is_tty(sys.stdout)):
        return 0
    if _has_true_colour(term, environment):
        return FULL
    many = "256color" in term or term.startswith(("screen", "tmux", "rxvt-unicode"))
    return 256 if many or forced else 16


def _has_true_colour(term: str, environment: Mapping[str, str]) -> bool:
    says = environment.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct")
    inside_tmux = bool(environment.get("TMUX")) or term.startswith("tmux")
    if environment.get("STY") or (term.startswith("screen") and not inside_tmux):
        return False  # GNU screen takes true colours for other things
    if says or inside_tmux:  # tmux's own surroundings are not those that its variables tell of
        return says
    return (
        term.startswith(TRUE_COLOUR_TERMS)
        or environment.get("TERM_PROGRAM") in TRUE_COLOUR_PROGRAMS
        or any(environment.get(name) for name in TRUE_COLOUR_SIGNS)
        or _number(environment.get("VTE_VERSION", "")) >= 3600
    )


def background(choice: str = "auto", depth: int = FULL) -> Background:
    """Dark or light: the choice, else COLORFGBG, else what the terminal answers, else dark.

    The terminal is asked at most once, and only if it shows many colours.
    """
    if choice != "auto":
        return "light" if choice == "light" else "dark"
    return _by_variable(os.environ) or (_asked() if depth >= 256 else None) or "dark"


def _by_variable(environment: Mapping[str, str]) -> Background | None:
    """COLORFGBG, as rxvt and Konsole set it: `15;0`, `0;default;15`."""
    last = environment.get("COLORFGBG", "").rpartition(";")[2]
    if not (last.isascii() and last.isdecimal() and int(last[:4]) < 16):
        return None
    return "dark" if int(last) in (0, 1, 2, 3, 4, 5, 6, 8) else "light"


@cache
def _asked() -> Background | None:
    """What the terminal answers to OSC 11; None if it may not be asked, or says nothing."""
    if not (_is_tty(sys.stdin) and _is_tty(sys.stdout) and _may_be_asked(os.environ)):
        return None
    try:
        answer = _ask(sys.stdin.fileno(), sys.stdout.fileno())
    except (ImportError, OSError, ValueError):  # no such terminals here, or it has gone
        return None
    colour = ANSWER.search(answer)
    if colour is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in colour.groups())
    return "light" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "dark"


def _may_be_asked(environment: Mapping[str, str]) -> bool:
    """Screens within a screen that do not know, and consoles that print the question, are not."""
    term = environment.get("TERM", "")
    if term.startswith(("linux", "eterm", "vt", "cons")) or environment.get("STY"):
        return False
    if environment.get("TMUX"):
        version = re.match(r"(\d+)\.(\d+)", environment.get("TERM_PROGRAM_VERSION", ""))
        return version is not None and (int(version[1]), int(version[2])) >= (3, 2)
    return not term.startswith("screen")


def _ask(stdin: int, stdout: int) -> bytes:
    """All that the terminal answers within the time; nothing if something was typed ahead, as
    that would be read with it, or if the terminal is another process's."""
    if os.tcgetpgrp(stdin) != os.getpgrp():
        return b""
    answer, end = b"", time.monotonic() + TIMEOUT
    with _unechoed(stdin):
        if _readable(stdin, 0):
            return b""
        os.write(stdout, QUESTION)
        while not LAST_ANSWER.search(answer) and _readable(stdin, end - time.monotonic()):
            answer += os.read(stdin, 256)
    if not LAST_ANSWER.search(answer):  # what comes later must not stand on the next prompt
        atexit.register(_discard_late_answer, stdin)
    return answer


@contextmanager
def _unechoed(stdin: int) -> Iterator[None]:
    """Each character as it comes, and not shown; Ctrl-C still interrupts."""
    import termios

    before = termios.tcgetattr(stdin)
    changed = termios.tcgetattr(stdin)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(stdin, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)


def _readable(stdin: int, seconds: float) -> bool:
    import select

    return bool(select.select([stdin], [], [], max(0.0, seconds))[0])


def _discard_late_answer(stdin: int) -> None:
    import contextlib

    with contextlib.suppress(Exception), _unechoed(stdin):
        if _readable(stdin, 0):
            os.read(stdin, 256)


def _is_tty(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # closed, or a stand-in
        return False


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
