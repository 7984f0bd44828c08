"""The base of a rotation is found in the numbers."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.diagnosis import diagnose
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.noise import rounded_stages
from attnviz.analysis.diagnose.probe import probe
from attnviz.analysis.diagnose.rotary import with_base
from attnviz.analysis.diagnose.rotary_base import searched_base

FEATURES = ("causal", "padding", "rotary")


def judged(base, dtype="float32", stage="context", features=FEATURES):
    c = probe(features)
    made = rounded_stages(with_base(c, base) if base else c, dtype)
    case = Case(c, {stage: getattr(made, stage)}, dtype=dtype)
    return Judge(case, np.arange(c.n_q), dtype)


@pytest.mark.parametrize("base", [37.0, 12345.0, 640_000.0, 31_415_926.0])
@pytest.mark.parametrize("stage", ["context", "weights"])
def test_a_base_that_nobody_uses(base, stage):
    found = searched_base(judged(base, stage=stage))
    assert found == pytest.approx(base, rel=2e-3)


def test_in_half_precision():
    assert searched_base(judged(37.0, "bfloat16")) == pytest.approx(37, rel=0.1)


def test_what_no_base_explains():
    c = probe(FEATURES)
    wrong = compute(c).context + 0.1
    assert searched_base(Judge(Case(c, {"context": wrong}), np.arange(c.n_q), "float32")) is None


def test_nothing_is_known_of_a_rotation():
    assert searched_base(judged(0, features=("causal",))) is None


def test_the_diagnosis_names_it():
    case = judged(12345.0).case
    cause = diagnose([case]).causes[0]
    assert cause.id == "O2"
    assert cause.parameter["base"] == pytest.approx(12345, rel=1e-3)


def test_a_base_that_the_dump_says_is_the_one_that_is_wanted() -> None:
    """Though q and k are there, rotated by another that is common."""
    rng = np.random.default_rng(5)
    before = [rng.normal(size=(1, 3, 11, 8)).astype(np.float32) for _ in range(2)]
    v = rng.normal(size=(1, 3, 11, 7)).astype(np.float32)
    angles = np.arange(11)[:, None] * 10000.0 ** (-np.arange(4) / 4)
    cos, sin = np.tile(np.cos(angles), 2), np.tile(np.sin(angles), 2)
    halves = [np.concatenate([-x[..., 4:], x[..., :4]], -1) for x in before]
    q, k = (
        (x * cos + half * sin).astype(np.float32) for x, half in zip(before, halves, strict=True)
    )
    out = attnviz.attend(q, k, v, causal=True).context
    dump = {"q_pre": before[0], "k_pre": before[1], "causal": True}
    assert attnviz.diagnose(q, k, v, out, **dump).verdict == "match"
    assert attnviz.diagnose(q, k, v, out, **dump, rope_theta=10000).verdict == "match"
    found = attnviz.diagnose(q, k, v, out, **dump, rope_theta=500000)
    assert (found.verdict, found.causes[0].id) == ("differs", "O2")
