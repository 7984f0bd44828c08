"""A difference between decoding and one whole pass is found, wherever it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.decoding import cache_error
from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import can_cache, generate
from attnviz.models.run.prepare import after_decoding, prepare_decoding
from attnviz.trace.selection import parse_selection

TEXT = "qwertqw"


@pytest.fixture(scope="module")
def decoded():
    model = load_model("induction")
    prepared = prepare_decoding(model, TEXT, max_tokens=5)
    generated = generate(model, prepared.streams["source"], max_tokens=5, stages=("weights",))
    trace = forward(after_decoding(prepared, generated), fingerprint=False)
    return trace, generated


def steps(generated):
    return [step.records for step in generated.steps]


def test_none(decoded):
    trace, generated = decoded
    assert cache_error(trace, generated.n_given, steps(generated)) < 1e-5


@pytest.mark.parametrize("number", [0, 2, 4])
@pytest.mark.parametrize("value", [0.25, np.nan])
def test_a_planted_one(decoded, number, value):
    trace, generated = decoded
    records = steps(generated)
    weights = records[number][1].weights.copy()
    weights[2, -1, 1] += value
    changed = replace(records[number][1], weights=weights)
    records[number] = (records[number][0], changed)
    found = cache_error(trace, generated.n_given, records)
    assert np.isnan(found) if np.isnan(value) else found == pytest.approx(0.25, abs=1e-5)


def test_nothing_in_common(decoded):
    trace, generated = decoded
    assert cache_error(trace, generated.n_given, []) is None


def test_what_is_read_and_written(decoded):
    trace, generated = decoded
    assert generated.read.tokens == ("[BOS]", *TEXT, *generated.written.tokens[:-1])
    assert len(generated.steps) == len(generated.written) == 5
    assert len(trace.streams["source"]) == generated.n_given + 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", True),
        ("mask=causal+window:size=2", True),
        ("mask=none", False),
        ("mask=window:size=2", False),
        ("norm=batch", False),
    ],
)
def test_where_a_cache_is_right(options, expected):
    model = load_model("random:kind=decoder" + (f",{options}" if options else ""))
    assert can_cache(model.transformer.decoder) is expected


def test_only_what_is_selected(decoded):
    model = load_model("induction")
    prepared = prepare_decoding(model, TEXT, max_tokens=5, select=parse_selection(["L1"]))
    trace = forward(after_decoding(prepared, decoded[1]), fingerprint=False)
    assert [record.id for record in trace] == ["decoder.1.self"]
