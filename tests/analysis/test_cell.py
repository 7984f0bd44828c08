"""The numbers behind one cell multiply, add and normalise to it."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.cell import (
    StrongestCells,
    explain_cell,
    explain_cell_of_summary,
    strongest_cell,
)
from attnviz.analysis.steps import STAGES
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.nn.masks import NONE, custom
from attnviz.nn.site import RecordId, Site
from attnviz.nn.streaming import Inputs, TileSize, read_weights
from attnviz.trace.record import Record
from attnviz.trace.summary import SummaryPlan, with_statistics
from tests.conftest import GOLDEN

SETTINGS = [
    {}, {"mask": "causal"}, {"mask": "causal+window:size=2"}, {"softcap": 0.5}, {"kv_heads": 2},
    {"positions": "alibi"}, {"positions": "t5"}, {"positions": "rope"}, {"score": "cosine"},
    {"score": "additive"}, {"score": "gaussian"}, {"score": "dot"}, {"temperature": 3.0},
    {"mask": "causal", "positions": "alibi", "softcap": 2.0, "kv_heads": 1},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_cell_adds_up(settings):
    trace = attnviz.run("I saw a saw", model="random", stages=STAGES, dtype="float64", **settings)
    for record in trace:
        for head, query, key in np.ndindex(record.weights.shape):
            cell = explain_cell(record, head, query, key)
            if cell.products is not None:
                assert cell.products.sum() == pytest.approx(cell.product)
            assert cell.product * cell.scale == pytest.approx(cell.score)
            cap = cell.softcap
            assert cell.capped == pytest.approx(
                cell.score if cap is None else cap * np.tanh(cell.score / cap)
            )
            visible = cell.reason is None
            sum_ = cell.capped + (cell.bias or 0)
            assert cell.logit == (pytest.approx(sum_) if visible else -np.inf)
            assert (cell.bias is None) == (settings.get("positions") not in ("alibi", "t5"))
            assert cell.weight == pytest.approx(np.exp(cell.logit - cell.row_max) / cell.row_sum)
            assert cell.row_exp.sum() == pytest.approx(cell.row_sum)
            assert cell.n_visible == (cell.row_weights > 0).sum()
            np.testing.assert_allclose(cell.moved, cell.weight * cell.value)
            assert cell.kv_head == head * record.n_kv_head // record.n_head


def test_what_all_keys_move_is_the_context(saw):
    record = saw.records[1]
    cells = [explain_cell(record, 2, 3, key) for key in range(4)]
    np.testing.assert_allclose(sum(c.moved for c in cells), cells[0].context, atol=1e-6)


def test_the_reason_is_named():
    trace = attnviz.run("I saw a saw", model="random", stages=STAGES, mask="causal+window:size=2")
    reasons = [explain_cell(trace.records[0], 0, 3, key).reason for key in range(4)]
    assert reasons == ["window:size=2", "window:size=2", None, None]
    assert explain_cell(trace.records[0], 0, 0, 3).reason == "causal"


def test_a_row_without_keys():
    trace = attnviz.run(
        "I saw", model="random", stages=STAGES, mask=np.array([[False, False], [True, True]])
    )
    cell = explain_cell(trace.records[0], 0, 0, 1)
    assert (cell.weight, cell.row_sum, cell.reason) == (0, 0, "custom")
    assert not cell.row_exp.any()
    assert cell.n_visible == 0


@pytest.mark.parametrize(("query", "key", "message"), [(4, 0, "no query 4"), (0, -1, "no key -1")])
def test_cells_that_do_not_exist(saw, query, key, message):
    with pytest.raises(AttnvizError, match=message):
        explain_cell(saw.records[0], 0, query, key)


def test_stages_that_were_not_kept():
    with pytest.raises(AttnvizError, match="was not kept"):
        explain_cell(attnviz.run("I saw", model="random").records[0], 0, 0, 0)


def test_the_strongest_cell_is_between_ordinary_tokens_that_have_a_choice(saw):
    record = saw.records[0]  # causal: the first row sees only itself
    weights = record.stage("weights")[1]
    query, key = strongest_cell(record, 1, (), ())
    assert weights[query, key] == weights[1:].max()
    query, key = strongest_cell(record, 1, (0, 3), (0, 3))
    inner = weights[1:3, 1:3]
    assert weights[query, key] == inner.max()
    assert (
        strongest_cell(record, 1, range(4), range(4))[0] > 0
    )  # all are special: any with a choice


def test_the_only_cell_is_the_strongest():
    (record, *_) = attnviz.run("hi", model="random", stages=STAGES).records
    assert strongest_cell(record, 0, (), ()) == (0, 0)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_summarised_record_has_the_same_cells(settings):
    model = load_model("random:layers=2", settings)
    text, memory = "I saw a saw with a bird", 1
    whole = attnviz.run(text, model=model, stages=STAGES)
    plan = with_statistics(SummaryPlan(map_size=2), lambda *site: StrongestCells(site[2], (), ()))
    prepared = prepare(model, text, stages=STAGES, memory=memory, summaries=lambda streams: plan)
    for record, summarised in zip(whole, forward(prepared), strict=True):
        assert summarised.weights is None
        attention = model.transformer.attention(record.id)
        for head, query in ((0, 0), (1, 3), (record.n_head - 1, 6)):
            expected = explain_cell(record, head, query, 2)
            found = explain_cell_of_summary(attention, NONE, summarised, head, query, 2)
            for name, value in vars(expected).items():
                if isinstance(value, str | dict | None):
                    assert getattr(found, name) == value
                else:
                    np.testing.assert_allclose(getattr(found, name), value, atol=1e-5)
            place = strongest_cell(summarised, head, (), ())
            assert place == strongest_cell(record, head, (), ())


def test_terms_of_positions_add_up():
    """DeBERTa's; of a record that was summarised as well."""
    model = load_model(str(GOLDEN / "families" / "deberta-v2"))
    ids = [7, 9, 21, 33, 12]
    whole = attnviz.run(ids, model=model, stages=STAGES)
    plan = with_statistics(SummaryPlan(map_size=2), lambda *site: StrongestCells(site[2], (), ()))
    prepared = prepare(model, ids, stages=STAGES, memory=1, summaries=lambda streams: plan)
    for record, summarised in zip(whole, forward(prepared), strict=True):
        cell = explain_cell(record, 1, 2, 3)
        attention = model.transformer.attention(record.id)
        found = explain_cell_of_summary(attention, NONE, summarised, 1, 2, 3)
        assert cell.terms.keys() == {"content_to_position", "position_to_content"}
        assert min(map(abs, cell.terms.values())) > 1e-3
        for each in (cell, found):
            assert each.score + sum(each.terms.values()) == pytest.approx(each.logit, abs=1e-5)
            assert each.terms == pytest.approx(cell.terms, abs=1e-5)


@pytest.mark.parametrize("seed", range(7))
def test_the_strongest_cell_is_found_in_tiles(seed):
    generator = np.random.default_rng(seed)
    n_head, n_q, n_k = 3, 11, 13
    visible = generator.random((n_head, n_q, n_k)) < (1 if seed == 1 else 0.3)
    visible &= seed != 2
    weights = np.round(generator.random(visible.shape), 1) * visible  # with ties
    weights[0, 5][visible[0, 5]] = np.nan
    special = generator.permutation(n_q)[: 3 * seed], generator.permutation(n_k)[: 2 * seed]
    site = Site(RecordId("encoder", 0, "self"), "source", "source", n_head, n_head)
    logits = np.where(visible, 0, -np.inf)
    record = Record(site, weights=weights, logits=logits, mask=visible)
    places = np.arange(n_q), np.arange(n_k)
    inputs = Inputs(n_head, *places, custom(visible), np.zeros((n_head, n_k, 0)))
    reader = StrongestCells(range(n_head), *special)
    tile = TileSize(2 * n_k, 1, 2)
    part = lambda head, queries: weights[head, queries]  # noqa: E731
    read_weights(part, range(n_head), inputs, reader, tile=tile)
    found = reader.statistics()
    for head in range(n_head):
        place = found["cell/query"][head], found["cell/key"][head]
        assert place == strongest_cell(record, head, *special)
