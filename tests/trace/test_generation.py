"""What was written, as it stands in a file."""

from __future__ import annotations

import json

from attnviz.tokens import Tokens
from attnviz.trace.generation import Generated, Step


def test_the_manifest_says_what_was_written_and_how_sure_it_was():
    written = Tokens.of(["saw", "</s>"], [7, 2])
    steps = (Step(7, 0.75, ()), Step(2, 0.5, ()))
    generated = Generated(Tokens.of(["<s>", "I", "saw"], [1, 5, 7]), written, 2, steps, ended=True)
    manifest = generated.manifest("saw")
    assert manifest == {
        "text": "saw",
        "ids": [7, 2],
        "probabilities": [0.75, 0.5],
        "n_given": 2,
        "ended": True,
    }
    assert json.loads(json.dumps(manifest)) == manifest
