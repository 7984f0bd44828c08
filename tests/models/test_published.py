"""Configs as public models have them, shrunk, with random weights: each is loaded and run, and
computes what transformers does; or it is refused for the reason that is true."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES, family_name
from tests.conftest import GOLDEN
from tests.golden.families.probe import probe
from tests.golden.published.shrink import SIZES, inputs, shrunk, weights
from tests.models.build.families.checkpoints import write

FOLDER = GOLDEN / "published"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
"""Made by `tests/golden/published/make_published.py`."""

BOUND = 2e-5

FIELDS = {"self": "attentions", "cross": "cross_attentions"}


def config(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def run(name, folder, tensors):
    small = shrunk(config(name))
    write(folder, small, weights(tensors))
    given = inputs(small)
    image, sound = (given.pop(key, None) for key in ("pixels", "sound"))
    ids, target = (given[key].tolist() if key in given else None for key in ("ids", "target"))
    return attnviz.run(
        ids, target=target, image=image, sound=sound, model=str(folder), hidden_states=True
    )


def numbers(trace):
    """As make_published.py names and takes them."""
    found = {}
    for record in trace:
        field = FIELDS[record.id.kind]
        if field == "attentions" and "target" in trace.streams:
            field = f"{record.id.block}_attentions"
        found[f"{field}.{record.id.layer}"] = record.weights
    *_, states = trace.hidden_states.values()
    projected = trace.model.shape.get("family") == "opt" and trace.model.name == "opt-350m"
    if "image" not in trace.model.shape and not projected:
        found["last"] = states[-1]
    return probe(found)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_config(name, tmp_path):
    entry = EXPECTED[name]
    folder = tmp_path / name
    if "refused" in entry:
        with pytest.raises(AttnvizError) as error:
            run(name, folder, {"any.weight": [2, 3]})
        assert entry["refused"] in str(error.value)
        return
    entry = EXPECTED[entry.get("same", name)]
    trace = run(name, folder, entry["tensors"])
    np.testing.assert_allclose(numbers(trace), entry["probe"], rtol=0, atol=BOUND)


def test_every_file_is_expected_and_every_family_is_there():
    files = {path.stem for path in FOLDER.glob("*.json")} - {"expected"}
    assert files == {*EXPECTED}
    types = {config(n)["model_type"] for n, e in EXPECTED.items() if "refused" not in e}
    assert {*map(family_name, types)} == {*FAMILIES} - {"attnviz"}
    assert sum("refused" in entry for entry in EXPECTED.values()) < len(EXPECTED) / 8


def test_shrinking_changes_sizes_only():
    for name in EXPECTED:
        full = config(name)
        small = shrunk(full)
        assert small.keys() == full.keys()
        for key, value in full.items():
            if isinstance(value, bool | str) or value is None or key.endswith("eps"):
                assert small[key] == value
    assert len(set(SIZES.values())) > 8
