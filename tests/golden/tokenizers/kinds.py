"""Every kind of vocabulary, and the settings that may stand beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Kind:
    family: str
    files: Mapping[str, str]
    """The vocabulary: name in a checkpoint -> file of this folder, or of several lines the
    content."""
    classes: tuple[str, ...] = ()
    """What its settings may name, the usual one first."""


def _added(content: str, **flags: bool) -> dict[str, Any]:
    token = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False,
             "special": True}  # fmt: skip
    return {"content": content, **token, **flags}


def _token(content: str, **flags: bool) -> dict[str, Any]:
    return {"__type": "AddedToken", **_added(content, **flags)}


SETTINGS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("do_lower_case", "tokenize_chinese_chars", "keep_accents", "add_prefix_space", "legacy",
         "add_bos_token", "add_eos_token", "split_special_tokens", "split_by_punct", "trim_offsets",
         "clean_up_tokenization_spaces", "legacy_behaviour", "do_basic_tokenize", "use_fast"),
        (True, False),
    ),
    "strip_accents": (True, False, None),
    "model_max_length": (5, 512),
    "never_split": (["saw"],),
    "extra_ids": (0, 3, 100),
    "offset": (0, 103),
    "src_lang": ("fr_XX", "fra_Latn", "fr", "en"),
    "tgt_lang": ("fr_XX", "fra_Latn", "fr"),
    "bos_token": ("<s>", _token("<s>", lstrip=True)),
    "eos_token": ("</s>", _token("</s>", rstrip=True)),
    "unk_token": ("<unk>", "[UNK]", "<|endoftext|>"),
    "mask_token": ("<mask>", _token("<mask>", lstrip=True, normalized=True), "[MASK]"),
    "additional_special_tokens": (["saw", "<new>"], [_token("table", single_word=True)], []),
    "extra_special_tokens": (["key"], {"image_token": "<image>"}, []),
    "added_tokens_decoder": ({"7": _added("Saw", normalized=True, special=False)},
                             {"5": _added("早"), "9999": _added("table", lstrip=True, rstrip=True)}),
}  # fmt: skip


def _kind(family: str, files: Mapping[str, str], classes: tuple[str, ...] = ()) -> Kind:
    return Kind(family, files, classes)


def _words(special: str) -> str:
    """BERT's list with other special tokens."""
    lines = (HERE / "bert" / "vocab.txt").read_text("utf-8").split("\n")
    return "\n".join([*special.split(), *lines[5:]])


def _pieces() -> str:
    """The pieces of Marian's source as M2M100 counts them, one of them left out."""
    pieces = json.loads((HERE / "marian" / "vocab.json").read_text("utf-8"))
    names = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces if "<" not in piece)]
    return json.dumps({piece: id for id, piece in enumerate(names)}, indent=0, ensure_ascii=False)


ESM = """<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1>
<mask>"""


_BYTES = {"vocab.json": "gpt2/vocab.json", "merges.txt": "gpt2/merges.txt"}
_CLIP = {"vocab.json": "clip/vocab.json", "merges.txt": "clip/merges.txt"}
_SPM = {
    "xlm-roberta": ("xlm-roberta", "unigram", "sentencepiece.bpe.model", "XLMRobertaTokenizer"),
    "camembert": ("camembert", "unigram", "sentencepiece.bpe.model", "CamembertTokenizer"),
    "mbart": ("mbart", "unigram", "sentencepiece.bpe.model", "MBartTokenizer"),
    "mbart50": ("mbart", "unigram", "sentencepiece.bpe.model", "MBart50Tokenizer"),
    "t5": ("t5", "t5", "spiece.model", "T5Tokenizer"),
    "mt5": ("mt5", "t5", "spiece.model", "T5Tokenizer"),
    "pegasus": ("pegasus", "t5", "spiece.model", "PegasusTokenizer"),
    "albert": ("albert", "albert", "spiece.model", "AlbertTokenizer"),
    "deberta-v2": ("deberta-v2", "deberta", "spm.model", "DebertaV2Tokenizer"),
    "siglip": ("siglip", "t5", "spiece.model", "SiglipTokenizer"),
    "llama": ("llama", "llama", "tokenizer.model", "LlamaTokenizer"),
    "gemma": ("gemma", "gemma", "tokenizer.model", "GemmaTokenizer"),
    "nllb": ("m2m_100", "bpe", "sentencepiece.bpe.model", "NllbTokenizer"),
    "phi3": ("phi3", "llama", "tokenizer.model", "LlamaTokenizer"),
    "umt5": ("umt5", "t5", "tokenizer.model", "T5Tokenizer"),
}

_SERIALIZED = {
    "bert": ("bert", ("BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "DistilBertTokenizer")),
    "mpnet": ("bert", ("MPNetTokenizer",)),
    "gpt2": ("gpt2", ("GPT2Tokenizer", "CodeGenTokenizer", "PreTrainedTokenizerFast")),
    "roberta": ("roberta", ("RobertaTokenizer", "BartTokenizerFast")),
    "gpt_neox": ("gpt_neox", ("GPTNeoXTokenizerFast",)),
    "qwen2": ("qwen2", ("Qwen2Tokenizer", "LlamaTokenizerFast")),
    "llama": ("llama", ("LlamaTokenizer", "LlamaTokenizerFast", "PreTrainedTokenizerFast")),
    "gemma": ("gemma2", ("GemmaTokenizer", "PreTrainedTokenizerFast")),
    "t5": ("t5", ("T5Tokenizer", "T5TokenizerFast")),
    "albert": ("albert", ("AlbertTokenizer",)),
    "xlm_roberta": ("xlm-roberta", ("XLMRobertaTokenizer", "CamembertTokenizer", "MBartTokenizer",
                                    "MBart50Tokenizer", "PreTrainedTokenizerFast")),
}  # fmt: skip

KINDS: dict[str, Kind] = {
    "bert vocab.txt": _kind("bert", {"vocab.txt": "bert/vocab.txt"}, ("BertTokenizer",)),
    "cased vocab.txt": _kind("bert", {"vocab.txt": "bert-cased/vocab.txt"}, ("BertTokenizer",)),
    "mpnet vocab.txt": _kind(
        "mpnet", {"vocab.txt": _words("<s> <pad> </s> [UNK] <mask>")}, ("MPNetTokenizer",)
    ),
    "m2m100 vocab.json": _kind(
        "m2m_100",
        {"vocab.json": _pieces(), "sentencepiece.bpe.model": "sentencepiece/bpe.model"},
        ("M2M100Tokenizer",),
    ),
    "marian vocab.json": _kind(
        "marian",
        {name: f"marian/{name}" for name in ("source.spm", "target.spm", "vocab.json")},
        ("MarianTokenizer",),
    ),
    "esm vocab.txt": _kind("esm", {"vocab.txt": "\n".join(ESM.split())}, ("EsmTokenizer",)),
    "roberta vocab.json": _kind(
        "roberta",
        {"vocab.json": "roberta/vocab.json", "merges.txt": "roberta/merges.txt"},
        ("RobertaTokenizer",),
    ),
    "gpt2 vocab.json": _kind("gpt2", _BYTES, ("GPT2Tokenizer", "CodeGenTokenizer")),
    "gpt_neox vocab.json": _kind("gpt_neox", _BYTES, ("GPTNeoXTokenizer",)),
    "cohere vocab.json": _kind("cohere", _BYTES, ("CohereTokenizer",)),
    "qwen2 vocab.json": _kind("qwen2_moe", _BYTES, ("Qwen2Tokenizer",)),
    "clip vocab.json": _kind("clip", _CLIP, ("CLIPTokenizer",)),
    "whisper vocab.json": _kind("whisper", _BYTES, ("WhisperTokenizer",)),
    **{
        f"{name} {file}": _kind(family, {file: f"sentencepiece/{source}.model"}, (cls,))
        for name, (family, source, file, cls) in _SPM.items()
    },
    **{
        f"{name} tokenizer.json": _kind(
            family, {"tokenizer.json": f"serialized/{name}.json"}, classes
        )
        for name, (family, classes) in _SERIALIZED.items()
        if name != "mpnet"
    },
}


SAMPLES: tuple[dict[str, Any], ...] = (
    {},
    {"do_lower_case": False, "add_prefix_space": False, "legacy": True, "add_bos_token": True},
    {"keep_accents": True, "split_special_tokens": True, "split_by_punct": True},
    {"additional_special_tokens": ["saw", "<new>"], "src_lang": "fr_XX", "strip_accents": False},
)
"""Settings of which the suite has the ids of every kind."""

CASES: tuple[dict[str, Any], ...] = tuple(
    {"do_lower_case": lower, "strip_accents": strips, "tokenize_chinese_chars": chinese}
    for lower in (True, False)
    for strips in (True, False, None)
    for chinese in (True, False)
)
"""All that BERT's normaliser may be told."""

SENTENCE = "The Caf\u00e9 早上 SAW"
BERTS = ("bert vocab.txt", "cased vocab.txt", "bert tokenizer.json", "mpnet vocab.txt")


def settings_of(kind: Kind, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The files beside a vocabulary whose class is named."""
    own = dict(settings)
    if kind.classes == ("M2M100Tokenizer",) and "_" in own.get("src_lang", ""):
        del own["src_lang"]  # its codes have two letters
    return {"tokenizer_config.json": {**own, "tokenizer_class": kind.classes[0]}}


def write(folder: Path, kind: Kind, files: Mapping[str, Mapping[str, Any]]) -> None:
    """A folder with a vocabulary, and these files beside it."""
    for name, source in kind.files.items():
        if "\n" in source:
            (folder / name).write_text(source, "utf-8")
        else:
            shutil.copy(HERE / source, folder / name)
    for name, content in {**files, "config.json": {"model_type": kind.family}}.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
