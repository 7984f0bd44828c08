"""What to try next: commands that work, on one line, and only where somebody reads it."""

from __future__ import annotations

import shlex
import sys

import pytest

from attnviz.cli.hints import hint_line, next_commands


def test_commands_go_on_with_the_same_text_and_model(call):
    commands = next_commands(["run", "I saw", "-m", "random"], ["I saw"])
    assert commands[0] == 'attnviz explain "I saw" -m random'
    assert call(*shlex.split(commands[0])[1:]).code == 0


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["run", "I", "--mask", "causal"], ["I"]),
        (["run", "--ids=1,2"], [None]),
        (["run", "a", "b"], ["a", "b"]),
        (["run", "a " * 50], ["a " * 50]),
        (["run", "a\n\x1b[31mb"], ["a\n\x1b[31mb"]),
    ],
)
def test_what_explain_would_read_in_another_way_is_left_out(arguments, texts):
    assert next_commands(arguments, texts) == ("attnviz learn", "-o page.html")


@pytest.mark.parametrize("text", ['say "hi"', "$HOME", "it's", "a`b`", "wow!"])
def test_texts_are_quoted_for_the_shell(text):
    assert shlex.split(next_commands(["run", text], [text])[0])[2] == text


def test_as_many_as_fit():
    commands = ["first", "second", "third"]
    assert hint_line(commands, 80) == "try next: first · second · third"
    assert hint_line(commands, 24) == "try next: first · second"
    assert hint_line(commands, 5) == ""
    assert hint_line(["a long one", "b", "c"], 16) == "try next: b · c"


@pytest.mark.parametrize("reads", [(True, True), (True, False), (False, True)])
def test_only_where_somebody_reads_it(call, monkeypatch, reads):
    for name, is_terminal in zip(("stdout", "stderr"), reads, strict=True):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda answer=is_terminal: answer)
    hint = "attnviz learn" in call("run", "I saw a saw", "--color", "never").err
    assert hint == all(reads)
    assert "attnviz learn" not in call("run", "I saw a saw", "-q").err
    assert "attnviz learn" not in call("run", "I saw a saw", "-o", "t.json").err


def test_quiet_leaves_warnings(call):
    assert call("run", "I saw", "-o", "t.json").err == "wrote t.json\n"
    assert call("run", "I saw", "-q", "-o", "t.json").err == ""
    assert call("run", "I saw", "-o", "t.json").err == "wrote t.json\n"
    differs = call("diff", "I saw", "I see", "--fail-above", "0", "-q")
    assert (differs.code, differs.err.startswith("differs: ")) == (1, True)
