"""The memory that is announced, against what a run takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from attnviz.analysis.summaries import usual_summary
from attnviz.errors import AttnvizError
from attnviz.memory import parse_size
from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.models.run.memory import Plan, check_memory, plan_decoding, plan_run
from attnviz.models.run.prepare import prepare
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.tile_readers import Block
from attnviz.nn.weights import LazyWeight
from attnviz.running import run
from attnviz.trace.selection import parse_selection
from attnviz.trace.summary import SummaryPlan
from tests.conftest import GOLDEN

N_TOKEN = 293

STACKS = {
    "plain": "layers=3,heads=7,d_model=56",
    "alibi": "layers=2,heads=7,d_model=56,positions=alibi",
    "t5": "layers=2,heads=7,d_model=56,positions=t5",
    "wide": "layers=2,heads=2,d_model=64,d_ff=8192,gated=true",
    "causal": "kind=decoder,layers=3,heads=7,d_model=56,positions=rope",
}


@pytest.mark.parametrize("stages", [("weights",), ("scores", "weights")], ids=str)
@pytest.mark.parametrize("name", STACKS)
def test_what_a_run_takes(name, stages):
    model = load_model(f"random:{STACKS[name]}")
    text = "saw " * N_TOKEN
    tokens = read_text(model, text)
    run("saw", model=model)  # what is imported and cached on the first use is no part of it
    tracemalloc.start()
    trace = run(text, model=model, stages=stages)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(trace.records[0].weights[0]) == N_TOKEN
    assert 0.6 < peak / plan_run(model, {"source": tokens}, stages).n_byte < 1.25


@pytest.mark.parametrize("name", ["plain", "causal"])
def test_what_a_run_takes_that_keeps_summaries(name):
    """Less than the matrices by far, and what was planned."""
    model = load_model(f"random:{STACKS[name]},d_ff=0")
    ids = "saw " * 1009
    forward(prepare(model, "saw", memory=1, summaries=lambda streams: SummaryPlan()))
    tracemalloc.start()
    prepared = prepare(model, ids, memory=20 << 20, summaries=lambda streams: SummaryPlan())
    trace = forward(prepared)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert trace.records[0].summary is not None
    assert prepared.plan.n_byte < plan_run(model, prepared.streams, ("weights",)).n_byte / 2
    assert 0.4 < peak / prepared.plan.n_byte < 1.25


@pytest.mark.parametrize("n_word", [19, 997])
def test_what_measuring_heads_takes(n_word):
    model = load_model("random:layers=1,heads=3,d_model=24,d_ff=0,kind=decoder")
    forward(prepare(model, "saw " * 307, memory=1, summaries=usual_summary))
    text = " ".join(f"w{place * place % n_word}" for place in range(3001))
    prepared = prepare(model, text, memory=1 << 20, summaries=usual_summary)
    tracemalloc.start()
    trace = forward(prepared)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "value/entropy" in trace.records[0].summary.statistics
    assert 0.5 < peak / prepared.plan.n_byte < 1.25


def test_a_budget_for_which_even_summaries_are_too_much():
    """The hint names a size that is enough."""
    model = load_model("random:layers=1,heads=7,d_model=56,d_ff=0")

    def plan(memory: int) -> int:
        prepared = prepare(model, text, memory=memory, summaries=lambda streams: SummaryPlan())
        assert prepared.summaries is not None
        return prepared.plan.n_byte

    text = "saw " * 20_011
    with pytest.raises(AttnvizError, match=r"--memory 1\.0 MB is too little: .* about") as caught:
        plan(1 << 20)
    assert plan(parse_size(caught.value.hint.removeprefix("--memory "))) > 1 << 20


def test_a_summary_is_refused_where_memory_lacks(monkeypatch):
    monkeypatch.setattr("attnviz.models.run.memory.available_memory", lambda: 100)
    with pytest.raises(AttnvizError, match=r"of memory; 0\.0 MB are free"):
        prepare(load_model("tagger"), "I saw", memory=1, summaries=lambda streams: SummaryPlan())


def test_fewer_layers_take_less():
    model = load_model("random:layers=5")
    sizes = [
        plan_run(model, {"source": range(500)}, ("weights",), parse_selection(select)).n_byte
        for select in ([], ["L0-1"], ["L0"])
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[2]


def test_a_matrix_that_is_converted_counts():
    model = load_model("random")

    def defer(_: str, attention: MultiHeadAttention) -> MultiHeadAttention:
        shape = attention.query.weight.shape
        later = LazyWeight(shape, lambda rows: pytest.fail("it is not needed for a plan"))
        return attention._replace(query=attention.query._replace(weight=later))

    later = model._replace(transformer=model.transformer.change_attention(defer))
    streams = {"source": range(3)}
    d = model.shape["d_model"]
    assert plan_run(later, streams, ()).n_byte - plan_run(model, streams, ()).n_byte == 4 * d * d


@pytest.mark.parametrize("cache", [ContiguousCache, None])
def test_what_decoding_takes(cache):
    """Each step keeps its rows; without a cache, its matrix."""
    model, most = load_model("induction"), 40
    source = read_text(model, "abcdefghijklmnop")
    generate(model, source, max_tokens=1, stages=("weights",))
    tracemalloc.start()
    generated = generate(model, source, max_tokens=most, stages=("weights",), cache=cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    planned = plan_decoding(model, source, len(generated.steps), cache is not None).n_byte
    assert len(generated.steps) == most
    assert 0.2 < peak / planned < 1.5


@pytest.mark.parametrize("name", ["llama", "marian"])
def test_no_more_is_planned_than_the_model_has_room_for(name):
    model = load_model(str(GOLDEN / "families" / name))
    assert model.max_tokens is not None
    asked = [plan_decoding(model, range(3), most, True).n_byte for most in (1, 10**3, 10**6)]
    assert asked[0] < asked[1] == asked[2]


def test_more_than_there_is():
    with pytest.raises(AttnvizError, match=r"needs about 1099\.5 GB of memory; [\d.]+ GB are") as e:
        check_memory(Plan((), 1 << 40))
    assert "-s L0" in e.value.hint


def test_rows_that_take_more_than_the_matrices(monkeypatch):
    """Then the matrices are kept, if the budget has room for them."""
    monkeypatch.setattr("attnviz.models.run.prepare.FLOOR", 0)
    monkeypatch.setattr("attnviz.models.run.memory.FLOOR", 0)
    model, text = load_model("random:layers=1,heads=3,d_model=12,d_ff=0"), "saw " * 211

    def every_cell(streams):
        return SummaryPlan(block=lambda site: Block(np.arange(211), np.arange(211)))

    whole = plan_run(model, {"source": range(211)}, ("weights",)).n_byte
    with pytest.raises(AttnvizError, match="this needs at least about") as caught:
        prepare(model, text, memory=whole - 1, summaries=every_cell)
    enough = parse_size(caught.value.hint.removeprefix("--memory "))
    prepared = prepare(model, text, memory=enough, summaries=every_cell)
    assert prepared.summaries is None
    assert prepared.plan.n_byte == whole <= enough
