"""A `tokenizer.json` with settings beside it, against what transformers reads with them."""

from __future__ import annotations

import json
import shutil

import pytest

from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.files import read_tokenizers
from tests.conftest import GOLDEN
from tests.golden.tokenizers.variants import PAIR, TEXTS, VARIANTS, Variant, added, write

pytest.importorskip("tokenizers")

IDS = json.loads((GOLDEN / "tokenizers" / "ids.json").read_text("utf-8"))["variants"]


@pytest.fixture
def reader(tmp_path):
    """The tokenizer of a variant."""

    def read(variant):
        write(variant, tmp_path)
        return read_tokenizers(tmp_path, {"model_type": variant.family}).source

    return read


@pytest.mark.parametrize("name", VARIANTS)
def test_ids_are_those_of_transformers(reader, name):
    tokenizer = reader(VARIANTS[name])
    assert [list(tokenizer.encode(text).ids) for text in TEXTS] == IDS[name]["texts"]
    assert list(tokenizer.encode(*PAIR).ids) == IDS[name]["pairs"][0]


@pytest.mark.parametrize("name", VARIANTS)
def test_an_empty_pair_is_none_in_transformers_too(reader, name):
    assert list(reader(VARIANTS[name]).encode(PAIR[0]).ids) == IDS[name]["pairs"][1]


ALONE = "tokenizer.json alone gives this text other ids"


@pytest.mark.parametrize(
    ("name", "text", "differs"),
    [
        ("bert with case", "I Saw", True),
        ("bert with case", "saw", False),
        ("gpt2 in a llama", "3.14", True),
        ("gpt2 in a llama", "a saw", False),
        ("digits as they are", "3.14", False),
        ("bert", "I Saw", False),
        ("llama, legacy", " I saw", False),
    ],
)
def test_it_is_said_where_the_file_alone_reads_otherwise(reader, name, text, differs):
    notes = reader(VARIANTS[name]).encode(text).notes
    assert any(ALONE in note for note in notes) == differs


def test_it_is_said_where_a_class_is_not_known(reader):
    variant = Variant("bert", "bert", {"tokenizer_class": "CamembertTokenizer"})
    assert "CamembertTokenizer of transformers may differ" in str(reader(variant).encode("a").notes)
    variant = Variant("bert", "bert", {"tokenizer_class": "T5Tokenizer"})
    assert "T5Tokenizer of transformers may differ" in str(reader(variant).encode("a").notes)


def test_it_is_said_where_an_added_token_moves(reader):
    config = {"added_tokens_decoder": {"400": added("<new>")}}
    tokens = reader(Variant("bert", "bert", config)).encode("<new>")
    assert "the added token '<new>' has the id 400 in the settings" in str(tokens.notes)


@pytest.mark.parametrize("family", ["mistral", "gpt2"])
def test_dropout_is_left_out_and_said(reader, family):
    """Where transformers leaves out merges at random, and where its class does not."""
    variant = Variant("gpt2", family, {}, parts={"model.dropout": 0.9})
    tokenizer = reader(variant)
    assert len({tokenizer.encode(TEXTS[0]).ids for _ in range(9)}) == 1
    assert (
        tokenizer.encode(TEXTS[0]).ids == reader(Variant("gpt2", family, {})).encode(TEXTS[0]).ids
    )
    assert "dropout" in str(tokenizer.encode("a").notes)


def test_written_texts_lose_spaces_where_the_settings_say_so(reader):
    config = {"clean_up_tokenization_spaces": True, "extra_ids": 0}
    plain = reader(Variant("t5", "t5", {"extra_ids": 0}))
    ids = plain.encode("saw . I ' m , saw").ids
    assert plain.join(ids) == "saw . I ' m , saw"
    assert reader(Variant("t5", "t5", config)).join(ids) == "saw. I'm, saw"
    bytes_ = reader(Variant("gpt2", "gpt2", config))
    assert bytes_.join(bytes_.encode("a , b").ids) == "a , b"


FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
WRONG = (
    ("tokenizer_config.json", {"do_lower_case": "yes"}, "do_lower_case = 'yes', expected true or"),
    ("tokenizer_config.json", {"strip_accents": 1}, "strip_accents = 1, expected true or false"),
    ("tokenizer_config.json", {"tokenizer_class": ["a"]}, r"tokenizer_class = \['a'\]"),
    ("tokenizer_config.json", {"sep_token": 3}, "sep_token = 3, expected a token"),
    ("tokenizer_config.json", {"sep_token": {"content": None}}, "sep_token = .* expected a token"),
    ("tokenizer_config.json", {"sep_token": "\ud800"}, "expected characters of Unicode"),
    ("tokenizer_config.json", {"sep_token": {"content": "a", "lstrip": 1}}, "sep_token.lstrip = 1"),
    ("tokenizer_config.json", {"cls_token": None}, "cls_token is null, but its class needs it"),
    ("tokenizer_config.json", {"added_tokens_decoder": []}, "added_tokens_decoder = "),
    ("tokenizer_config.json", {"added_tokens_decoder": {"x": added("a")}}, "an id in added_tokens"),
    ("tokenizer_config.json", {"added_tokens_decoder": {"9" * 99: added("a")}}, "an id in added"),
    ("tokenizer_config.json", {"added_tokens_decoder": {"1": "a"}}, r"added_tokens_decoder\.1 = "),
    ("tokenizer_config.json", {"extra_special_tokens": 1}, "extra_special_tokens = 1"),
    ("tokenizer_config.json", {"extra_special_tokens": [1]}, "a token of extra_special_tokens = 1"),
    ("special_tokens_map.json", {"sep_token": [1]}, r"sep_token = \[1\], expected a token"),
    ("added_tokens.json", {"a": "1"}, "the id of 'a' = '1', expected a whole number"),
    ("added_tokens.json", {"a": -1}, "the id of 'a' = -1, expected a whole number"),
    ("added_tokens.json", {"a": 2**32}, "the id of 'a' = 4294967296, expected a whole number"),
    ("added_tokens.json", {"a": True}, "the id of 'a' = True, expected a whole number"),
    ("added_tokens.json", {"\udfff": 9}, "expected characters of Unicode"),
    *((name, [], r"damaged or not a JSON file: expected a JSON object") for name in FILES),
)  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_a_wrong_type_is_refused(tmp_path, name, content, message):
    write(VARIANTS["bert without settings"], tmp_path)
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(AttnvizError, match=message):
        read_tokenizers(tmp_path, {"model_type": "bert"})


def test_the_note_reaches_the_screen(tmp_path, capsys):
    shutil.copytree(GOLDEN / "bert-tiny", tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "saw", "i"]
    parts = {"model.vocab": {word: id for id, word in enumerate(words)}}
    write(VARIANTS["bert with case"]._replace(parts=parts), tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    assert run_cli(["run", "I saw", "-m", str(tmp_path / "m")]) == 0
    assert ALONE in " ".join(capsys.readouterr().out.split())
