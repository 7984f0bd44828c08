"""Latent attention: the content's and the rotary features' parts of a score add up."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.cell import explain_cell
from attnviz.views.cell import cell_views
from attnviz.views.kinds import Heatmap, Table
from attnviz.views.steps import step_views
from tests.conftest import GOLDEN

MODEL = str(GOLDEN / "families" / "deepseek_v3")
IDS = [7, 9, 21, 33, 12, 40, 8]
N_CONTENT, HEAD, QUERY, KEY = 6, 2, 5, 3


@pytest.fixture(scope="module")
def trace():
    stages = ("q", "k", "v", "scores", "logits", "weights", "context")
    return attnviz.run(IDS, model=MODEL, stages=stages)


def test_the_rotary_key_is_one_for_all_heads(trace):
    record = trace["decoder.1.self"]
    assert record.site.n_content == N_CONTENT
    rotary = record.k[..., N_CONTENT:]
    np.testing.assert_array_equal(rotary, np.broadcast_to(rotary[:1], rotary.shape))
    assert np.abs(record.k[0, :, :N_CONTENT] - record.k[1, :, :N_CONTENT]).max() > 0.1


def test_steps(trace):
    record = trace["decoder.1.self"]
    drawn = [v for v in step_views(trace, record, HEAD) if isinstance(v, Heatmap)]
    whole, content, rotary = (v for v in drawn if v.title.startswith("4"))
    q, k = record.q[HEAD], record.k[HEAD]
    expected = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in k[:, :N_CONTENT]]
                for x in q[:, :N_CONTENT]]  # fmt: skip
    np.testing.assert_allclose(content.values, expected, atol=1e-5)
    np.testing.assert_allclose(content.values + rotary.values, whole.values, atol=1e-5)


def test_a_cell(trace):
    record = trace["decoder.1.self"]
    cell = explain_cell(record, HEAD, QUERY, KEY)
    assert sum(cell.parts.values()) == pytest.approx(cell.product, abs=1e-5)
    tables = [v for v in cell_views(trace, record, cell) if isinstance(v, Table)]
    rows = next(v for v in tables if len(v.columns) == 3).rows
    content = float(record.q[HEAD, QUERY, :N_CONTENT] @ record.k[HEAD, KEY, :N_CONTENT])
    assert rows[0][1] == pytest.approx(content, abs=1e-5)
    assert rows[0][1] + rows[1][1] == pytest.approx(rows[2][1], abs=1e-5)


def test_it_is_saved(trace, tmp_path):
    trace.save(tmp_path / "a.json")
    assert attnviz.load(tmp_path / "a.json")["decoder.0.self"].site.n_content == N_CONTENT


def test_other_attention_has_no_parts():
    trace = attnviz.run(
        "I saw a saw", stages=("q", "k", "v", "scores", "logits", "weights", "context")
    )
    assert explain_cell(trace.records[0], 0, 1, 1).parts == {}
