"""A finished scan: its table, what is said of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import load_model
from attnviz.analysis.metrics import METRICS
from attnviz.errors import AttnvizError
from attnviz.models.run.forward import describe
from attnviz.scan.corpus import Chunk, Line
from attnviz.scan.measure import heads_of
from attnviz.scan.result import ScanResult, check_result, head_table, notes
from attnviz.scan.state import State, beginning
from attnviz.scan.tally import Complaint, Counts, Job, Tally, tally

LINES = tuple(Line(i, text) for i, text in enumerate(("I saw a saw", "the house", "a saw")))


@pytest.fixture(scope="module")
def model():
    return load_model("tagger")


@pytest.fixture(scope="module")
def state(model):
    chunk = Chunk(LINES, 3, 0, 0, "digest", 0)
    return beginning(len(heads_of(model.transformer)[0]), 512).plus(
        chunk, tally(Job("tagger", (), 512), chunk)
    )


def result(state, model):
    table = head_table(state, *heads_of(model.transformer), 512)
    return ScanResult(state, table, describe(model, True, 0), 512)


def test_the_table_holds_the_statistics_by_metric_and_head(state, model):
    scanned = result(state, model)
    statistics = state.tally.statistics
    for i, name in enumerate(METRICS):
        known = statistics.texts[i] > 0
        np.testing.assert_array_equal(scanned.table.value[name][known], statistics.mean[i][known])
        assert np.isnan(scanned.table.value[name][~known]).all()
        assert scanned.table.quantiles[name].shape == (len(scanned.table), 5)
    arrays = scanned.arrays()
    entropy = list(METRICS).index("entropy")
    np.testing.assert_array_equal(arrays["texts/entropy"], statistics.texts[entropy])
    np.testing.assert_array_equal(arrays["least/entropy"], statistics.minimum[entropy])
    np.testing.assert_array_equal(arrays["most/entropy"], statistics.maximum[entropy])
    assert (arrays["least/entropy"] <= arrays["value/entropy"]).all()


def test_what_is_defined_nowhere_is_nan_and_not_infinite(state, model):
    nowhere = state.tally.statistics.texts == 0
    assert nowhere.any()
    arrays = result(state, model).arrays()
    for i, name in enumerate(METRICS):
        for kind in ("value", "null", "least", "most"):
            assert np.isnan(arrays[f"{kind}/{name}"][nowhere[i]]).all()


def test_the_manifest(state, model):
    manifest = result(state, model).manifest()
    assert manifest["format"] == "attnviz-scan"
    assert manifest["corpus"]["sha256"] == "digest"
    assert manifest["corpus"]["lines"] == manifest["corpus"]["texts"] == 3
    assert manifest["options"] == {"longest": 512}


def said(**counts):
    counts = {"lines": 9, "texts": 9, "tokens": 100} | counts
    return notes(Counts(**counts), None, 41)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"windowed": 1}, "1 line was cut into windows of at most 41 tokens"),
        ({"windowed": 2}, "2 lines were cut into windows"),
        ({"empty": 2}, "2 lines were skipped: empty"),
        ({"huge": 1}, "1 line was skipped: longer than 1 MiB"),
        ({"broken": 2}, "2 texts skipped: their weights are NaN"),
        ({"unknown": 21}, "21% of the tokens are unknown to the tokenizer"),
    ],
)
def test_what_was_left_out_is_said(counts, sentence):
    (_, *before), (_, *now) = said(), said(**counts)
    (extra,) = set(now) - set(before)
    assert sentence in extra


def test_means_are_over_the_texts_that_are_not_broken():
    assert said(broken=2)[0].startswith("means over 7 texts with 100 tokens")
    assert len(said(unknown=20)) == len(said())
    sentences = notes(Counts(texts=1, unreadable=3), Complaint(7, "because"), 41)
    assert "3 lines were skipped, the first of them line 7: because" in sentences


@pytest.mark.parametrize(
    ("counts", "complaint", "message"),
    [
        (Counts(), None, "corpus.txt is empty"),
        (Counts(lines=3, empty=3), None, "no line holds a text"),
        (
            Counts(lines=3, unreadable=3),
            Complaint(2, "because"),
            "no line could be read; line 2: because",
        ),
        (Counts(lines=3, texts=3, broken=3), None, "NaN on every text"),
    ],
)
def test_a_corpus_of_which_nothing_was_measured_is_refused(
    model, state, counts, complaint, message
):
    nothing = State(1, "", Tally(state.tally.statistics, counts, complaint))
    with pytest.raises(AttnvizError, match=message):
        check_result(nothing, "corpus.txt", model)
    check_result(state, "corpus.txt", model)
