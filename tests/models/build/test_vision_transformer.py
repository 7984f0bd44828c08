"""Vision checkpoints: configs that make no sense, labels, backbones. The numbers are held by
`families/test_goldens.py`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from tests.conftest import GOLDEN

FAMILIES = GOLDEN / "families"
IMAGE = GOLDEN / "images" / "rgb.png"


@pytest.fixture(params=["vit", "dinov2"])
def folder(request, tmp_path):
    """A checkpoint that may be changed, with a processor for images of its own size."""
    shutil.copytree(FAMILIES / request.param, tmp_path / "m")
    size = json.loads((tmp_path / "m" / "config.json").read_text())["image_size"]
    path = tmp_path / "m" / "preprocessor_config.json"
    path.write_text(json.dumps({"size": [size, size], "image_processor_type": "ViTImageProcessor"}))
    return tmp_path / "m"


def change(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def rename(folder, name):
    """`name(old)` is a tensor's new name; None drops it."""
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name(old): array for old, array in tensors.items() if name(old) is not None},
        folder / "model.safetensors",
    )


def run(folder):
    return attnviz.run(image=IMAGE, model=str(folder), hidden_states=True, logits=True)


def test_the_names_of_classes_are_those_of_the_config(folder):
    names = ["tench", "cock", "hen", "crane", "crane"]
    change(folder, id2label={str(i): name for i, name in enumerate(names)})
    model = load_model(str(folder))
    assert (model.task, model.labels) == ("classify", tuple(names))


def test_a_backbone_has_no_answer(folder):
    rename(folder, lambda name: None if name.startswith("classifier") else name)
    trace = run(folder)
    assert trace.logits is None
    assert not trace.model.outputs


def test_names_without_the_prefix(folder):
    before = run(folder)
    rename(folder, lambda name: name.removeprefix("vit.").removeprefix("dinov2."))
    after = run(folder)
    np.testing.assert_array_equal(before.records[1].weights, after.records[1].weights)


def test_what_the_attention_does_not_depend_on_may_be_missing(folder):
    rename(folder, lambda name: None if "mask_token" in name or "pooler" in name else name)
    assert run(folder).logits is not None


def test_without_a_processor_it_is_said():
    notes = attnviz.run(image=IMAGE, model=str(FAMILIES / "vit")).model.notes
    assert any("no preprocessor_config.json" in note for note in notes)
    assert any("resized from 17 × 23 to 12 × 12" in note for note in notes)


def test_a_damaged_processor(folder):
    path = folder / "preprocessor_config.json"
    path.write_text("{")
    with pytest.raises(AttnvizError, match=r"preprocessor_config\.json is damaged"):
        run(folder)
    path.write_text('{"do_shuffle": true}')
    with pytest.raises(AttnvizError, match=r"preprocessor_config\.json: the field 'do_shuffle'"):
        run(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 3}, "3 heads do not share"),
        ({"image_size": 0}, "image_size: expected a height and a width"),
        ({"image_size": [9]}, "image_size: expected a height and a width"),
        ({"image_size": 1 << 40}, "image_size: expected a height and a width"),
        ({"patch_size": "3"}, "patch_size: expected a height and a width"),
        ({"patch_size": 99}, "larger than image_size"),
        ({"image_size": 27}, r"position_embeddings has the shape"),
        ({"num_channels": 4}, r"projection.weight has the shape"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label"),
        ({"id2label": {"0": "a"}}, r"classifier.bias has the shape"),
        ({"qkv_bias": False}, "no place for the tensor"),
        ({"hidden_act": "quick"}, "hidden_act = 'quick'"),
        ({"register_tokens": 4, "architectures": ["ViTWithRegisters"]}, "'register_tokens'"),
        ({"tie_last_hidden_states": False}, "'tie_last_hidden_states'"),
    ],
)
def test_configs_that_make_no_sense(folder, fields, message):
    change(folder, **fields)
    with pytest.raises(AttnvizError, match=message):
        load_model(str(folder))


def test_text_is_refused(folder):
    with pytest.raises(AttnvizError, match="reads images, not text"):
        attnviz.run("hello", model=str(folder))
