"""What ESM's files hold besides their weights."""

from __future__ import annotations

import numpy as np

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
