"""A file whose tensors do not fit is refused, and the tensor named."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from tests.models.build.families import checkpoints, goldens

UNNEEDED = re.compile(r"discriminator_predictions\..*|dinov2\.embeddings\.mask_token")
"""Tensors of a head that is not computed, and of training."""

OUTPUT = re.compile(r"lm_head\.weight|embed_out\.weight|final_logits_bias|classifier\..*")
"""Without them a checkpoint is that of a model without an output."""


ELSEWHERE = {"model.encoder.embed_tokens.weight": "model.shared.weight"}
"""The name under which most files have a tensor, and under which it is missed."""


def needed(tensors):
    """The names of the tensors that attention depends on; of the layers, the first."""
    later = re.compile(r".*\.[1-9]\..*")
    return [name for name in tensors if not UNNEEDED.fullmatch(name) and not later.match(name)]


@pytest.fixture
def complaint(tmp_path):
    """What is said of a variant's checkpoint with other tensors; empty if it loads."""

    def load(config, tensors):
        folder = checkpoints.write(tmp_path, config, tensors)
        try:
            load_model(str(folder))
        except AttnvizError as error:
            return f"{error} ({error.hint})"
        return ""

    return load


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_a_missing_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    for name in needed(tensors):
        said = complaint(config, {other: tensors[other] for other in tensors if other != name})
        if not OUTPUT.fullmatch(name):
            assert f"tensor {ELSEWHERE.get(name, name)} is missing" in said


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_a_transposed_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    for name in needed(tensors):
        tensor = tensors[name]
        turned = np.moveaxis(tensor, 0, -1)
        if turned.shape != tensor.shape:
            said = complaint(config, tensors | {name: turned})
            assert name in said
            assert str(list(turned.shape)) in said
            assert str(list(tensor.shape)) in said


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_an_unknown_tensor_is_named(variant, complaint):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    matrix = next(name for name in tensors if name.endswith("weight") and ".0." in name)
    for extra in ("adapter.weight", matrix.replace(".0.", ".7."), f"{matrix}_2"):
        assert extra in complaint(config, tensors | {extra: tensors[matrix]})
