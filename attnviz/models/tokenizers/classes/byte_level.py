"""Classes that cut words into bytes, and merge these into pieces."""

from __future__ import annotations

from typing import Any

from attnviz.models.tokenizers.classes.languages import WHISPER
from attnviz.models.tokenizers.classes.parts import (
    ONLY_SPECIAL,
    Class,
    Source,
    added_token,
    complete,
    named_tokens,
    put_around,
    require,
    set_bpe,
    surround,
    text_of,
    with_id,
)
from attnviz.models.tokenizers.names import MERGES, PIECES
from attnviz.models.tokenizers.settings import Settings, Token

ROBERTA = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>",
           "pad": "<pad>", "mask": "<mask>"}  # fmt: skip
GPT2 = {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}
GPT_NEOX = {**GPT2, "pad": "<|padding|>"}
QWEN2 = {"unk": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>"}
COHERE = {"unk": "<UNK>", "bos": "<BOS_TOKEN>", "eos": "<|END_OF_TURN_TOKEN|>", "pad": "<PAD>",
          "cls": "<CLS>", "sep": "<SEP>", "mask": "<MASK_TOKEN>"}  # fmt: skip
CLIP = {"unk": "<|endoftext|>", "bos": "<|startoftext|>", "eos": "<|endoftext|>",
        "pad": "<|endoftext|>"}  # fmt: skip

QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)


def _byte_level(source: Source, settings: Settings) -> Any:
    """GPT-2's way to cut words into bytes and these into pieces."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    set_bpe(source.model)
    backend = Tokenizer(source.model)
    prefix = settings.switch("add_prefix_space", False)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    return backend


def _roberta(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = named_tokens(settings, ROBERTA)
    require(source, settings, special, "sep", "cls")
    backend = complete(_byte_level(source, settings), source, settings, special)
    backend.post_processor = processors.RobertaProcessing(
        with_id(backend, settings, special, "sep"),
        with_id(backend, settings, special, "cls"),
        settings.switch("trim_offsets", True),
        settings.switch("add_prefix_space", False),
    )
    return backend


def _gpt2(source: Source, settings: Settings) -> Any:
    return complete(_byte_level(source, settings), source, settings, named_tokens(settings, GPT2))


def _codegen(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    backend = _byte_level(source, settings)
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return complete(backend, source, settings, named_tokens(settings, GPT2))


def _gpt_neox(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers

    backend = _byte_level(source, settings)
    backend.normalizer = normalizers.NFC()
    special = named_tokens(settings, GPT_NEOX)
    complete(backend, source, settings, special)
    surround(backend, settings, special)
    return backend


def _qwen2(source: Source, settings: Settings) -> Any:
    from tokenizers import Regex, normalizers, pre_tokenizers

    backend = _byte_level(source, settings)
    backend.normalizer = normalizers.NFC()
    prefix = settings.switch("add_prefix_space", False)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
        ]
    )
    special = named_tokens(settings, QWEN2)
    complete(backend, source, settings, special)
    every = (*special.values(), *source.nameless(settings))
    contents = dict.fromkeys(token.content for token in every if token)
    backend.add_tokens([added_token(Token(content, ONLY_SPECIAL)) for content in contents])
    return backend


def _cohere(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers, pre_tokenizers

    backend = _byte_level(source, settings)
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), backend.pre_tokenizer]
    )
    special = named_tokens(settings, COHERE)
    complete(backend, source, settings, special)
    every = (*special.values(), *source.nameless(settings))
    backend.add_special_tokens([added_token(token) for token in every if token])
    return backend


def _clip(source: Source, settings: Settings) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors

    special = named_tokens(settings, CLIP)
    require(source, settings, special, "bos", "eos")
    set_bpe(source.model, unknown=text_of(settings, special, "unk"), suffix="</w>")
    backend = Tokenizer(source.model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    complete(backend, source, settings, special)
    end, begin = (with_id(backend, settings, special, name) for name in ("eos", "bos"))
    backend.post_processor = processors.RobertaProcessing(end, begin, False, False)
    return backend


def _whisper(source: Source, settings: Settings) -> Any:
    """What the decoder writes; it begins with the language and the task, where they are set."""
    special = named_tokens(settings, {name: Token(t, ONLY_SPECIAL) for name, t in GPT2.items()})
    backend = complete(_byte_level(source, settings), source, settings, special)
    end = with_id(backend, settings, special, "eos")
    names = ["<|startoftranscript|>"]
    if language := settings.text("language").lower():
        names.append(f"<|{WHISPER.get(language, language)}|>")
    if task := settings.text("task"):
        names.append(f"<|{task}|>")
    if not settings.switch("predict_timestamps", False):
        names.append("<|notimestamps|>")
    unknown = with_id(backend, settings, special, "unk")[1]
    ids = [backend.token_to_id(name) for name in names]
    around = [(n, unknown if id is None else id) for n, id in zip(names, ids, strict=True)]
    first = [f"{name}:0" for name in names]
    put_around(
        backend,
        [*first, "$A:0", f"{end[0]}:0"],
        [*first, "$A:0", "$B:1", f"{end[0]}:1"],
        end,
        *around,
    )
    return backend


OLDER = (PIECES, MERGES)

CLASSES = {
    "RobertaTokenizer": Class("BPE", _roberta, OLDER),
    "BartTokenizer": Class("BPE", _roberta, OLDER),
    "GPT2Tokenizer": Class("BPE", _gpt2, OLDER),
    "CodeGenTokenizer": Class("BPE", _codegen, OLDER),
    "GPTNeoXTokenizer": Class("BPE", _gpt_neox, OLDER),
    "Qwen2Tokenizer": Class("BPE", _qwen2, OLDER),
    "CohereTokenizer": Class("BPE", _cohere, OLDER),
    "CLIPTokenizer": Class("BPE", _clip, OLDER),
    "WhisperTokenizer": Class("BPE", _whisper, OLDER),
}
