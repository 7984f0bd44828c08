"""A translator that nobody told which language to write is asked about."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.golden.tokenizers.kinds import KINDS, settings_of, write
from tests.models.build.families.goldens import FAMILIES

HINT = "is not told in which language to write"


@pytest.fixture
def translator(tmp_path):
    """mBART's weights, and its tokenizer with more tokens than they have: ids are given."""
    pytest.importorskip("tokenizers")
    folder = tmp_path / "translator"
    folder.mkdir()
    kind = KINDS["mbart50 sentencepiece.bpe.model"]
    write(folder, kind, settings_of(kind, {}))
    shutil.copy(FAMILIES / "mbart" / "model.safetensors", folder)
    shutil.copy(FAMILIES / "mbart" / "config.json", folder)
    return folder


def decode(call, folder, *options):
    return call("decode", "--ids", "7,9,2", "-m", folder, "-n", 2, *options)


def test_a_hint(call, translator):
    done = decode(call, translator)
    assert done.code == 0
    assert HINT in done.err
    assert "--target-lang CODE" in done.err


def test_none_where_the_checkpoint_says_it(call, translator):
    settings = {"decoder_start_token_id": 2, "forced_bos_token_id": 9}
    (translator / "generation_config.json").write_text(json.dumps(settings))
    assert HINT not in decode(call, translator).err


def test_none_for_a_target_and_for_a_model_of_one_language(call, translator):
    assert HINT not in call("decode", "早上好！", "-m", "phrases", "-n", 2).err
    shutil.rmtree(translator)
    assert HINT not in call("decode", "--ids", "7,9", "-m", FAMILIES / "bart", "-n", 2).err
