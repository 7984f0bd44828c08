"""Translators that are told what they read and write."""

from __future__ import annotations

import pytest

from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.edit.languages import in_languages
from attnviz.models.tokenizers.files import read_tokenizers
from tests.golden.tokenizers.kinds import KINDS, settings_of, write

NO_LANGUAGE = "tagger: its texts name no language"


@pytest.fixture
def translator(tmp_path):
    """A model that reads text as mBART does."""
    pytest.importorskip("tokenizers")
    kind = KINDS["mbart sentencepiece.bpe.model"]
    write(tmp_path, kind, settings_of(kind, {}))
    config = {"model_type": "mbart", "decoder_start_token_id": 2, "eos_token_id": 2}
    found = read_tokenizers(tmp_path, config)
    model = load_model("random:layers=1,heads=2")
    return model._replace(tokenizer=found.source, target_tokenizer=found.target)


def test_both_sides(translator):
    model = in_languages(translator, "fr_XX", "ro_RO")
    assert model.tokenizer.encode("saw").tokens[-1] == "fr_XX"
    assert model.target_tokenizer.encode("saw").tokens[0] == "ro_RO"
    assert translator.tokenizer.encode("saw").tokens[-1] == "en_XX"
    only_target = in_languages(translator, target_lang="ro_RO")
    assert only_target.tokenizer.encode("saw").tokens[-1] == "en_XX"
    assert only_target.target_tokenizer.encode("saw").tokens[0] == "ro_RO"


@pytest.mark.parametrize("side", ["source_lang", "target_lang"])
def test_a_model_without_languages(side):
    with pytest.raises(AttnvizError, match=NO_LANGUAGE):
        load_model("tagger", {side: "fr"})
    with pytest.raises(AttnvizError, match=NO_LANGUAGE):
        load_model(None, {side: "fr"})  # no other weights are taken for it


@pytest.mark.parametrize(
    "command",
    [
        ["run", "I saw", "--source-lang", "fr"],
        ["heads", "I saw", "--target-lang", "fr"],
        ["decode", "I saw", "-m", "phrases", "--target-lang", "fr"],
        ["explain", "I saw", "--source-lang", "fr"],
        ["diff", "I saw", "--with", "source_lang=fr"],
    ],
)
def test_every_command_hands_it_on(command, capsys):
    assert run_cli(command) == 2
    assert "its texts name no language" in capsys.readouterr().err
