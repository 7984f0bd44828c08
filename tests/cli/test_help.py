"""The help of a command fits a screen; long groups of options have pages of their own."""

from __future__ import annotations

import pytest

from attnviz.cli.command import FOLDED
from attnviz.cli.commands import COMMANDS
from attnviz.cli.help import FITS
from attnviz.models.build.stack import FIELDS

LONG = 60
"""Lines that the help of a command with very many options of its own may have."""

EVERY = [[name] for name in COMMANDS if name != "encode"]
EVERY += [["encode", "positions"], ["encode", "tokens"]]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_the_help_fits_a_screen_and_begins_with_examples(call, command):
    text = call(*command, "--help").out
    lines = text.splitlines()
    assert len(lines) <= LONG
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"Usage: attnviz {' '.join(command)}")
    assert text.index(f"  attnviz {' '.join(command)}") < text.index("\n  -")
    assert not set("{}[") & {line.split()[0][0] for line in lines[1:] if line}


def test_the_help_of_run(call):
    text = call("run", "--help").out
    assert len(text.splitlines()) <= FITS
    for option in ("--mask MASK", "--score SCORE", "-m, --model MODEL", "--help-stack"):
        assert option in text
    assert "--kv-heads" not in text


def test_groups_on_pages_of_their_own(call):
    stack = call("run", "--help-stack").out
    for name in FIELDS:
        assert f"--{name.replace('_', '-')} " in stack.replace("--[no-]", "--")
    assert "--select" not in stack
    everything = call("run", "--help-all").out
    assert "--kv-heads" in everything
    assert "--select" in everything
    for title, fold in FOLDED.items():
        done = call("diff", fold.flag)
        assert title in done.out or done.code == 2


def test_a_group_that_a_command_does_not_have(call):
    assert "no such option: --help-stack" in call("decode", "hi", "--help-stack").err


@pytest.mark.parametrize("width", ["40", "57", "200"])
def test_other_widths(call, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    for line in call("run", "--help-all").out.splitlines():
        assert len(line) <= int(width) or line.strip().startswith(("attnviz ", "--", "Usage"))


def test_colours_only_where_they_are_wanted(call, monkeypatch):
    assert "\x1b" not in call("run", "--help").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1mOptions\x1b[0m" in call("run", "--help").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in call("run", "--help").out


def test_help_as_a_command(call):
    assert call("help", "run").out == call("run", "--help").out
    assert call("help").out == call("--help").out


@pytest.mark.parametrize("width", [40, 80])
def test_the_start_page_fits(cli, width):
    lines = cli(COLUMNS=str(width)).stdout.decode().splitlines()
    assert max(map(len, lines)) <= width
    assert "attnviz learn" in " ".join(lines)
