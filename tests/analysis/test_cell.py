"""The numbers behind one cell multiply, add and normalise to it."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.cell import explain_cell, strongest_cell
from attnviz.analysis.steps import STAGES
from attnviz.errors import AttnvizError

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
            assert cell.logit == (pytest.approx(cell.capped + cell.bias) if visible else -np.inf)
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
