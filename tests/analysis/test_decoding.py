"""A difference between decoding and one whole pass is found, wherever it is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.decoding import (
    cache_error,
    strongest_key,
    weights_after,
    weights_as_written,
)
from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import can_cache, generate
from attnviz.models.run.prepare import after_decoding, prepare_decoding
from attnviz.nn.blocks import BlockPool
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.paged import PagedCache
from attnviz.running import run
from attnviz.trace.selection import parse_selection
from attnviz.trace.summary import SummaryPlan
from tests.conftest import GOLDEN

TEXT = "qwertqw"
FAMILIES = GOLDEN / "families"


def paged():
    return PagedCache(BlockPool(64, 2))


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


@pytest.mark.parametrize("variant", ["llama-long", "phi3-long"])
class TestRotationsThatDependOnTheLength:
    """What is cached is what one whole pass computes: tokens rotated for a shorter text are read
    anew. transformers writes the same without a cache."""

    N = 12
    """The length from which on others are rotated."""

    @pytest.fixture
    def golden(self, variant):
        return json.loads((FAMILIES / "generated.json").read_text())[variant]

    def generate(self, variant, golden, **options):
        model = load_model(str(FAMILIES / variant))
        prepared = prepare_decoding(model, golden["prompt"], max_tokens=20)
        source = prepared.streams["source"]
        generated = generate(model, source, max_tokens=20, stages=("weights",), **options)
        return prepared, generated

    @pytest.mark.parametrize("cache", [None, ContiguousCache, paged])
    def test_what_is_written(self, variant, golden, cache):
        _, generated = self.generate(variant, golden, cache=cache)
        assert list(generated.written.ids) == golden["written"]

    def test_every_step(self, variant, golden):
        """Each step's row is that of a pass over what was read until then."""
        _, generated = self.generate(variant, golden)
        ids = list(generated.read.ids)
        for number, step in enumerate(generated.steps):
            read = ids[: generated.n_given + number]
            whole = run(read, model=str(FAMILIES / variant), fingerprint=False)
            for record in step.records:
                expected = whole[record.id].weights[:, -1]
                np.testing.assert_allclose(record.weights[:, -1], expected, atol=2e-6)

    def test_it_says_from_where_on_the_steps_are_those_of_the_whole(self, variant, golden):
        prepared, generated = self.generate(variant, golden)
        trace = forward(after_decoding(prepared, generated), fingerprint=False)
        first = self.N + 1 - len(golden["prompt"])
        assert generated.first_step == first
        late = steps(generated)[first:]
        assert cache_error(trace, generated.n_given + first, late) < 1e-5
        assert cache_error(trace, generated.n_given, steps(generated)) > 0.1

    def test_old_blocks_are_free_again(self, variant, golden):
        _, generated = self.generate(variant, golden, cache=paged)
        assert generated.cache.pool.n_used == len(generated.cache.table)


@pytest.mark.parametrize("cache", [ContiguousCache, None])
@pytest.mark.parametrize("select", ["", "L1.H2"])
def test_a_long_prompt_leaves_the_rows_that_wrote_something(decoded, cache, select):
    trace, generated = decoded
    model, plan = load_model("induction"), SummaryPlan(map_size=2)
    selection = parse_selection([select] if select else [])
    prepared = prepare_decoding(model, TEXT, max_tokens=5, select=selection, memory=1,
                                summaries=lambda streams: plan)  # fmt: skip
    source = prepared.streams["source"]
    long = generate(model, source, max_tokens=5, last_rows=True, cache=cache)
    assert [step.id for step in long.steps] == [step.id for step in generated.steps]
    summarised = forward(after_decoding(prepared, long, lambda streams: plan), fingerprint=False)
    assert cache_error(summarised, long.n_given, steps(long)) < 1e-5
    record, whole = summarised.records[-1], trace["decoder.1.self"]
    rows = weights_as_written(generated, whole, 2)
    np.testing.assert_allclose(weights_as_written(long, record, 2), rows, atol=1e-6)
    for query in range(long.n_given - 1, len(long.read)):
        assert strongest_key(record, 2, query)[0] == strongest_key(whole, 2, query)[0]
    for n_step in (1, 3, 5):
        expected = weights_after(generated, n_step, whole.id, 2)
        found = weights_after(long, n_step, whole.id, 2)
        assert (expected.first, found.first) == (0, long.n_given - 1)
        np.testing.assert_allclose(found.values, expected.values[found.first :], atol=1e-6)
        np.testing.assert_array_equal(found.masked, expected.masked[found.first :])


def test_an_encoder_keeps_no_rows():
    model, plan = load_model("phrases"), SummaryPlan(map_size=2)
    prepared = prepare_decoding(model, "good morning", max_tokens=3, memory=1,
                                summaries=lambda streams: plan)  # fmt: skip
    generated = generate(model, prepared.streams["source"], max_tokens=3, last_rows=True)
    trace = forward(after_decoding(prepared, generated, lambda streams: plan), fingerprint=False)
    assert cache_error(trace, generated.n_given, steps(generated)) < 1e-5
    for record in trace:
        n_row = 0 if record.id.block == "encoder" else len(generated.steps)
        assert record.summary.block.shape[1] == n_row
