"""Tokenizers of folders without `tokenizer.json`, against what transformers reads with them."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_text
from attnviz.models.tokenizers.files import read_tokenizers
from tests.conftest import GOLDEN
from tests.golden.tokenizers.nasty import NASTY, PAIRS

pytest.importorskip("tokenizers")

FOLDER = GOLDEN / "tokenizers"
IDS = json.loads((FOLDER / "ids.json").read_text("utf-8"))
FAMILIES = {
    "bert": "bert",
    "bert-cased": "bert",
    "gpt2": "gpt2",
    "opt": "opt",
    "roberta": "roberta",
}


@pytest.fixture
def copy(tmp_path):
    """`copy(name, family)`: a folder that a test may change, and its config."""

    def make(name):
        shutil.copytree(FOLDER / name, tmp_path / name)
        return tmp_path / name, {"model_type": FAMILIES.get(name, name)}

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_ids_are_those_of_transformers(name):
    reader = read_tokenizers(FOLDER / name, {"model_type": FAMILIES[name]}).source
    assert [list(reader.encode(text).ids) for text in NASTY] == IDS[name]["texts"]
    assert [list(reader.encode(*pair).ids) for pair in PAIRS] == IDS[name]["pairs"]


def test_marian_reads_both_sides_as_transformers_does():
    pytest.importorskip("sentencepiece")
    golden = IDS["marian"]
    begin = golden["texts"][0][0] + 1
    readers = read_tokenizers(
        FOLDER / "marian", {"model_type": "marian", "decoder_start_token_id": begin}
    )
    assert [list(readers.source.encode(text).ids) for text in NASTY] == golden["texts"]
    assert [list(readers.source.encode(*pair).ids) for pair in PAIRS] == golden["pairs"]
    language = readers.source.encode(">>fra<< I saw a saw</s> saw")
    assert [list(language.ids)] == golden["languages"]
    assert language.labels[0] == ">>fra<<"
    # the decoder begins with its first token and has not ended
    targets = [list(readers.target.encode(text).ids) for text in NASTY]
    assert targets == [[begin, *ids[:-1]] for ids in golden["targets"]]
    assert (readers.target.begin, readers.target.end) == (begin, 0)
    assert readers.source.join(golden["texts"][0]) == "I saw a saw"


def test_the_settings_of_marian(copy):
    """What transformers heeds and is not read is said; each side may have its own vocabulary."""
    pytest.importorskip("sentencepiece")
    folder, config = copy("marian")
    (folder / "tokenizer.json").write_text("{}")  # transformers does not read it
    assert read_tokenizers(folder, config).source.encode("saw").notes == (
        "␣ is a space, part of its token",
    )
    (folder / "target_vocab.json").write_text('{"</s>": 3, "<unk>": 4}')
    assert read_tokenizers(folder, config).target.end == 0
    settings = {"separate_vocabs": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    readers = read_tokenizers(folder, config)
    assert readers.target.end == 3
    settings = {"extra_special_tokens": ["<n>"], "sp_model_kwargs": {"alpha": 0.1}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokens = read_tokenizers(folder, config).source.encode("saw<n>")
    assert tokens.ids[-2] == len(json.loads((folder / "vocab.json").read_text("utf-8")))
    assert "sp_model_kwargs are not read" in str(tokens.notes)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_lone_surrogate_is_read_as_what_cannot_be_written(name):
    reader = read_tokenizers(FOLDER / name, {"model_type": FAMILIES[name]}).source
    assert reader.encode("saw \udc80").ids == reader.encode("saw ?").ids


def test_special_tokens_and_unknown_ones_are_known_by_place():
    tokens = read_tokenizers(FOLDER / "bert", {"model_type": "bert"}).source.encode("I 😺 saw", "a")
    last = len(tokens) - 1
    assert tokens.special == (0, tokens.tokens.index("[SEP]"), last)
    assert tokens.unknown == (2,)
    assert set(tokens.segments) == {0, 1}


def test_where_texts_begin_and_end(copy):
    folder, config = copy("gpt2")
    found = read_tokenizers(folder, {**config, "bos_token_id": 5, "eos_token_id": 6})
    assert (found.source.begin, found.source.end, found.target) == (5, 6, None)
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 8]}')
    assert read_tokenizers(folder, {**config, "eos_token_id": 6}).source.end == 7
    (folder / "generation_config.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|endoftext|>"}}')
    assert read_tokenizers(folder, config).source.end == 0


def test_decoding_ids_stops_where_the_configs_say(tmp_path):
    """Without a tokenizer too."""
    shutil.copytree(GOLDEN / "families" / "gpt2", tmp_path, dirs_exist_ok=True)
    model = load_model(str(tmp_path))
    written = generate(model, read_text(model, [5, 6, 7]), max_tokens=8).written.ids
    assert len(written) == 8
    third = written.index(written[2]) + 1
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [40, written[2]]}))
    model = load_model(str(tmp_path))
    generated = generate(model, read_text(model, [5, 6, 7]), max_tokens=8)
    assert (generated.written.ids, generated.ended) == (written[:third], True)
    (tmp_path / "generation_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "eos_token_id": written[2]}))
    model = load_model(str(tmp_path))
    assert generate(model, read_text(model, [5, 6, 7]), max_tokens=8).ended


@pytest.mark.parametrize("value", ["2", 2.0, True, {}, [1, None], [[1]]])
@pytest.mark.parametrize("key", ["eos_token_id", "bos_token_id", "decoder_start_token_id"])
def test_an_end_that_is_no_id(tmp_path, key, value):
    (tmp_path / "generation_config.json").write_text(json.dumps({key: value}))
    message = rf"generation_config\.json: {key} = .* expected an id or a list of ids"
    with pytest.raises(AttnvizError, match=message):
        read_tokenizers(tmp_path, {})


def test_the_decoder_of_an_encoder_decoder(copy):
    folder, _ = copy("roberta")
    config = {"model_type": "bart", "decoder_start_token_id": 2, "eos_token_id": 2}
    readers = read_tokenizers(folder, config)
    source = readers.source.encode("I saw")
    target = readers.target.encode("I saw")
    assert target.ids == (2, *source.ids[:-1])
    assert target.special == (0, 1)
    assert target.word_labels == ("</s>", "<s>", "I", "saw")
    assert readers.target.take([2, 0]).ids == (2, 0)
    assert readers.target.join(target.ids) == "I saw"


def test_added_tokens_keep_their_ids(copy):
    folder, config = copy("bert")
    n = len((folder / "vocab.txt").read_text("utf-8").splitlines())
    (folder / "added_tokens.json").write_text(json.dumps({"<later>": n + 1, "<new>": n}))
    tokens = read_tokenizers(folder, config).source.encode("saw <later><new>")
    assert tokens.ids[2:4] == (n + 1, n)
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": n + 3}))
    with pytest.raises(AttnvizError, match=rf"'<new>' has the id {n + 3} in .*, but {n} in"):
        read_tokenizers(folder, config)


def write(name, text):
    return lambda folder: (folder / name).write_text(text, "utf-8")


DAMAGED = {
    "merges of another vocabulary": (
        "gpt2",
        write("merges.txt", "#version: 0.2\nzq qz\n"),
        r"merges\.txt does not fit vocab\.json",
    ),
    "no JSON": ("gpt2", write("vocab.json", "["), r"vocab\.json is damaged"),
    "no [SEP]": (
        "bert",
        write("vocab.txt", "[UNK]\n[CLS]\nsaw\n"),
        r"the vocabulary has no '\[SEP\]'",
    ),
    "no UTF-8": (
        "bert",
        lambda folder: (folder / "vocab.txt").write_bytes(b"\xff\n"),
        r"vocab\.txt cannot be read",
    ),
}


def test_a_class_that_cuts_in_another_way(copy):
    """Its texts cannot be read, its ids can."""
    folder, config = copy("gpt2")
    write("tokenizer_config.json", '{"tokenizer_class": "HerbertTokenizer"}')(folder)
    tokenizer = read_tokenizers(folder, config).source
    with pytest.raises(AttnvizError, match="how the tokenizer of gpt2 reads it is not known"):
        tokenizer.encode("I saw")
    assert tokenizer.take([5, 7]).ids == (5, 7)


INSTEAD = {
    "[": r"tokenizer\.json is damaged or not a tokenizer file: invalid type",
    "{}": r"tokenizer\.json is damaged or not a tokenizer file: Model missing",
    "version https://git-lfs.github.com/spec/v1\n": r"tokenizer\.json .* a Git LFS pointer",
    "<!doctype html>": r"tokenizer\.json .* a web page",
}


@pytest.mark.parametrize("content", INSTEAD)
def test_no_tokenizer_json(copy, content):
    folder, config = copy("bert")
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(AttnvizError, match=INSTEAD[content]) as error:
        read_tokenizers(folder, config)
    assert error.value.hint


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_refused(copy, name):
    source, change, message = DAMAGED[name]
    folder, config = copy(source)
    change(folder)
    with pytest.raises(AttnvizError, match=message):
        read_tokenizers(folder, config)


MARIAN = {
    "no model": (write("source.spm", "nothing"), r"source\.spm is damaged or not a SentencePiece"),
    "no unknown": (write("vocab.json", '{"</s>": 0}'), r"vocab\.json has no <unk>"),
    "no number": (
        write("vocab.json", '{"</s>": 0, "<unk>": "1"}'),
        "the id of '<unk>' = '1', expected a whole",
    ),
}


@pytest.mark.parametrize("name", MARIAN)
def test_what_is_refused_of_marian(copy, name):
    pytest.importorskip("sentencepiece")
    change, message = MARIAN[name]
    folder, config = copy("marian")
    change(folder)
    with pytest.raises(AttnvizError, match=message):
        read_tokenizers(folder, config)


@pytest.mark.parametrize(("package", "name"), [("sentencepiece", "marian"), ("tokenizers", "bert")])
def test_a_missing_package_is_named(copy, monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    folder, config = copy(name)
    with pytest.raises(AttnvizError, match=f"needs the package `{package}`") as caught:
        read_tokenizers(folder, config)
    assert "pip install 'attnviz[" in caught.value.hint


def test_a_sentencepiece_model_of_an_unknown_class_says_how_to_convert_it(tmp_path):
    (tmp_path / "spiece.model").write_bytes(b"")
    reader = read_tokenizers(tmp_path, {"model_type": "xglm"}).source
    with pytest.raises(AttnvizError, match=r"has spiece\.model and no tokenizer\.json") as caught:
        reader.encode("I saw")
    assert "save_pretrained" in caught.value.hint
    assert reader.take([4, 5]).labels == ("#4", "#5")
