"""Terminals that answer what their background is, and such that never do, through a pty."""

from __future__ import annotations

import os
import pty
import select
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

SCRIPT = """
import sys
from attnviz.cli.terminal import background
print("ground", background(), flush=True)
rest = sys.stdin.readline()
print("rest", repr(rest), flush=True)
"""
NAMES = ("COLORFGBG", "TMUX", "STY", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "NO_COLOR")
DEVICE = b"\x1b[?62;22c"


def answer(colour: str) -> bytes:
    return f"\x1b]11;{colour}\x1b\\".encode()


class Terminal:
    """A process on a pty, which answers the question with `reply`."""

    def __init__(self, reply: bytes, typed: bytes = b"", **environment: str) -> None:
        settings = {name: value for name, value in os.environ.items() if name not in NAMES}
        settings |= {"TERM": "xterm-256color", **environment}
        self.reply, self.seen, self.asked = reply, b"", False
        process, self.end = pty.fork()
        if process == 0:
            time.sleep(0.2 if typed else 0)
            os.execve(sys.executable, [sys.executable, "-c", SCRIPT], settings)
        self.process = process
        if typed:
            os.write(self.end, typed)

    def until(self, text: bytes, seconds: float = 20.0) -> float:
        """Read until it shows `text`, and answer; the seconds between question and text."""
        start = asked = time.monotonic()
        while text not in self.seen:
            assert time.monotonic() < start + seconds, self.seen
            if select.select([self.end], [], [], 0.05)[0]:
                self.seen += os.read(self.end, 4096)
            if not self.asked and b"\x1b]11;?" in self.seen and b"\x1b[c" in self.seen:
                self.asked, asked = True, time.monotonic()
                os.write(self.end, self.reply)
        return time.monotonic() - asked

    def modes(self) -> int:
        return int(termios.tcgetattr(self.end)[3])

    def close(self) -> None:
        os.write(self.end, b"\n")
        self.until(b"rest '")
        os.close(self.end)
        os.waitpid(self.process, 0)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(*given: bytes, **environment: str) -> Terminal:
        started.append(Terminal(*given, **environment))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize(
    ("colour", "ground"),
    [
        ("rgb:ffff/ffff/ffff", b"light"),
        ("rgb:0000/0000/0000", b"dark"),
        ("rgb:fd/f6/e3", b"light"),
        ("rgba:2828/2a2a/3636/ffff", b"dark"),
    ],
)
def test_a_terminal_that_answers(terminal, colour, ground):
    shown = terminal(answer(colour) + DEVICE)
    shown.until(b"ground " + ground)
    assert shown.asked


def test_a_terminal_that_knows_only_what_it_is_is_not_waited_for(terminal):
    shown = terminal(DEVICE)
    assert shown.until(b"ground dark") < 0.09
    assert shown.asked


def test_a_terminal_that_never_answers_is_waited_for_a_moment(terminal):
    shown = terminal(b"")
    assert 0.08 < shown.until(b"ground dark") < 1
    assert shown.modes() & termios.ICANON
    assert shown.modes() & termios.ECHO


def test_no_part_of_an_answer_is_taken_for_something_typed(terminal):
    shown = terminal(answer("rgb:ffff/ffff/ffff") + DEVICE)
    shown.until(b"ground light")
    os.write(shown.end, b"typed\n")
    shown.until(b"rest 'typed\\n'")
    assert b"rgb" not in shown.seen


def test_what_was_typed_ahead_is_left_alone(terminal):
    shown = terminal(answer("rgb:ffff/ffff/ffff") + DEVICE, b"ls\n")
    shown.until(b"rest 'ls\\n'")
    assert not shown.asked


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "linux"},
        {"TERM": "screen"},
        {"TERM": "screen-256color", "STY": "1.a"},
        {"TMUX": "/t,1,0", "TERM_PROGRAM_VERSION": "2.9"},
        {"COLORFGBG": "0;15"},
    ],
    ids=str,
)
def test_who_is_not_asked(terminal, environment):
    shown = terminal(answer("rgb:ffff/ffff/ffff") + DEVICE, **environment)
    shown.until(b"ground")
    assert not shown.asked


def test_tmux_is_asked_since_it_knows(terminal):
    shown = terminal(DEVICE, TMUX="/t,1,0", TERM_PROGRAM_VERSION="3.3a")
    shown.until(b"ground dark")
    assert shown.asked
