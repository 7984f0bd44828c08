"""Every class of tokenizers, from every kind of file, against what transformers reads."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES
from attnviz.models.tokenizers.classes import CLASSES, class_name
from attnviz.models.tokenizers.classes.languages import WHISPER
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.tokenizers.settings import Settings
from tests.conftest import GOLDEN
from tests.golden.tokenizers.kinds import (
    BERTS,
    CASES,
    KINDS,
    SAMPLES,
    SENTENCE,
    settings_of,
    write,
)
from tests.golden.tokenizers.texts import random_texts

pytest.importorskip("tokenizers")

GOLDENS = json.loads((GOLDEN / "tokenizers" / "ids.json").read_text("utf-8"))
TEXTS = [SENTENCE, *random_texts(7, 5)]
IN_PYTHON = ("MarianTokenizer", "M2M100Tokenizer", "SiglipTokenizer")


@pytest.fixture
def folder_of(tmp_path):
    """The folder of a kind with settings, and its config."""

    def make(name, settings=None):
        kind = KINDS[name]
        if kind.classes[0] in IN_PYTHON and not find_spec("sentencepiece"):
            pytest.skip("needs sentencepiece")
        write(tmp_path, kind, settings_of(kind, settings or {}))
        return tmp_path, {"model_type": kind.family}

    return make


@pytest.fixture
def reader(folder_of):
    """The tokenizer of a kind with settings."""
    return lambda name, settings=None: read_tokenizers(*folder_of(name, settings)).source


@pytest.mark.parametrize("number", range(len(SAMPLES)))
@pytest.mark.parametrize("name", KINDS)
def test_ids_are_those_of_transformers(reader, name, number):
    tokenizer = reader(name, SAMPLES[number])
    *texts, pair = GOLDENS["kinds"][name][number]
    assert [list(tokenizer.encode(text).ids) for text in TEXTS] == texts
    assert list(tokenizer.encode(*TEXTS[:2]).ids) == pair


@pytest.mark.parametrize("name", BERTS)
def test_case_accents_and_chinese_in_every_combination(reader, name):
    found = [list(reader(name, case).encode(SENTENCE).ids) for case in CASES]
    assert found == GOLDENS["cases"][name]
    assert len({tuple(ids) for ids in found}) > 3


def test_every_family_has_the_class_of_transformers():
    for name, family in FAMILIES.items():
        classes = GOLDENS["classes"]
        usual = classes.get(name, classes.get(name.replace("_", "-")))
        # what mistral-common would read, transformers reads as it is without that package
        usual = "TokenizersBackend" if usual == "MistralCommonBackend" else usual
        assert getattr(family, "TOKENIZER", None) == usual, name


def test_a_class_is_chosen_as_transformers_chooses_it():
    def chosen(family, named=None, of_model=None, is_byte_level=False):
        settings = Settings({"tokenizer_class": named} if named else {}, "settings")
        config = {"model_type": family, "tokenizer_class": of_model}
        return class_name(settings, config, is_byte_level)

    assert chosen("bert") == "BertTokenizer"
    assert chosen("bert", "MPNetTokenizerFast") == "MPNetTokenizer"
    assert chosen("bert", of_model="ElectraTokenizer") == "ElectraTokenizer"
    assert chosen("bert", "PreTrainedTokenizerFast") == "TokenizersBackend"
    assert chosen("qwen2", "LlamaTokenizerFast") == "Qwen2Tokenizer"
    assert chosen("llama", "LlamaTokenizerFast") == "LlamaTokenizer"
    assert chosen("llama", "LlamaTokenizer", is_byte_level=True) == "TokenizersBackend"
    assert chosen("mistral", "LlamaTokenizer") == "TokenizersBackend"
    assert chosen("m2m_100", "NllbTokenizer") == "NllbTokenizer"
    assert chosen("m2m_100") == "M2M100Tokenizer"


def test_sizes_of_reserved_tokens(reader):
    assert reader("t5 spiece.model", {"extra_ids": 3}).n_entry == 105 + 3
    with pytest.raises(AttnvizError, match="extra_ids = -1"):
        reader("t5 spiece.model", {"extra_ids": -1})
    with pytest.raises(AttnvizError, match="offset = '103'"):
        reader("pegasus spiece.model", {"offset": "103"})


def test_the_language_of_a_text(reader):
    for name, code, others in (
        ("mbart sentencepiece.bpe.model", "ro_RO", "en_XX"),
        ("mbart50 sentencepiece.bpe.model", "sl_SI", "en_XX"),
        ("m2m100 vocab.json", "fr", "en"),
    ):
        spoken = reader(name, {"src_lang": code}).encode("saw")
        usual = reader(name).encode("saw")
        assert any(code in token for token in spoken.tokens)
        assert any(others in token for token in usual.tokens)
        assert len(set(spoken.ids) ^ set(usual.ids)) == 2


def test_an_unknown_language_of_m2m100(reader):
    with pytest.raises(AttnvizError, match="has no language 'xx'") as caught:
        reader("m2m100 vocab.json", {"src_lang": "xx"})
    assert "(100 languages)" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "code", "first", "last"),
    [
        ("mbart sentencepiece.bpe.model", "ro_RO", [], ["</s>", "ro_RO"]),
        ("mbart50 sentencepiece.bpe.model", "sl_SI", ["sl_SI"], ["</s>"]),
        ("m2m100 vocab.json", "zh", ["__zh__"], ["</s>"]),
        ("nllb sentencepiece.bpe.model", "fra_Latn", ["fra_Latn"], ["</s>"]),
    ],
)
def test_it_reads_another_language(reader, name, code, first, last):
    tokenizer = reader(name, {"extra_special_tokens": ["fra_Latn", "zho_Hans"]})
    spoken = tokenizer.in_language(code)
    tokens = spoken.encode("saw").tokens
    middle = tokens[len(first) : len(tokens) - len(last)]
    assert tokens == (*first, *middle, *last)
    assert [spoken.language] == list(spoken.encode("").ids)[:: 1 if first else -1][:1]
    assert set(middle) <= set(tokenizer.encode("saw").tokens)
    with pytest.raises(AttnvizError, match="has no language 'fro'") as caught:
        tokenizer.in_language("fro")
    assert caught.value.hint.startswith("fr")


def test_a_language_that_the_vocabulary_lacks_is_said(reader):
    tokenizer = reader("nllb sentencepiece.bpe.model")
    assert "has no language eng_Latn: it is read as unknown" in str(tokenizer.encode("saw").notes)
    with pytest.raises(AttnvizError, match="has no language 'fra_Latn', nor any other"):
        tokenizer.in_language("fra_Latn")


@pytest.mark.parametrize(
    ("name", "code", "names"),
    [
        ("mbart sentencepiece.bpe.model", "ro_RO", ["ro_RO", "▁saw"]),
        ("mbart50 sentencepiece.bpe.model", "ro_RO", ["</s>", "ro_RO", "▁saw"]),
        ("m2m100 vocab.json", "zh", ["</s>", "__zh__", "▁saw"]),
    ],
)
def test_what_a_decoder_reads_in_a_language(folder_of, name, code, names):
    """And what it is given before it writes."""
    folder, config = folder_of(name)
    config |= {"decoder_start_token_id": 2, "eos_token_id": 2}
    decoder = read_tokenizers(folder, config).target.in_language(code)
    assert list(decoder.encode("saw").tokens) == names
    assert list(decoder.prompt) == list(decoder.encode("saw").ids[:-1])
    assert list(decoder.in_language(code).encode("saw").tokens) == names


def test_texts_without_a_language(reader):
    with pytest.raises(AttnvizError, match="its texts name no language"):
        reader("t5 spiece.model").in_language("fr")


@pytest.mark.parametrize("name", ["xlm-roberta sentencepiece.bpe.model", "m2m100 vocab.json"])
def test_a_text_that_spells_what_is_added_is_remarked_on(reader, name):
    tokenizer = reader(name)
    assert "</s> is read 2 times: the text spells it" in str(tokenizer.encode("saw</s>").notes)
    assert "the text spells it" not in str(tokenizer.encode("saw <pad> <unk>", "saw").notes)


def test_languages_of_whisper_have_codes(reader):
    assert WHISPER["haitian creole"] == "ht"
    tokens = reader("whisper vocab.json", {
        "language": "French",
        "task": "translate",
        "additional_special_tokens": ["<|startoftranscript|>", "<|fr|>", "<|translate|>", "<|notimestamps|>"],
    }).encode("saw")  # fmt: skip
    assert tokens.tokens[:4] == (
        "<|startoftranscript|>",
        "<|fr|>",
        "<|translate|>",
        "<|notimestamps|>",
    )


def test_amino_acids_are_letters(reader):
    tokens = reader("esm vocab.txt").encode("MKTj AY")
    assert tokens.tokens == ("<cls>", "M", "K", "T", "<unk>", "A", "Y", "<eos>")
    assert tokens.unknown == (4,)


def test_all_classes_name_their_files():
    for name, cls in CLASSES.items():
        assert cls.older, name


def test_an_older_class_reads_what_transformers_5_does_not(folder_of):
    folder, _ = folder_of("t5 spiece.model")
    tokenizer = read_tokenizers(folder, {"model_type": "umt5"}).source
    golden = GOLDENS["kinds"]["t5 spiece.model"][0]
    assert [list(tokenizer.encode(text).ids) for text in TEXTS] == golden[:-1]
    assert "read as T5Tokenizer, as transformers 4 did" in str(tokenizer.encode("saw").notes)


@pytest.mark.parametrize("name", ["llama tokenizer.model", "gemma tokenizer.model"])
def test_it_is_said_that_a_text_has_no_beginning_now(reader, name):
    assert "nothing is added before a text" in str(reader(name).encode("saw").notes)
    told = reader(name, {"add_bos_token": False}).encode("saw")
    assert "nothing is added" not in str(told.notes)
    assert told.special == ()


def test_words_that_end_with_a_mark(reader):
    tokens = reader("clip vocab.json").encode("saw keys, \u65e9")
    assert tokens.word_labels == ("<|startoftext|>", "saw", "keys", ",", "早", "<|endoftext|>")
    assert tokens.labels[1] == "saw␣"
    assert reader("clip vocab.json").join(tokens.ids) == "saw keys , 早"


def test_special_tokens_split_as_words(reader):
    """Of a class that runs in Python: at white space alone, and an added token is a word."""
    settings = {"split_special_tokens": True, "mask_token": "[MASK]"}
    tokens = reader("esm vocab.txt", settings).encode("MK [MASK] <mask>M")
    assert tokens.ids[1:4] == (3, 33, 3)


def test_speech_is_written_in_a_language(folder_of):
    folder, config = folder_of("whisper vocab.json")
    languages = {"lang_to_id": {"<|en|>": 5, "<|fr|>": 6}, "task_to_id": {"transcribe": 8}}
    (folder / "generation_config.json").write_text(json.dumps(languages))
    target = read_tokenizers(folder, {**config, "decoder_start_token_id": 4}).target
    assert target.prompt == (4, None)
    assert target.in_language("fr").prompt == (4, 6, 8)
    with pytest.raises(AttnvizError, match="'xx' is not known"):
        target.in_language("xx")
