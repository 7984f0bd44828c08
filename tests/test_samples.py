"""Every sample runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import attnviz
from tests.conftest import HERE

SAMPLES = HERE.parent / "samples"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.toml")), ids=lambda p: p.name)
def test_stacks(path):
    trace = attnviz.run("I saw a saw", model=str(path))
    assert not trace.model.trained


def test_dive_into_deep_learning():
    done = subprocess.run(
        [sys.executable, SAMPLES / "d2l_attention.py"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("[[ 2.  3.  4.  5.]\n [10. 11. 12. 13.]]") == 2
    assert "[[0.5    0.5    0." in done.stdout


def test_sentences(cli):
    done = cli("run", *(SAMPLES / "sentences.txt").read_text("utf-8").splitlines(), "--top", "0")
    assert done.returncode == 0
    assert done.stdout.count(b"all heads shown") == 5
