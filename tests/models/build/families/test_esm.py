"""What ESM's files hold besides their weights."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from tests.models.build.families import checkpoints, goldens

STORED = "esm.encoder.layer.*.attention.self.rotary_embeddings.inv_freq"


def weights(tmp_path, tensors):
    config, _ = checkpoints.read(goldens.FAMILIES / "esm")
    folder = checkpoints.write(tmp_path, config, tensors)
    return goldens.run(goldens.cases("esm")["single"], 0, folder)["L0"].weights


def test_the_frequencies_that_are_stored_count(tmp_path):
    _, tensors = checkpoints.read(goldens.FAMILIES / "esm")
    before = weights(tmp_path / "as it is", tensors)
    stored = tensors.pop(STORED)
    np.testing.assert_allclose(weights(tmp_path / "none", tensors), before, atol=1e-6)
    slower = weights(tmp_path / "slower", tensors | {STORED: stored / 2})
    assert np.abs(slower - before).max() > 0.01
    for name in (STORED.replace("*", "0"), "esm.rotary_embeddings.inv_freq"):
        found = weights(tmp_path / name, tensors | {name: stored / 2})
        np.testing.assert_array_equal(found, slower)


def test_rows_of_the_table_that_stand_for_no_token_are_not_counted():
    folder = goldens.FAMILIES / "esm-absolute"
    model = attnviz.load_model(folder)
    assert model.max_tokens == 35
    attnviz.run([7] * 35, model=model)
    with pytest.raises(AttnvizError, match="36 tokens"):
        attnviz.run([7] * 36, model=model)
