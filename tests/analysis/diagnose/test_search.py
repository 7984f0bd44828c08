"""What explains a dump, and what cannot be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401  (fills the registry)
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.noise import rounded_stages
from attnviz.analysis.diagnose.probe import USUAL, probe
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.analysis.diagnose.search import (
    RARE,
    Search,
    distinct,
    double,
    double_in_other_places,
    explanations,
    searched,
    single,
)


def judge_of(c, out, dtype="float32", n_row=None):
    rows = np.arange(n_row or c.n_q)
    return Judge(Case(c, {"context": np.asarray(out, np.float64)}, dtype), rows, dtype)


def test_single_ones_leave_out_what_is_no_mistake():
    entries = [each.entries[0] for each in single(probe(USUAL))]
    assert {entry.detect for entry in entries} >= {"exact", "parameter"}
    assert "equal" not in {entry.detect for entry in entries}
    assert max(entry.rarity for entry in entries) < RARE
    rare = [each.entries[0] for each in single(probe(USUAL), rare=True)]
    assert {entry.rarity for entry in rare} == {RARE}


def test_mixing_ones_can_be_left_for_later():
    c = probe(USUAL)
    whole = [each.computation.mixes_rows for each in single(c)]
    assert 0 < sum(whole) < len(whole)
    assert not any(each.computation.mixes_rows for each in single(c, mixing=False))
    assert all(each.computation.mixes_rows for each in single(c, mixing=True))


def test_doubles_are_two_that_are_often_made_together():
    pairs = list(double(probe(USUAL)))
    assert len(pairs) > 100
    for each in pairs:
        one, other = each.entries
        assert one.pairs
        assert other.pairs
        assert one.family != other.family or (one.id[0], other.id[0]) == ("C", "W")
        assert each.order > (1, 18)


def test_a_double_does_both():
    c = probe(USUAL)
    names = ("no_scale", "heads_tiled")
    each = next(each for each in double(c) if {entry.name for entry in each.entries} == set(names))
    assert each.computation.scale == 1
    tiled = np.stack([c.k[:, h % c.n_kv_head] for h in range(c.n_head)], 1)
    plain = replace(c, k=tiled, v=np.stack([c.v[:, h % 2] for h in range(c.n_head)], 1), scale=1.0)
    np.testing.assert_allclose(compute(each.computation).context, compute(plain).context)


def test_alignment_and_window_go_wrong_together():
    c = probe(("causal", "window"))
    pairs = {tuple(entry.name for entry in each.entries) for each in double(c)}
    assert ("aligned_upper_left", "window_too_long") in pairs


def test_doubles_that_mix_rows_can_be_left_for_later():
    c = probe(USUAL)
    split = [list(double(c, mixing=mixing)) for mixing in (False, True)]
    assert [{each.computation.mixes_rows for each in some} for some in split] == [{False}, {True}]
    assert len(split[0]) + len(split[1]) == len(list(double(c)))


@pytest.mark.parametrize("names", [
    ("merged_without_transpose", "scale_of_the_model"),
    ("split_without_transpose", "no_scale"),
    ("merged_without_transpose", "heads_tiled"),
])  # fmt: skip
def test_an_output_in_other_places_is_moved_back(names):
    c = probe(USUAL)
    planted = next(
        each
        for each in double(c, mixing=True)
        if tuple(entry.name for entry in each.entries) == names
    )
    judge = judge_of(c, compute(planted.computation).context.astype(np.float32))
    found = list(double_in_other_places(judge))
    assert any(
        each.entries == planted.entries
        and each.variants[1].parameter == planted.variants[1].parameter
        for each in found
    )
    assert all(judge.fit(each.computation).holds for each in found)
    assert not list(double_in_other_places(judge_of(c, compute(c).context + 1)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_small_effects_are_told_from_rounding(dtype):
    """A softcap of 20 changes bfloat16 by less than its noise, in every number alike."""
    c = replace(probe(USUAL), softcap=20.0)
    dropped = replace(c, softcap=0.0)
    out = rounded_stages(dropped, dtype).context
    judge = judge_of(c, out, dtype)
    one, other = judge.fit(dropped), judge.reference
    assert one.holds
    if dtype == "float32":
        assert not other.holds
        assert distinct(one, other)
    assert not distinct(one, one)


def test_the_simplest_and_commonest_comes_first():
    c = probe(USUAL)
    judge = judge_of(c, compute(replace(c, scale=1 / c.d_k)).context)
    alike, matches = explanations(judge, Search(judge).tried(single(c)))
    assert not matches
    assert [each.hypothesis.ids for each in alike] == [("S4",), ("S3",)]
    assert [each.hypothesis.order for each in alike] == sorted(
        each.hypothesis.order for each in alike
    )


def test_what_is_right_is_a_match():
    c = probe(USUAL)
    for dtype in ("float32", "float16", "bfloat16"):
        judge = judge_of(c, rounded_stages(c, dtype).context, dtype)
        assert explanations(judge, Search(judge).tried(single(c))) == ([], True)


def test_a_scale_that_nobody_knows():
    c = probe(USUAL)
    judge = judge_of(c, compute(replace(c, scale=0.1234)).context)
    assert explanations(judge, Search(judge).tried(single(c)))[0] == []
    (best, *_), _ = explanations(judge, Search(judge).tried(searched(c, scale=(0.1234, ""))))
    assert best.hypothesis.ids == ("S8",)
    assert best.hypothesis.variants[0].parameter["scale"] == 0.1234


def test_a_few_queries_decide_about_most():
    c = probe(USUAL)
    judge = judge_of(c, compute(MISTAKES["no_scale"].variants(c).__next__().computation).context)
    search = Search(judge)
    found = search.tried(single(c))
    assert search.n_tried == len(found)
    short = [each for each in found if len(each.fit.off) < len(judge.reference.off)]
    assert len(short) > len(found) / 2
    assert not any(each.fit.holds for each in short)
