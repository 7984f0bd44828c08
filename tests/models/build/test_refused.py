"""A checkpoint that cannot be read is refused with the true reason, in one sentence."""

from __future__ import annotations

import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.build.families import FAMILIES, INTERNAL, family_name
from attnviz.models.build.refused import REASONS, TABLE, kinds, states
from tests import architectures_page


def refused(tmp_path, **config):
    """Of a folder without weights, which nobody should fetch in vain."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(AttnvizError) as caught:
        load_model(str(tmp_path))
    return caught.value


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("mamba", "no attention weights"),
        ("rwkv", "no attention weights"),
        ("qwen3_next", "a recurrence, a state space or a convolution"),
        ("lfm2", "a recurrence, a state space or a convolution"),
        ("nemotron_h", "a recurrence, a state space or a convolution"),
        ("gemma3n", "several residual streams"),
        ("llava", "several models in one"),
        ("reformer", "not held against transformers yet"),
        ("detr", "of the models of images only"),
        ("wav2vec2", "of the models of sound only Whisper"),
    ],
)
def test_it_says_why(model_type, reason, tmp_path):
    error = refused(tmp_path, model_type=model_type)
    assert f"the architecture '{model_type}' is not supported: " in error.message
    assert reason in error.message
    assert error.hint


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    error = refused(tmp_path, model_type="zonk", auto_map={"AutoModel": "own.Model"})
    assert "its code is in the checkpoint (auto_map), which attnviz never runs" in error.message


def test_a_word_that_nobody_knows(tmp_path):
    error = refused(tmp_path, model_type="bort")
    assert "neither attnviz nor transformers has it" in error.message
    assert "bert" in error.hint


def test_every_type_has_one_kind_and_every_kind_a_reason():
    table = json.loads(TABLE.read_text())["kinds"]
    assert sum(map(len, table.values())) == len(kinds())
    assert {*table} == {*REASONS}


def test_every_family_is_a_type_of_transformers():
    verified = {family_name(name) for name, state in states().items() if state == "verified"}
    assert verified == {*FAMILIES} - {INTERNAL}


def test_no_family_lacks_attention():
    """A kind that is wrong would refuse a model with a reason that is not true."""
    for name, kind in kinds().items():
        if family_name(name) in FAMILIES:
            assert kind not in ("none", "some", "streams", "video", "series"), name


def test_the_page_is_up_to_date():
    assert architectures_page.PAGE.read_text("utf-8") == architectures_page.page()
