"""An image beside texts: the logits are transformers', and the tower is the one that reads it."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.compare import with_texts
from tests.models.build.families import checkpoints, goldens

VARIANTS = sorted(path.parent.name for path in goldens.FAMILIES.glob("*/similarity.npz"))


@pytest.fixture(params=VARIANTS)
def both(request):
    with np.load(goldens.FAMILIES / request.param / "similarity.npz") as file:
        return load_model(str(goldens.FAMILIES / request.param)), dict(file)


def test_the_logits_of_texts(both):
    model, arrays = both
    image, texts = arrays["pixels"][0], arrays["ids"].tolist()
    trace = attnviz.run(image=image, model=with_texts(model, texts), logits=True)
    np.testing.assert_allclose(trace.logits, arrays["logits"], atol=2e-5)
    one = attnviz.run(texts[1], image=image, model=model, logits=True)
    np.testing.assert_allclose(one.logits[0], arrays["logits"][0, 1:2], atol=2e-5)
    assert one.records[0].weights.shape[-1] == 17


def test_each_tower_alone(both):
    model, arrays = both
    text = attnviz.run(arrays["ids"][0].tolist(), model=model)
    image = attnviz.run(image=arrays["pixels"][0], model=model)
    assert (text.model.task, image.model.task) == ("embed", "")
    assert np.linalg.norm(text.answer.embedding) == pytest.approx(1)
    assert (len(text.streams["source"]), len(image.streams["source"])) == (7, 17)


def test_the_end_of_old_configs(tmp_path):
    """With the id 2, the end is the token with the largest id."""
    folder = goldens.FAMILIES / "clip"
    config, tensors = checkpoints.read(folder)
    old = config | {"text_config": config["text_config"] | {"eos_token_id": 2}}
    path = checkpoints.write(tmp_path / "old", old, tensors)
    before, after = (attnviz.run([7, 46, 9, 11], model=str(each)) for each in (folder, path))
    np.testing.assert_array_equal(before.answer.embedding, after.answer.embedding)
    later = attnviz.run([7, 9, 11, 46], model=str(path))
    assert not np.allclose(later.answer.embedding, after.answer.embedding)


def test_a_model_of_texts_compares_no_images():
    with pytest.raises(AttnvizError, match="does not compare images with texts"):
        with_texts(load_model("tagger"), ["a"])
