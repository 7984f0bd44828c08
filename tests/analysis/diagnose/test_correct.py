"""Nobody whose attention is right is accused, whatever the type, the shapes and the conventions.

`ATTNVIZ_CORRECT=1000 pytest tests/analysis/diagnose/test_correct.py` tries as many dumps.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Case, Request
from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.diagnosis import Diagnosis, diagnose
from attnviz.analysis.diagnose.masking import Masking, recognised
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.trace.dump import read_dump

from .correct import WAYS, Dump, correct, exact, wanted

N_DUMP = int(os.environ.get("ATTNVIZ_CORRECT", "10"))

A_TEST = 10
"""Dumps that one test tries."""

STARTS = range(0, N_DUMP, A_TEST)

WITH_TORCH = [
    False,
    pytest.param(
        True,
        marks=pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="without PyTorch"),
    ),
]


def case_of(dump: Dump) -> Case:
    """The dump with its axes arranged and its mask understood, without a file."""
    w = dump.wanted
    assert w is not None
    assert dump.out is not None
    n_q, n_k = w.q.shape[2], w.k.shape[2]
    masking = Masking(offset=n_k - n_q)
    if w.visible is not None:
        masking = recognised(np.broadcast_to(w.visible, (*w.visible.shape[:2], n_q, n_k)), n_q)
    c = computation(
        w.q, w.k, w.v,
        scale=w.scale, softcap=w.softcap, bias=w.bias, sinks=w.sinks, masking=masking,
    )  # fmt: skip
    return Case(c, {"context": np.asarray(dump.out, np.float64)}, dump.dtype, layout="bhnd")


def of_file(dump: Dump, path: Path) -> Diagnosis:
    """What is said of the dump as somebody saved it."""
    np.savez(path, **dump.arrays)
    request = Request(**dump.options)
    return diagnose(readings(read_dump([path], request.dtypes), request))


def accused(found: Diagnosis) -> str:
    """Who is blamed for what; empty if nobody is."""
    if found.verdict == "match":
        return ""
    return f"{[cause.id for cause in found.causes]}, {found.judge.reference.ratio:.3g} × the noise"


@pytest.mark.parametrize("torch", WITH_TORCH)
@pytest.mark.parametrize("start", STARTS)
def test_nobody_is_accused_whose_attention_is_right(start: int, torch: bool) -> None:
    blamed = {}
    for seed in range(start, start + A_TEST):
        dump = correct(seed, torch=torch)
        blamed[dump.what] = accused(diagnose([case_of(dump)]))
    assert not {what: said for what, said in blamed.items() if said}


@pytest.mark.parametrize("torch", WITH_TORCH)
@pytest.mark.parametrize("start", STARTS)
def test_nobody_is_accused_whose_file_is_right(start: int, torch: bool, tmp_path: Path) -> None:
    blamed = {}
    for seed in range(start, start + A_TEST):
        dump = correct(seed, torch=torch)
        blamed[dump.what] = accused(of_file(dump, tmp_path / "dump.npz"))
    assert not {what: said for what, said in blamed.items() if said}


@pytest.mark.parametrize("way", WAYS)
def test_the_honest_ways_agree(way: str) -> None:
    """In float64 all of them are the formula; so a wrong one would not hide behind rounding."""
    for seed in range(50):
        w, _ = wanted(np.random.default_rng(seed), "float64", Dump({}, {}, ""))
        np.testing.assert_allclose(WAYS[way](w, "float64"), exact(w, "float64"), rtol=0, atol=1e-13)
