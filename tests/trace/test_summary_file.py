"""Summaries go out and come back the same; what is broken is refused with a word."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest

import attnviz
from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.nn.tile_readers import Block
from attnviz.trace.summary import SummaryPlan

ID = "encoder.1.self"


class Reader:
    """A statistic of every head: its number, and not a number."""

    def __init__(self, site, inputs, heads):
        self._heads = heads

    def fork(self):
        return self

    def read(self, tile):
        pass

    def merge(self, other):
        pass

    def statistics(self):
        numbers = np.array(self._heads, float)
        return {"value/entropy": numbers, "null/entropy": np.where(numbers > 0, np.nan, 1.0)}


@pytest.fixture(scope="module")
def trace():
    model = attnviz.load_model("random:layers=2,heads=3,d_model=12,mask=causal")
    plan = SummaryPlan(
        map_size=5,
        block=lambda site: Block(np.array([2, 7, 8]), np.arange(11)),
        statistics=Reader,
    )
    text = " ".join("abcdefg"[i % 7] for i in range(23))
    prepared = prepare(model, text, memory=1, stages=("q", "k", "v"), summaries=lambda _: plan)
    return forward(prepared)


@pytest.mark.parametrize("suffix", DATA_FORMATS)
def test_there_and_back(trace, suffix, tmp_path):
    path = tmp_path / f"trace{suffix}"
    trace.save(path)
    back = attnviz.load(path)
    assert back.manifest() == trace.manifest()
    for old, new in zip(trace, back, strict=True):
        assert list(old.kept()) == list(new.kept()) == ["q", "k", "v"]
        for field in fields(old.summary):
            before, after = (getattr(each.summary, field.name) for each in (old, new))
            if field.name == "statistics":
                assert set(after) == set(before)
                before, after = (
                    np.stack([each[n] for n in sorted(each)]) for each in (before, after)
                )
            np.testing.assert_array_equal(after, before, err_msg=field.name)
    assert repr(back) == repr(trace)


def test_readers_that_know_no_summaries_find_nothing_else_changed(trace, tmp_path):
    """Arrays under names that no stage has, and one more key beside a record's others."""
    path = tmp_path / "trace.npz"
    trace.save(path)
    manifest, arrays = archive.read(path)
    assert manifest["version"] == 1
    assert [entry.pop("summary")["shape"] for entry in manifest["records"]] == [[23, 23]] * 2
    stages = {
        name for name in arrays if not name.startswith(tuple(f"{r.id}/summary/" for r in trace))
    }
    assert stages == {f"{record.id}/{stage}" for record in trace for stage in "qkv"}


def test_a_head_of_it_is_that_head_alone(trace):
    record, head = trace[ID], trace["L1.H2"]
    assert head.n_head == 1
    assert head.summary.heads == (0,)
    np.testing.assert_array_equal(head.summary.total[0], record.summary.total[2])
    np.testing.assert_array_equal(head.summary.block[0], record.summary.block[2])
    assert head.summary.statistics["value/entropy"].tolist() == [2.0]


MISTAKES = {
    "total": (lambda a: a[:, 1:], "summary/total holds float64 of the shape"),
    "largest": (lambda a: a.astype(int), "summary/largest holds int64"),
    "visible": (lambda a: a * 1.0, "summary/visible holds float64"),
    "links": (lambda a: a[:, 1:], "summary/links holds float32 of the shape [3, 22, 3]"),
    "link_keys": (lambda a: a + 20, "summary/link_keys: expected positions from 0 to 22, or -1"),
    "block": (lambda a: a[:, :2], "summary/block holds float32 of the shape [3, 2, 11]"),
    "block_masked": (lambda a: a[:, :2], "summary/block_masked holds uint8"),
    "rows": (lambda a: a[::-1], "summary/rows: expected positions from 0 to 22, increasing"),
    "keys": (lambda a: a + 13, "summary/keys: expected positions from 0 to 22"),
    "statistics/value/entropy": (lambda a: a[1:], "expected numbers, 3 heads first"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_arrays_that_do_not_fit(trace, name, tmp_path):
    wrong, message = MISTAKES[name]
    arrays = trace.arrays()
    whole = f"{ID}/summary/{name}"
    with pytest.raises(AttnvizError) as caught:
        _reread(trace.manifest(), {**arrays, whole: wrong(arrays[whole])}, tmp_path)
    assert message in caught.value.message
    assert ID in caught.value.message


@pytest.mark.parametrize("name", ["total", "visible", "links", "rows", "block"])
def test_arrays_that_are_missing(trace, name, tmp_path):
    arrays = trace.arrays()
    del arrays[f"{ID}/summary/{name}"]
    with pytest.raises(AttnvizError, match=re.escape(f"{ID}/summary")):
        _reread(trace.manifest(), arrays, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("heads", [0, 2, 1], "its heads are [0, 2, 1]"),
        ("heads", [0, 1, 3], "expected numbers from 0 to 2"),
        ("heads", [], "'summary.heads'"),
        ("heads", "all", "'summary.heads'"),
        ("shape", [23, 22], "it is of [23, 22] weights"),
        ("shape", [23], "it is of [23] weights"),
        ("row_step", 0, "a step of 0 tokens"),
        ("key_step", -1, "'summary.key_step'"),
        ("row_step", 1.5, "'summary.row_step'"),
        ("row_step", 7, "summary/total holds"),
    ],
)
def test_what_the_manifest_says_wrong(trace, key, value, message, tmp_path):
    manifest = trace.manifest()
    manifest["records"][1]["summary"][key] = value
    with pytest.raises(AttnvizError) as caught:
        _reread(manifest, trace.arrays(), tmp_path)
    assert message in caught.value.message


def test_a_summary_that_is_no_object(trace, tmp_path):
    manifest = trace.manifest()
    manifest["records"][1]["summary"] = [1]
    with pytest.raises(AttnvizError, match="'summary'"):
        _reread(manifest, trace.arrays(), tmp_path)


def _reread(manifest, arrays, tmp_path):
    path = tmp_path / "broken.npz"
    with path.open("wb") as file:
        archive.write(file, ".npz", manifest, arrays)
    attnviz.load(path)
