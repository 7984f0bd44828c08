"""The parts of a model add up to all of it."""

from __future__ import annotations

import pytest

from attnviz.analysis.parameters import count_parameters
from attnviz.models import load_model, packaged
from tests.conftest import GOLDEN

ONCE = ["bert-tiny", *(f"families/deberta-v2-{each}" for each in ("apart", "convolution"))]
"""DeBERTa's layers share a table, and two maps of each may serve content and positions."""


@pytest.mark.parametrize("name", [*packaged(), *(str(GOLDEN / each) for each in ONCE)])
def test_the_parts_are_the_whole(name):
    model = load_model(name)
    assert (
        sum(organ.n_parameter for organ in count_parameters(model.transformer)) == model.n_parameter
    )


def test_names():
    organs = {
        organ.name: organ.what for organ in count_parameters(load_model("phrases").transformer)
    }
    assert "mask causal" in organs["decoder.1.self"]
    assert "mask" not in organs["decoder.1.cross"]
    assert organs["encoder.0.feed_forward"].startswith("48 → 64 → 48")
    window = count_parameters(load_model("tagger-window").transformer)
    assert [organ.name for organ in window if "window" in organ.name] == ["encoder.0.window"]
