"""What attnviz can be given from outside its package, run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


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


TEXTS = ["a " * n for n in range(1, 60)]

SEEN = '''
import numpy as np

from attnviz.analysis.metrics import METRICS, Measure


@METRICS.add
def seen(pattern):
    """How many keys the last query sees, and a little more for later heads."""
    n_head = pattern.weights.shape[-3]
    count = pattern.setting.n_visible[..., -1] + np.arange(n_head) / 8
    shape = pattern.weights.shape[:-2]
    return Measure(np.broadcast_to(count, shape).astype(float), np.ones(shape, int))
'''


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_metric_counted_in_tokens_has_quantiles_in_tokens(tmp_path, workers):
    """Nothing says that it is no share of 1, nor where it ends."""
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS))
    found = run_with(
        tmp_path, "seen", SEEN, "scan", "corpus.txt", "--workers", workers, "-o", "stats.json"
    )
    assert found.returncode == 0, found.stderr
    arrays = json.loads((tmp_path / "stats.json").read_text())["arrays"]
    low, *_, median, _, high = arrays["quantiles/seen"][0]
    assert low == pytest.approx(5, abs=2)
    assert median == pytest.approx(32, abs=2)
    assert high == pytest.approx(58, abs=2)
    assert arrays["least/seen"][0] < low < arrays["value/seen"][0] < high < arrays["most/seen"][0]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["I saw a saw", "--columns", "seen,entropy"], "seen  entropy"),
        (["I saw a saw", "--map", "seen"], "seen by layer and head"),
        (["--explain"], "How many keys the last query sees"),
    ],
)
def test_a_metric_is_a_column_a_map_and_explained(tmp_path, options, shown):
    assert shown in run_with(tmp_path, "seen", SEEN, "heads", *options).stdout


def test_a_metric_outside_the_range_that_it_names_is_an_error(tmp_path):
    share = SEEN.replace("@METRICS.add", "@METRICS.add(range=(0, 1))")
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS))
    found = run_with(tmp_path, "seen", share, "scan", "corpus.txt", "--workers", "2")
    assert found.returncode == 2
    assert "the metric seen is" in found.stderr
    assert "expected 0 to 1" in found.stderr
