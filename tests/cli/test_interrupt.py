"""Ctrl-C during a long run, in processes of their own: what was finished is shown and written."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

import attnviz

SCRIPT = """
import itertools, os, signal, sys
from attnviz.cli import emit, run_cli
from attnviz.models.run import work

def kill_after(owner, name, number):
    function = getattr(owner, name)
    numbers = itertools.count(1)
    def killing(*arguments, **options):
        own = next(numbers)  # of several threads, one has the number
        result = function(*arguments, **options)
        if own == number:
            os.kill(os.getpid(), signal.SIGINT)
        return result
    setattr(owner, name, killing)

signal.signal(signal.SIGINT, signal.default_int_handler)
{kills}
sys.exit(run_cli(sys.argv[1:]))
"""

LAYER = "kill_after(work.Counted, 'open', {n})"
"""In the midst of the layer: those before it are finished."""
TILE = "from attnviz.nn import streaming; kill_after(streaming._Stream, '_read_rows', {n})"
WRITING = "kill_after(emit.OutputFiles, 'write', 2)"


def attention(tmp_path, *kills, arguments=("run", "I saw a saw")):
    script = SCRIPT.format(kills="\n".join(kills))
    model = ("-m", "random:layers=5,heads=3,d_model=12")
    return subprocess.run(
        [sys.executable, "-c", script, *arguments, *model],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_layers_that_were_finished_are_shown_and_written(tmp_path):
    done = attention(tmp_path, LAYER.format(n=4), arguments=("run", "I saw a saw", "-o", "a.npz",
                                                             "-o", "a.txt"))  # fmt: skip
    assert done.returncode == 130
    assert done.stderr == "warning: stopped after 3 of 5 layers\nwrote a.npz\nwrote a.txt\n"
    trace = attnviz.load(tmp_path / "a.npz")
    assert [record.layer for record in trace] == [0, 1, 2]
    assert trace.model.notes[-1] == "stopped after 3 of 5 layers"
    whole = attnviz.run("I saw a saw", model="random:layers=5,heads=3,d_model=12")
    for record, other in zip(trace, whole, strict=False):
        assert (record.weights == other.weights).all()
    assert "stopped after 3 of 5 layers" in (tmp_path / "a.txt").read_text()


@pytest.mark.parametrize("arguments", [("heads", "I saw a saw"),
                                       ("run", "I saw a saw", "--memory", "1"),
                                       ("run", "I saw", "a b", "-q", "-s", "L0,L4")],
                         ids=" ".join)  # fmt: skip
def test_other_commands(tmp_path, arguments):
    done = attention(tmp_path, LAYER.format(n=2), arguments=arguments)
    assert (done.returncode, done.stderr) == (130, "warning: stopped after 1 of 5 layers\n")
    assert "stopped after 1 of 5 layers" in done.stdout
    assert "L0.H1" in done.stdout
    assert "L1.H" not in done.stdout


def test_between_two_tiles_of_many_threads(tmp_path):
    """Which other threads make; none of them goes on."""
    text = "I saw a saw " * 300
    start = time.monotonic()
    done = attention(tmp_path, TILE.format(n=12), arguments=("run", text, "--memory", "40MB"))
    assert done.returncode == 130
    assert re.search(r"warning: stopped after [1-4] of 5 layers", done.stderr)
    assert time.monotonic() - start < 20


def test_where_nothing_was_finished(tmp_path):
    for arguments in (("run", "I saw"), ("flow", "I saw")):
        done = attention(tmp_path, LAYER.format(n=1),
                         arguments=arguments)  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_second_one_ends_it(tmp_path):
    """And no file is half there."""
    arguments = ("run", "I saw a saw", "-o", "a.npz", "-o", "a.txt")
    done = attention(tmp_path, LAYER.format(n=4), WRITING, arguments=arguments)
    assert done.returncode == 130
    assert done.stderr == "warning: stopped after 3 of 5 layers\ninterrupted\n"
    assert not list(tmp_path.iterdir())
