"""What a file has beside q, k and v, held against what they give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz.analysis import given
from attnviz.nn import masks
from attnviz.trace.attended import How, attended
from attnviz.trace.projections import Axes, Reading, read_projections

HERE = Path("qkv.npz")
N_HEAD, N_Q, N_K, D, D_V = 3, 13, 17, 5, 7
CAUSAL = How(mask=masks.CAUSAL)


@pytest.fixture
def layer(generator):
    """With all stages, as a causal mask makes them, the output with its heads merged."""
    shapes = {"q": (N_HEAD, N_Q, D), "k": (N_HEAD, N_K, D), "v": (N_HEAD, N_K, D_V)}
    arrays = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    (layer,) = read_projections(HERE, arrays, Axes()).layers
    record = attended(HERE, layer, CAUSAL, "queries", "keys")
    matrices = {stage: record.stage(stage).copy() for stage in ("scores", "logits", "weights")}
    context = record.context.swapaxes(0, 1).reshape(N_Q, -1)
    return layer._replace(given={**matrices, "context": context})


@pytest.fixture
def in_blocks(monkeypatch):
    """Three queries at a time."""
    monkeypatch.setattr(given, "WHOLE_CELLS", 1)
    monkeypatch.setattr(given, "BLOCK_CELLS", 3 * N_HEAD * N_K)


def test_a_long_text_is_compared_in_blocks(layer, in_blocks):
    found = given.matches(HERE, layer, CAUSAL)
    assert [match.stage for match in found] == ["scores", "logits", "weights", "context"]
    assert all(match.holds for match in found)


@pytest.mark.parametrize("mean", [False, True])
def test_what_is_off_is_found_at_its_place(layer, in_blocks, mean):
    weights = layer.given["weights"].mean(0) if mean else layer.given["weights"].copy()
    head = () if mean else (2,)
    weights[(*head, 10, 4)] += 0.1
    weights[(*head, 5, 4)] += 0.05
    context = layer.given["context"].copy()
    context[8, 3] += 1
    changed = layer._replace(given={"weights": weights, "context": context})
    off = given.matches(HERE, changed, CAUSAL)
    assert [(m.stage, m.at, m.n_off) for m in off] == [
        ("weights", (*head, 10, 4), 2), ("context", (8, 3), 1)
    ]  # fmt: skip
    assert [m.largest for m in off] == pytest.approx([0.1, 1])
    record = attended(HERE, changed, CAUSAL, "queries", "keys")
    assert off[0].allowed == pytest.approx(
        given.ROUNDINGS * layer.eps * max(1, np.abs(record.scores).max())
    )


def test_a_shape_that_does_not_fit_is_said_so(layer, in_blocks):
    (match,) = given.matches(HERE, layer._replace(given={"weights": np.ones((5, 2))}), CAUSAL)
    assert match.largest is None
    assert match.shape == (5, 2)


@pytest.mark.parametrize("n_block", [1, 5])
def test_the_options_that_explain_it_are_found(layer, monkeypatch, n_block):
    if n_block > 1:
        monkeypatch.setattr(given, "WHOLE_CELLS", 1)
        monkeypatch.setattr(given, "BLOCK_CELLS", 3 * N_HEAD * N_K)
    reading, how = Reading((layer,), ()), How()
    found = given.matches(HERE, layer, how)
    assert not all(match.holds for match in found)
    assert given.remedy(HERE, reading, found, how) == "--causal"
    broken = layer._replace(given={"weights": layer.given["weights"] + 0.01})
    found = given.matches(HERE, broken, how)
    assert given.remedy(HERE, Reading((broken,), ()), found, how) == ""
