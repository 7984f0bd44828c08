"""Real processes: pipes, terminals, encodings, signals."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

ESCAPES = re.compile(rb"\x1b\[[0-9;]*m")


def test_module_and_script_are_the_same_command(cli):
    assert cli("--version").stdout == b"attnviz 0.1.0\n"
    script = os.path.join(os.path.dirname(sys.executable), "attnviz")
    assert subprocess.check_output([script, "--version"]) == b"attnviz 0.1.0\n"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_piped(cli, width):
    done = cli("run", "I saw a saw", COLUMNS=str(width))
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.decode().splitlines()) <= width


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_stdout_that_is_not_utf8(cli, encoding):
    done = cli("run", "I saw 我 😀", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("ascii")
    assert "\\u6211" in text
    assert "sum" not in text.splitlines()[0]


def test_force_color_through_a_pipe(cli):
    assert ESCAPES.search(cli("run", "I saw", FORCE_COLOR="1").stdout)
    assert not ESCAPES.search(cli("run", "I saw", FORCE_COLOR="1", NO_COLOR="1").stdout)


@pytest.mark.parametrize(
    "environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": "xterm"}], ids=str
)
def test_on_a_terminal(environment):
    """Through a pseudo-terminal, as a person would see it."""
    reader, writer = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **environment}
    for name in {"NO_COLOR", "FORCE_COLOR", "COLORTERM"} - set(environment):
        settings.pop(name, None)
    child = subprocess.Popen(
        [sys.executable, "-m", "attnviz", "run", "I saw"], stdout=writer, env=settings
    )
    os.close(writer)
    seen = b""
    while True:
        try:
            piece = os.read(reader, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(reader)
    assert child.wait() == 0
    coloured = bool(re.search(rb"48;5;\d+", seen))
    assert coloured == (environment == {})
    if "NO_COLOR" in environment or environment.get("TERM") == "dumb":
        assert b"\x1b" not in seen


def test_a_reader_that_goes_away(tmp_path):
    """`attnviz … | head -1`: no traceback, no complaint."""
    command = f'"{sys.executable}" -m attnviz run "{" ".join(f"w{i}" for i in range(60))}" --top 8'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"], capture_output=True, check=False
    )
    assert done.stdout.startswith(b"model")
    assert done.stderr == b""


def test_help_of_every_command(cli):
    for command in (
        [],
        ["run"],
        ["show"],
        ["compare"],
        ["explain"],
        ["encode", "positions"],
        ["encode", "tokens"],
    ):
        done = cli(*command, "--help")
        assert done.returncode == 0
        assert b"Usage" in done.stdout
