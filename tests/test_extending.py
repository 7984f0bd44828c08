"""What attnviz can be given from outside its package, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def run_with(folder, name, source, *arguments):
    """The `attnviz` command line after the module `name` of that source was imported."""
    (folder / f"{name}.py").write_text(source)
    code = f"import sys, {name}; from attnviz.cli import run_cli; sys.exit(run_cli(sys.argv[1:]))"
    paths = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


TITLES = '''
"""The titles of the views, one a line."""

import sys

from attnviz.render import FORMATS


def render(views):
    return "\\n".join(getattr(view, "title", "-") for view in views).encode(), ("titles only",)


FORMATS.add(sys.modules[__name__])
'''


def test_a_format(tmp_path):
    done = run_with(tmp_path, "titles", TITLES, "run", "I saw", "-o", "x.titles")
    assert done.returncode == 0, done.stderr
    assert "warning: titles only\nwrote x.titles" in done.stderr
    assert "all heads shown · weights" in (tmp_path / "x.titles").read_text()
    assert ".titles" in run_with(tmp_path, "titles", TITLES, "run", "--help").stdout
