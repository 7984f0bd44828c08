"""What is shown of a port beside ours."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.port import diagnose_port
from attnviz.models import load_model
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.port import port_views
from tests.conftest import HERE


def shown(name, family, width=80):
    ports = np.load(HERE / "golden" / "ports.npz")
    dump = {key.split("/", 1)[1]: ports[key] for key in ports if key.startswith(f"{name}/")}
    found = diagnose_port(load_model(str(HERE / "golden" / "families" / family)), dump)
    return render(port_views(found), Screen(width)).decode()


def test_a_port_that_matches():
    text = " ".join(shown("right", "llama").split())
    assert text.startswith("matches all 9 stages of the dump are those of llama")


def test_a_port_that_differs():
    text = " ".join(shown("bias-of-queries", "qwen2").split())
    assert "decoder.0.self/weights is the first that deviates" in text
    assert "the 2 stages before it match" in text
    assert "your numbers are what you get with a bias left out: query (L6)" in text
    assert "at their input: decoder.0, decoder.1" in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits_the_screen(width):
    lines = shown("rope-none", "qwen3", width).splitlines()
    assert max(map(len, lines)) <= width
