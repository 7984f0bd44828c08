"""What the routers of a mixture chose goes with the trace."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.trace.selection import parse_selection
from tests.conftest import GOLDEN

MIXTURE = str(GOLDEN / "families" / "qwen2_moe-window")  # layer 1 of 3 is no mixture
IDS = [7, 9, 21, 33, 12]


@pytest.fixture(scope="module")
def trace():
    return attnviz.run(IDS, model=MIXTURE)


def test_each_recorded_mixture_is_there(trace):
    assert list(trace.routing) == ["decoder.0", "decoder.2"]
    for routing in trace.routing.values():
        assert routing.n_expert == 5
        assert routing.experts.shape == routing.weights.shape == (len(IDS), 2)
        assert not routing.experts.flags.writeable
        np.testing.assert_allclose(routing.weights.sum(-1), 1, rtol=1e-6)
    assert list(attnviz.run(IDS, model=MIXTURE, select=parse_selection(["L1"])).routing) == []
    assert list(attnviz.run(IDS, model=MIXTURE, select=parse_selection(["L2.H1"])).routing) == [
        "decoder.2"
    ]
    assert attnviz.run("a").routing == {}


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "json"])
def test_saved_and_loaded(trace, suffix, tmp_path):
    path = tmp_path / f"trace.{suffix}"
    trace.save(path)
    found = attnviz.load(path).routing
    assert found.keys() == trace.routing.keys()
    for place, routing in trace.routing.items():
        assert found[place].n_expert == routing.n_expert
        assert found[place].experts.dtype == routing.experts.dtype
        np.testing.assert_array_equal(found[place].experts, routing.experts)
        np.testing.assert_array_equal(found[place].weights, routing.weights)


def test_a_reader_that_knows_nothing_of_it(trace, tmp_path):
    path = tmp_path / "trace.json"
    trace.save(path)
    data = json.loads(path.read_text())
    del data["routing"]
    path.write_text(json.dumps(data))
    assert attnviz.load(path).routing == {}


@pytest.mark.parametrize(
    ("experts", "says"),
    [
        ([[0, 5]] * 5, "decoder.0/experts"),
        ([[0, -1]] * 5, "out of bounds"),
        ([[0, 1]] * 3, r"the shape \[3, 2\]"),
        ([[0, 1, 2]] * 5, r"the shape \[5, 3\]"),
        (None, "decoder.0/experts"),
    ],
)
def test_what_does_not_fit_is_refused(trace, experts, says, tmp_path):
    path = tmp_path / "trace.json"
    trace.save(path)
    data = json.loads(path.read_text())
    data["arrays"]["decoder.0/experts"] = experts
    if experts is None:
        del data["arrays"]["decoder.0/experts"]
    path.write_text(json.dumps(data))
    with pytest.raises(AttnvizError, match=says):
        attnviz.load(path)
