"""What is said of one weight, against the record that it stands in."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.cell import explain_cell
from attnviz.analysis.steps import STAGES
from attnviz.views.cell import cell_views
from attnviz.views.kinds import Table, Text
from tests.conftest import GOLDEN

QUERY, KEY, HEAD = 3, 1, 2


@pytest.fixture
def drawn(saw):
    record = saw["encoder.0.self"]
    return record, cell_views(saw, record, explain_cell(record, HEAD, QUERY, KEY))


def table(views, title):
    (found,) = (view for view in views if isinstance(view, Table) and title in view.title)
    return found


def test_products_add_up_to_the_similarity(drawn):
    record, views = drawn
    rows = table(views, "products").rows
    q, k = record.q[HEAD, QUERY], record.k[HEAD, KEY]
    assert rows[-1][0] == "sum = q · k"
    assert rows[-1][1] == pytest.approx(float(q @ k), rel=1e-5)
    assert [value for _, value in rows[:-1]] == pytest.approx(list(q * k), rel=1e-5)


def test_terms_of_positions_add_up():
    """DeBERTa's."""
    model = str(GOLDEN / "families" / "deberta-v2")
    trace = attnviz.run([7, 9, 21, 33], model=model, stages=STAGES)
    record = trace["encoder.1.self"]
    views = cell_views(trace, record, explain_cell(record, HEAD, QUERY, KEY))
    names, values, _ = zip(*table(views, "from similarity").rows, strict=True)
    assert names[2:6] == ("content · content", "content → position", "position → content", "score")
    assert sum(values[2:5]) == pytest.approx(values[5], abs=1e-5)
    assert values[5] == pytest.approx(record.logits[HEAD, QUERY, KEY], abs=1e-5)
    assert "bias" not in names


def test_the_steps_end_at_the_weight(drawn):
    record, views = drawn
    steps = {name: value for name, value, _ in table(views, "from similarity").rows}
    assert steps["score"] == pytest.approx(record.scores[HEAD, QUERY, KEY])
    assert steps["logit"] == pytest.approx(record.logits[HEAD, QUERY, KEY])
    assert steps["weight"] == pytest.approx(record.weights[HEAD, QUERY, KEY], rel=1e-5)
    ratio = steps["exp(logit - largest)"] / steps["sum over the row"]
    assert ratio == pytest.approx(steps["weight"])
    assert steps["mask"] == "visible"


def test_a_masked_cell_says_by_what(saw):
    record = saw["encoder.0.self"]
    views = cell_views(saw, record, explain_cell(record, HEAD, 0, 2))
    steps = {name: value for name, value, _ in table(views, "from similarity").rows}
    assert (steps["mask"], steps["weight"]) == ("masked by causal", 0)


@pytest.mark.parametrize("positions", ["alibi", "rope"])
@pytest.mark.parametrize("key", [0, 1])
def test_no_bias_is_another_thing_than_a_bias_of_zero(positions, key):
    """ALiBi takes nothing away where a token looks at itself."""
    settings = {"model": "random", "positions": positions, "stages": STAGES}
    trace = attnviz.run("I saw", **settings)
    record = trace["encoder.0.self"]
    views = cell_views(trace, record, explain_cell(record, 0, 1, key))
    (_, value, how) = next(row for row in table(views, "from similarity").rows if row[0] == "bias")
    assert (value == 0) == (positions == "rope" or key == 1)
    assert how == ("" if positions == "alibi" else "none is added")


def test_of_many_features_the_rest_is_added_up_and_a_cap_is_said():
    trace = attnviz.run(
        "I saw", model="random:layers=1,heads=1,d_model=34,softcap=0.5", stages=STAGES
    )
    record = trace["encoder.0.self"]
    views = cell_views(trace, record, explain_cell(record, 0, 1, 0))
    rows = table(views, "products").rows
    products = record.q[0, 1].astype(float) * record.k[0, 0]
    shown = np.argsort(-np.abs(products))[:16]
    assert {row[0] for row in rows[:-2]} == set(shown.tolist())
    assert rows[-2][0] == "the other 18"
    assert rows[-2][1] == pytest.approx(products.sum() - products[shown].sum(), abs=1e-5)
    steps = {name: value for name, value, _ in table(views, "from similarity").rows}
    assert steps["capped"] == pytest.approx(0.5 * np.tanh(steps["score"] / 0.5), rel=1e-5)
    assert steps["logit"] == pytest.approx(record.logits[0, 1, 0], rel=1e-5)
    assert abs(steps["logit"] - steps["score"]) > 1e-6


def test_the_row_is_that_of_the_query(drawn):
    record, views = drawn
    rows = table(views, f"whole row of query {QUERY}").rows
    np.testing.assert_allclose([row[-1] for row in rows], record.weights[HEAD, QUERY], rtol=1e-5)
    assert [row[0] for row in rows] == list(range(len(rows)))


def test_of_a_long_row_the_largest_weights_are_shown_and_the_rest_is_added_up():
    trace = attnviz.run("I saw a saw and " * 8, model="random",
                        stages=STAGES)  # fmt: skip
    record = trace["encoder.0.self"]
    row = table(cell_views(trace, record, explain_cell(record, 0, 30, 0)), "whole row")
    weights = record.weights[0, 30].astype(float)
    largest = np.sort(np.argsort(-weights)[:16])
    assert [values[0] for values in row.rows] == largest.tolist()
    rest = weights.sum() - weights[largest].sum()
    assert row.notes == (f"the {len(weights) - 16} keys left out share {rest:.4g}",)


def test_what_it_moves_is_measured(drawn):
    record, views = drawn
    text = views[-1]
    assert isinstance(text, Text)
    part = np.linalg.norm(record.weights[HEAD, QUERY, KEY] * record.v[HEAD, KEY])
    norm = np.linalg.norm(record.context[HEAD, QUERY])
    assert text.lines[-1].text == (
        f"this key adds a vector of length {part:.4g}; the context, the sum over all keys, has "
        f"length {norm:.4g}"
    )
