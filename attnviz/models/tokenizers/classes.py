"""The tokenizer classes of transformers 5, and which of them a folder is read with.

Most classes take only the vocabulary, the merges and sometimes the post-processor of a
`tokenizer.json`, and set its other parts anew from `tokenizer_config.json`. What is built here
gives the same ids. Source: transformers 5.23, `models/auto/tokenization_auto.py`,
`tokenization_utils_tokenizers.py` and `models/*/tokenization_*.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.tokenizers.settings import FLAGS, NAMES, Settings, Token

AS_IT_IS = "TokenizersBackend"
"""Reads a `tokenizer.json` as it is."""

LOADED_AS_IT_IS = ("TokenizersBackend", "PythonBackend", "PreTrainedTokenizer", "BloomTokenizer")

MISNAMED = ("qwen2",)
"""Families whose checkpoints name a class that transformers does not believe."""

ONLY_SPECIAL = (False, False, False, False, True)
"""Flags of a token that is made of its text alone."""

BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>",
           "pad": "<pad>", "mask": "<mask>"}  # fmt: skip
ALBERT = {"bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "sep": "[SEP]", "pad": "<pad>",
          "cls": "[CLS]", "mask": "[MASK]"}  # fmt: skip
GPT2 = {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}
GPT_NEOX = {**GPT2, "pad": "<|padding|>"}
QWEN2 = {"unk": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>"}
LLAMA = {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}
GEMMA = {"unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "pad": "<pad>", "mask": "<mask>"}
T5 = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}

N_SENTINEL = 100
"""T5's `<extra_id_0>` to `<extra_id_99>`, if nothing else is said."""

QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


Special = Mapping[str, Token | None]
"""The special tokens with a name: `bos_token`, …"""


class Source(NamedTuple):
    """What a class is made of."""

    model: Any
    """`tokenizers.models`: vocabulary and merges."""
    serialized: Any = None
    """The `tokenizers.Tokenizer` of a `tokenizer.json`; None where there are older files."""


def class_name(settings: Settings, config: Mapping[str, Any], is_byte_level: bool = False) -> str:
    """The class that `AutoTokenizer` takes.

    Args:
        is_byte_level: whether a `tokenizer.json` names the step `ByteLevel`.
    """
    family = str(config.get("model_type"))
    usual = _usual_class(family)
    named = settings.text("tokenizer_class") or config.get("tokenizer_class")
    if not isinstance(named, str):
        return usual or AS_IT_IS
    named = named.removesuffix("Fast")
    if named == "LlamaTokenizer" and is_byte_level and family not in MISNAMED:
        return AS_IT_IS
    if usual == AS_IT_IS or named in LOADED_AS_IT_IS:
        return usual if usual and family in MISNAMED else AS_IT_IS
    return usual if usual and family in MISNAMED else named


def build(name: str, source: Source, settings: Settings) -> Any:
    """The `tokenizers.Tokenizer` of a class; None where the class is not known here, or is made
    of another kind of model than this."""
    if name == AS_IT_IS:
        return _complete(source.serialized, source, settings, {}) if source.serialized else None
    if name not in CLASSES or type(source.model).__name__ != CLASSES[name].kind:
        return None
    return CLASSES[name].make(source, settings)


def _usual_class(family: str) -> str | None:
    """The class of a family's checkpoints that name none."""
    name = family_name(family)
    return getattr(FAMILIES[name], "TOKENIZER", None) if name in FAMILIES else None


def _bert(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors

    special = _special(settings, BERT)
    _require(source, settings, special, "sep", "cls")
    source.model.unk_token = _text(settings, special, "unk")
    source.model.continuing_subword_prefix = "##"
    source.model.max_input_chars_per_word = 100
    backend = Tokenizer(source.model)
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.switch("tokenize_chinese_chars", True),
        strip_accents=settings.optional_switch("strip_accents"),
        lowercase=settings.switch("do_lower_case", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    _complete(backend, source, settings, special)
    backend.post_processor = processors.BertProcessing(
        _with_id(backend, settings, special, "sep"), _with_id(backend, settings, special, "cls")
    )
    return backend


def _roberta(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = _special(settings, ROBERTA)
    _require(source, settings, special, "sep", "cls")
    backend = _complete(_byte_level(source, settings), source, settings, special)
    backend.post_processor = processors.RobertaProcessing(
        _with_id(backend, settings, special, "sep"),
        _with_id(backend, settings, special, "cls"),
        settings.switch("trim_offsets", True),
        settings.switch("add_prefix_space", False),
    )
    return backend


def _gpt2(source: Source, settings: Settings) -> Any:
    return _complete(_byte_level(source, settings), source, settings, _special(settings, GPT2))


def _gpt_neox(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers

    backend = _byte_level(source, settings)
    backend.normalizer = normalizers.NFC()
    special = _special(settings, GPT_NEOX)
    _complete(backend, source, settings, special)
    _surround(backend, settings, special)
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
    special = _special(settings, QWEN2)
    _complete(backend, source, settings, special)
    every = dict.fromkeys(t.content for t in (*special.values(), *(settings.extra or ())) if t)
    backend.add_tokens([_added_token(Token(content, ONLY_SPECIAL)) for content in every])
    return backend


def _llama(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    _set_bpe(source.model, fuse_unk=True, byte_fallback=True)
    backend = Tokenizer(source.model)
    prefix = settings.switch("add_prefix_space", True)
    scheme = "always" if settings.switch("legacy", False) else "first"
    backend.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement="▁", prepend_scheme=scheme if prefix else "never", split=False
    )
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(steps)
    return _complete(backend, source, settings, _special(settings, LLAMA))


def _gemma(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    special = _special(settings, GEMMA)
    _set_bpe(source.model, fuse_unk=True, byte_fallback=True)
    source.model.unk_token = _text(settings, special, "unk")
    backend = Tokenizer(source.model)
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _complete(backend, source, settings, special)


def _t5(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = _special(settings, T5)
    _require(source, settings, special, "eos")
    backend = _unigram(source, unknown=2, prefix=True)
    backend.normalizer = _charsmap(source)
    count = settings.values.get("extra_ids", N_SENTINEL)
    if type(count) is not int or not 0 <= count <= 10_000:
        raise AttnvizError(f"{settings.where}: extra_ids = {count!r:.60}", "extra_ids = 100")
    sentinels = tuple(Token(f"<extra_id_{number}>") for number in range(count))
    _complete(
        backend, source, settings, special, sentinels if settings.extra is None else settings.extra
    )
    end = _with_id(backend, settings, special, "eos")[1]
    backend.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"],
        pair=["$A", "</s>", "$B", "</s>"],
        special_tokens=[("</s>", end)],
    )
    return backend


def _albert(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers, processors

    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.switch("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.switch("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    charsmap = _charsmap(source)
    backend = _unigram(source, unknown=1, prefix=settings.switch("add_prefix_space", True))
    backend.normalizer = normalizers.Sequence([*steps, *([charsmap] if charsmap else [])])
    special = _special(settings, ALBERT)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[
            ("[CLS]", _with_id(backend, settings, special, "cls")[1]),
            ("[SEP]", _with_id(backend, settings, special, "sep")[1]),
        ],
    )
    return _complete(backend, source, settings, special)


def _xlm_roberta(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = _special(settings, ROBERTA)
    _require(source, settings, special, "bos", "eos")
    backend = _unigram(source, unknown=3, prefix=settings.switch("add_prefix_space", True))
    backend.normalizer = _charsmap(source)
    _complete(backend, source, settings, special)
    begin = _with_id(backend, settings, special, "bos")
    end = _with_id(backend, settings, special, "eos")
    backend.post_processor = processors.TemplateProcessing(
        single=[begin[0], "$A", end[0]],
        pair=[begin[0], "$A", end[0], end[0], "$B", end[0]],
        special_tokens=[begin, end],
    )
    return backend


class Class(NamedTuple):
    """How a class makes its tokenizer."""

    kind: str
    """Of its model, as `tokenizers.models` names it."""
    make: Callable[[Source, Settings], Any]
    reads_older: bool = False
    """Whether it reads vocabularies older than `tokenizer.json`."""


CLASSES: dict[str, Class] = {
    "BertTokenizer": Class("WordPiece", _bert, True),
    "DistilBertTokenizer": Class("WordPiece", _bert, True),
    "ElectraTokenizer": Class("WordPiece", _bert, True),
    "RobertaTokenizer": Class("BPE", _roberta, True),
    "BartTokenizer": Class("BPE", _roberta, True),
    "GPT2Tokenizer": Class("BPE", _gpt2, True),
    "GPTNeoXTokenizer": Class("BPE", _gpt_neox, True),
    "Qwen2Tokenizer": Class("BPE", _qwen2, True),
    "LlamaTokenizer": Class("BPE", _llama),
    "GemmaTokenizer": Class("BPE", _gemma),
    "T5Tokenizer": Class("Unigram", _t5),
    "AlbertTokenizer": Class("Unigram", _albert),
    "XLMRobertaTokenizer": Class("Unigram", _xlm_roberta),
}


def _byte_level(source: Source, settings: Settings) -> Any:
    """GPT-2's way to cut words into bytes and these into pieces."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    _set_bpe(source.model)
    backend = Tokenizer(source.model)
    prefix = settings.switch("add_prefix_space", False)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    return backend


def _set_bpe(model: Any, *, fuse_unk: bool = False, byte_fallback: bool = False) -> None:
    model.dropout = None
    model.unk_token = None
    model.continuing_subword_prefix = ""
    model.end_of_word_suffix = ""
    model.fuse_unk = fuse_unk
    model.byte_fallback = byte_fallback
    model.ignore_merges = False


def _unigram(source: Source, unknown: int, prefix: bool) -> Any:
    """SentencePiece's way to cut words, with the unknown token's id that the class expects."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    model = source.model
    state = json.loads(model.__getstate__())
    if (state["unk_id"], state["byte_fallback"]) != (unknown, False):
        model = models.Unigram([tuple(entry) for entry in state["vocab"]], unknown, False)
    scheme = "always" if prefix else "never"
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", scheme)]
    )
    backend.decoder = decoders.Metaspace("▁", scheme)
    return backend


def _charsmap(source: Source) -> Any:
    """SentencePiece's own normaliser, if the `tokenizer.json` has it."""
    from tokenizers import normalizers

    normalizer = None if source.serialized is None else source.serialized.normalizer
    if normalizer is None:
        return None
    state = json.loads(normalizer.__getstate__())
    for step in state.get("normalizers", [state]):
        if step["type"] == "Precompiled":
            return normalizers.Precompiled(base64.b64decode(step["precompiled_charsmap"]))
    return None


def _special(settings: Settings, default: Mapping[str, str]) -> dict[str, Token | None]:
    """The special tokens with a name: those of the files, else the class's."""
    named: dict[str, Token | None] = {
        f"{name}_token": Token(default[name]) if name in default else None for name in NAMES
    }
    return {**named, **settings.special}


def _require(source: Source, settings: Settings, special: Special, *names: str) -> None:
    """Raise an error where every text would have a token that an older vocabulary lacks."""
    if source.serialized is not None:
        return
    added = {token.content for token in settings.added.values()}
    for name in names:
        content = _text(settings, special, name)
        if content not in added and source.model.token_to_id(content) is None:
            raise AttnvizError(
                f"{Path(settings.where).parent}: the vocabulary has no {content!r:.60}",
                "download it again",
            )


def _text(settings: Settings, special: Special, name: str) -> str:
    token = special.get(f"{name}_token")
    if token is None:
        raise AttnvizError(
            f"{settings.where}: {name}_token is null, but its class needs it", "download it again"
        )
    return token.content


def _with_id(backend: Any, settings: Settings, special: Special, name: str) -> tuple[str, int]:
    """A special token with its id."""
    content = _text(settings, special, name)
    id = backend.token_to_id(content)
    if id is None:
        raise AttnvizError(
            f"{settings.where}: the vocabulary has no {content!r:.60}", "download it again"
        )
    return content, id


def _complete(
    backend: Any,
    source: Source,
    settings: Settings,
    special: Special,
    extra: tuple[Token, ...] | None = None,
) -> Any:
    """Add what every class adds: the tokens of the settings, and what a text begins with."""
    special = special or settings.special
    if source.serialized is not None and source.serialized.post_processor is not None:
        backend.post_processor = source.serialized.post_processor
    tokens = list(settings.added.values())
    contents = {token.content for token in backend.get_added_tokens_decoder().values()}
    contents |= {token.content for token in tokens}
    names = {token.content for token in special.values() if token}
    for token in (*special.values(), *(settings.extra or () if extra is None else extra)):
        if token and token.content not in contents and token not in tokens:
            tokens.append(token)
    backend.add_tokens([_added_token(t.as_special() if t.content in names else t) for t in tokens])
    explicit = {"add_bos_token", "add_eos_token"} & settings.values.keys()
    if explicit or backend.post_processor is None:
        _surround(backend, settings, special)
    backend.encode_special_tokens = settings.switch("split_special_tokens", False)
    return backend


def _added_token(token: Token) -> Any:
    from tokenizers import AddedToken

    flags = ONLY_SPECIAL if token.flags is None else token.flags
    return AddedToken(token.content, **dict(zip(FLAGS, flags, strict=True)))


def _surround(backend: Any, settings: Settings, special: Special) -> None:
    """Let every text begin and end with the tokens that the settings ask for."""
    from tokenizers import processors

    around = {}
    for name in ("bos", "eos"):
        if settings.switch(f"add_{name}_token", False) and special.get(f"{name}_token"):
            around[name] = _with_id(backend, settings, special, name)

    def template(text: str, segment: int) -> list[str]:
        parts = [around[name][0] for name in ("bos",) if name in around]
        parts += [text, *(around[name][0] for name in ("eos",) if name in around)]
        return [f"{part}:{segment}" for part in parts]

    backend.post_processor = processors.TemplateProcessing(
        single=template("$A", 0),
        pair=[*template("$A", 0), *template("$B", 1)],
        special_tokens=list(around.values()),
    )
