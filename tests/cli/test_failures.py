"""Errors: a line each for programs, wrapped at spaces and in colour for readers."""

from __future__ import annotations

import io

import pytest

from attnviz.cli.failures import fail

PATH = "a/very/long/path/that-has-more/columns-than/the-terminal/weights.safetensors"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")

    def say(message: str, hint: str | None) -> str:
        stream = Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        fail(message, hint)
        return stream.getvalue()

    return say


def test_a_program_reads_one_line_each(capsys):
    assert fail(f"no such file: {PATH} {PATH}", "check its name") == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: no such file: {PATH} {PATH}", "hint: check its name",
    ]  # fmt: skip


def test_a_reader_sees_colours_and_whole_words(terminal):
    words = "the first array has the shape [2, 3] and the second one the shape [3, 2]"
    text = terminal(f"{words}: {PATH}", "hint")
    lines = text.splitlines()
    assert lines[0].startswith("\x1b[1;31merror: \x1b[0mthe first")
    assert lines[-1] == "\x1b[36mhint: \x1b[0mhint"
    assert PATH in lines  # which needs more than all of the width
    plain = text.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    assert " ".join(plain.split()).startswith(f"error: {words}: {PATH}")
    assert all(len(line) <= 50 for line in plain.splitlines() if PATH not in line)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert terminal("wrong", None) == "error: wrong\n"


def test_no_colours_as_the_command_line_says(terminal, monkeypatch):
    monkeypatch.setattr("sys.argv", ["attnviz", "run", "--color", "never"])
    assert terminal("wrong", None) == "error: wrong\n"
