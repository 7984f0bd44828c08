"""Folders with a `tokenizer.json` and settings beside it that transformers heeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

CONFIG = "tokenizer_config.json"


class Variant(NamedTuple):
    """A `tokenizer.json` of `serialized/`, and what else is in the folder."""

    kind: str
    family: str
    config: dict[str, Any] | None = None
    """`tokenizer_config.json`; None for no such file."""
    files: Mapping[str, Any] = MappingProxyType({})
    parts: Mapping[str, Any] = MappingProxyType({})
    """What `tokenizer.json` has instead of its own parts."""


def added(content: str, **flags: bool) -> dict[str, Any]:
    token = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False,
             "special": True}  # fmt: skip
    return {"content": content, **token, **flags}


BERT = {"tokenizer_class": "BertTokenizer"}
LLAMA = {"tokenizer_class": "LlamaTokenizer"}
LATER = {"195": added("<new>"), "194": added("table", special=False, single_word=True)}
DIGITS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": True}  # fmt: skip

VARIANTS = {
    "bert": Variant("bert", "bert", BERT),
    "bert without settings": Variant("bert", "bert"),
    "bert with case": Variant("bert", "bert", {**BERT, "do_lower_case": False}),
    "bert with accents": Variant("bert", "bert", {**BERT, "strip_accents": False}),
    "bert with case, no accents": Variant(
        "bert", "bert", {**BERT, "do_lower_case": False, "strip_accents": True}
    ),
    "bert with Chinese words": Variant("bert", "bert", {"tokenize_chinese_chars": False}),
    "bert, its class unnamed": Variant("bert", "electra", {"do_lower_case": False}),
    "bert as it is": Variant(
        "bert", "bert", {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False}
    ),
    "bert with added tokens": Variant("bert", "bert", {**BERT, "added_tokens_decoder": LATER}),
    "bert with added_tokens.json": Variant(
        "bert", "distilbert", BERT, {"added_tokens.json": {"<new>": 194, "snake": 195}}
    ),
    "bert with a special token map": Variant(
        "bert", "bert", BERT, {"special_tokens_map.json": {"sep_token": "[PAD]"}}
    ),
    "bert with special tokens split": Variant(
        "bert", "bert", {**BERT, "split_special_tokens": True}
    ),
    "bert with a lowercasing file": Variant(
        "bert", "bert", {**BERT, "do_lower_case": False}, parts={"normalizer": {"type": "Lowercase"}}
    ),
    "gpt2": Variant("gpt2", "gpt2", {"tokenizer_class": "GPT2Tokenizer"}),
    "gpt2 with a space before": Variant("gpt2", "gpt2", {"add_prefix_space": True}),
    "gpt2 that drops out": Variant("gpt2", "gpt2", {}, parts={"model.dropout": 0.5}),
    "gpt2 in a llama": Variant("gpt2", "llama", {"tokenizer_class": "GPT2Tokenizer"},
                               parts={"pre_tokenizer": DIGITS}),
    "digits as they are": Variant("gpt2", "llama", {"tokenizer_class": "PreTrainedTokenizerFast"},
                                  parts={"pre_tokenizer": DIGITS}),
    "roberta": Variant("roberta", "roberta", {"mask_token": {**added("<mask>", lstrip=True), "__type": "AddedToken"}}),
    "roberta with a space before": Variant("roberta", "bart", {"add_prefix_space": True}),
    "gpt_neox": Variant("gpt_neox", "gpt_neox", {"tokenizer_class": "GPTNeoXTokenizer"}),
    "gpt_neox with a space before": Variant(
        "gpt_neox", "gpt_neox", {"add_prefix_space": True, "extra_special_tokens": ["key"]}
    ),
    "qwen2": Variant("qwen2", "qwen2", {"tokenizer_class": "LlamaTokenizerFast"}),
    "qwen3": Variant("qwen2", "qwen3", {"additional_special_tokens": ["table", "<new>"]}),
    "llama": Variant("llama", "llama", LLAMA),
    "llama, legacy": Variant("llama", "llama", {**LLAMA, "legacy": True}),
    "llama without a space before": Variant("llama", "llama", {**LLAMA, "add_prefix_space": False}),
    "llama of bytes": Variant("gpt2", "llama", LLAMA),
    "mistral": Variant("llama", "mistral", {**LLAMA, "add_prefix_space": False}),
    "phi3": Variant("llama", "phi3", {**LLAMA, "legacy": True}),
    "gemma2": Variant("gemma", "gemma2", {"tokenizer_class": "GemmaTokenizer"}),
    "t5": Variant("t5", "t5", {"extra_ids": 3}),
    "albert": Variant("albert", "albert", {}),
    "albert with case": Variant("albert", "albert", {"do_lower_case": False}),
    "albert with accents": Variant("albert", "albert", {"keep_accents": True}),
    "xlm-roberta": Variant("xlm_roberta", "roberta", {"tokenizer_class": "XLMRobertaTokenizer"}),
    "xlm-roberta without a space before": Variant(
        "xlm_roberta",
        "roberta",
        {"tokenizer_class": "XLMRobertaTokenizerFast", "add_prefix_space": False},
    ),
}  # fmt: skip

TEXTS = (
    "I saw a SAW, Élan: crème brûlée!",
    " 我看见了一把锯子 and 3.14159",
    "table [MASK] snake<mask> table <new>saw key<|endoftext|></s> saw",
)

PAIR = ("I saw", "the keys")


def write(variant: Variant, folder: Path) -> None:
    """The files of a variant."""
    source = Path(__file__).parent / "serialized" / f"{variant.kind}.json"
    serialized = json.loads(source.read_text("utf-8"))
    for name, part in variant.parts.items():
        *path, last = name.split(".")
        target = serialized
        for key in path:
            target = target[key]
        target[last] = part
    files = {"tokenizer.json": serialized, "config.json": {"model_type": variant.family}}
    if variant.config is not None:
        files[CONFIG] = variant.config
    for name, content in {**files, **variant.files}.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
