"""DeepSeek's latent, which keys and values share."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.parameters import count_parameters
from attnviz.models import load_model
from tests.models.build.families import checkpoints, goldens

VARIANTS = ["deepseek_v2", "deepseek_v2-lite", "deepseek_v3", "deepseek_v3-half"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_number_counts_once(variant):
    model = load_model(str(goldens.FAMILIES / variant))
    _, tensors = checkpoints.read(goldens.FAMILIES / variant)
    parts = count_parameters(model.transformer)
    assert sum(part.n_parameter for part in parts) == model.n_parameter
    assert model.n_parameter == sum(tensor.size for tensor in tensors.values())


def test_layers_that_predict_several_tokens_are_passed_over(tmp_path):
    """As the published files of V3 have one behind the others."""
    config, tensors = checkpoints.read(goldens.FAMILIES / "deepseek_v3")
    more = {"model.layers.2.eh_proj.weight": np.ones((16, 32), np.float32),
            "model.layers.2.enorm.weight": np.ones(16, np.float32)}  # fmt: skip
    case = goldens.cases("deepseek_v3")["single"]
    trace = goldens.run(case, 0, checkpoints.write(tmp_path / "mtp", config, tensors | more))
    for record, expected in zip(trace, goldens.run(case, 0), strict=True):
        np.testing.assert_array_equal(record.weights, expected.weights)
