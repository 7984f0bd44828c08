"""Matplotlib comes without documentation of its artists only where nobody reads it."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
from attnviz.render.importing import import_matplotlib
import_matplotlib()
from matplotlib import artist, figure, lines
class Own(lines.Line2D): pass
print("linewidth" in (lines.Line2D.set.__doc__ or ""), "linewidth" in Own.set.__doc__, end=" ")
line = lines.Line2D([0, 1], [0, 1])
line.set(linewidth=3)
print(line.get_linewidth())
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", "False True 3.0"),
        ("import sys; sys.ps1 = '>>> '", "True True 3.0"),
        ("import matplotlib.figure", "True True 3.0"),
    ],
)
def test_documentation_is_made_where_it_is_read(before: str, expected: str) -> None:
    command = [sys.executable, "-c", before + ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")
