"""What the tests of traces share."""

from __future__ import annotations

import pytest

import attnviz
from attnviz.nn.stages import STAGES


@pytest.fixture(scope="module")
def whole():
    """With everything that a trace can hold."""
    return attnviz.run(
        "I saw a saw",
        model="random:kind=encoder-decoder,kv_heads=2,vocabulary=50,softcap=5",
        mask="causal+window:size=2",
        target="Ich sah",
        stages=STAGES,
        hidden_states=True,
        logits=True,
    )
