"""What the terminal is taken to be."""

from __future__ import annotations

import io
import sys

import pytest

from attnviz.cli.emit import _has_blocks, screen, talk
from attnviz.cli.options import OutputOptions
from attnviz.cli.terminal import background, colour_depth
from attnviz.errors import AttnvizError

NAMES = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "COLUMNS", "COLORFGBG", "TMUX", "STY",
         "TERM_PROGRAM", "WT_SESSION", "VTE_VERSION")  # fmt: skip


@pytest.fixture
def terminal(monkeypatch):
    """Set the environment, and whether stdout is a terminal."""

    def prepare(is_terminal=True, encoding="utf-8", **environment):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
        monkeypatch.setattr(sys, "stdout", stream)

    return prepare


FULL = 16777216


@pytest.mark.parametrize(
    ("environment", "color", "depth"),
    [
        ({"TERM": "xterm-256color"}, "auto", 256),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "auto", FULL),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, "auto", FULL),
        ({"TERM": "xterm"}, "auto", 16),
        ({"TERM": "dumb"}, "auto", 0),
        ({}, "auto", 0),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "auto", 0),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "auto", 256),
        ({"TERM": "xterm-256color", "NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", 0),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "always", 256),
        ({"TERM": "xterm-256color"}, "never", 0),
        ({"TERM": "dumb"}, "always", 256),
        ({"TERM": "screen"}, "auto", 256),
        ({"TERM": "screen-256color"}, "auto", 256),
        ({"TERM": "tmux-256color", "COLORTERM": "truecolor"}, "auto", FULL),
        ({"TERM": "screen-256color", "TMUX": "/t,1,0", "COLORTERM": "truecolor"}, "auto", FULL),
        ({"TERM": "screen-256color", "STY": "1.a", "COLORTERM": "truecolor"}, "auto", 256),
        ({"TERM": "tmux-256color", "VTE_VERSION": "7000"}, "auto", 256),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7000"}, "auto", FULL),
        ({"TERM": "xterm-kitty"}, "auto", FULL),
        ({"TERM": "xterm-direct"}, "auto", FULL),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "auto", FULL),
        ({"WT_SESSION": "1"}, "auto", FULL),
        ({"TERM": "linux"}, "auto", 16),
    ],
    ids=str,
)
def test_colours_of_a_terminal(terminal, environment, color, depth):
    terminal(**environment)
    assert colour_depth(color) == depth


@pytest.mark.parametrize(
    ("environment", "color", "depth"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "auto", 0),
        ({"TERM": "xterm-256color", "FORCE_COLOR": "1"}, "auto", 256),
        ({"TERM": "xterm-256color", "FORCE_COLOR": ""}, "auto", 0),
        ({"TERM": "xterm-256color"}, "always", 256),
    ],
    ids=str,
)
def test_colours_of_a_pipe(terminal, environment, color, depth):
    terminal(is_terminal=False, **environment)
    assert colour_depth(color) == depth


@pytest.mark.parametrize(
    ("environment", "choice", "ground"),
    [
        ({}, "auto", "dark"),
        ({"COLORFGBG": "15;0"}, "auto", "dark"),
        ({"COLORFGBG": "0;15"}, "auto", "light"),
        ({"COLORFGBG": "0;default;7"}, "auto", "light"),
        ({"COLORFGBG": "0;default"}, "auto", "dark"),
        ({"COLORFGBG": "12;8"}, "auto", "dark"),
        ({"COLORFGBG": "0;" + "9" * 5000}, "auto", "dark"),
        ({"COLORFGBG": "0;15"}, "dark", "dark"),
        ({}, "light", "light"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_background_by_what_is_set(terminal, environment, choice, ground):
    terminal(TERM="xterm-256color", **environment)
    assert background(choice) == ground


def test_the_background_that_is_asked_for(terminal):
    terminal(TERM="xterm-256color")
    assert screen(OutputOptions(background="light")).background == "light"
    assert screen(OutputOptions()).background == "dark"
    with pytest.raises(AttnvizError, match="--background"):
        OutputOptions(background="blue")


@pytest.mark.parametrize(
    ("encoding", "blocks"), [("utf-8", True), ("cp1252", False), ("ascii", False), ("cp437", False)]
)
def test_characters(encoding, blocks):
    assert _has_blocks(encoding) == blocks


def test_what_is_said_moves_no_cursor(capsys):
    talk("wrote a\x1b[2J\u202egnp.\n\r.npz")
    assert capsys.readouterr().err == "wrote a␛[2J\\u202egnp.⏎␍.npz\n"


@pytest.mark.parametrize(("asked", "got"), [(None, 123), (100, 100), (10, 40), (999, 200)])
def test_width(terminal, asked, got):
    terminal(COLUMNS="123")
    assert screen(OutputOptions(width=asked)).width == got
