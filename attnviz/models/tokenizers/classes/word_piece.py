"""Classes that cut words into pieces of a list, `##` before those that continue one; or that read
whole entries only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from attnviz.models.tokenizers.classes.parts import (
    AFTER_SPACE,
    Class,
    Default,
    Source,
    complete,
    named_tokens,
    put_around,
    require,
    text_of,
    with_id,
)
from attnviz.models.tokenizers.names import WORDS
from attnviz.models.tokenizers.settings import Settings, Token

BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}

MPNET: Default = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "[UNK]",
         "pad": "<pad>", "mask": Token("<mask>", AFTER_SPACE)}  # fmt: skip
ESM = {"unk": "<unk>", "cls": "<cls>", "pad": "<pad>", "mask": "<mask>", "eos": "<eos>"}

WHITE = (
    r"[\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]+"
)
"""White space as Python splits at it."""


def _word_piece(source: Source, settings: Settings, special: dict[str, Token | None]) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    require(source, settings, special, "sep", "cls")
    source.model.unk_token = text_of(settings, special, "unk")
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
    return complete(backend, source, settings, special)


def _bert(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = named_tokens(settings, BERT)
    backend = _word_piece(source, settings, special)
    backend.post_processor = processors.BertProcessing(
        with_id(backend, settings, special, "sep"), with_id(backend, settings, special, "cls")
    )
    return backend


def _mpnet(source: Source, settings: Settings) -> Any:
    from tokenizers import processors

    special = named_tokens(settings, MPNET)
    backend = _word_piece(source, settings, special)
    sep, cls = (with_id(backend, settings, special, name) for name in ("sep", "cls"))
    backend.post_processor = processors.RobertaProcessing(sep, cls, True, False)
    return backend


def _esm(source: Source, settings: Settings) -> Any:
    """Amino acids, a letter each: what no entry spells is unknown, up to the next space."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    settings = _without_flags(settings)
    special = named_tokens(settings, ESM)
    require(source, settings, special, "unk", "cls")
    source.model.unk_token = text_of(settings, special, "unk")
    backend = Tokenizer(source.model)
    entries = sorted(backend.get_vocab(), key=len, reverse=True)
    escaped = "|".join(
        "".join(f"\\x{{{ord(char):x}}}" for char in entry) for entry in entries if entry
    )
    steps = [pre_tokenizers.Split(Regex(WHITE), "removed")]
    splits = settings.switch("split_special_tokens", False)
    if not splits:
        steps.insert(0, pre_tokenizers.Split(Regex(escaped), "isolated"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    complete(backend, source, settings, special)
    if splits:  # at white space only: added tokens are words then
        backend.model = models.WordLevel(backend.get_vocab(), source.model.unk_token)
    first = with_id(backend, settings, special, "cls")
    if special["eos_token"] is None:
        put_around(backend, [first[0], "$A"], [first[0], "$A", "$B"], first)
        return backend
    end = with_id(backend, settings, special, "eos")
    single = [first[0], "$A", end[0]]
    put_around(backend, single, [*single, "$B", end[0]], first, end)
    return backend


def _without_flags(settings: Settings) -> Settings:
    """Special tokens as their texts alone: what a class that runs in Python keeps of them."""

    def texts(tokens: tuple[Token, ...] | None) -> tuple[Token, ...] | None:
        return None if tokens is None else tuple(Token(token.content) for token in tokens)

    special = {name: token and Token(token.content) for name, token in settings.special.items()}
    extra, additional = texts(settings.extra), texts(settings.additional)
    return replace(settings, special=special, extra=extra, additional=additional)


CLASSES = {
    **dict.fromkeys(
        ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"),
        Class("WordPiece", _bert, (WORDS,)),
    ),
    "MPNetTokenizer": Class("WordPiece", _mpnet, (WORDS,)),
    "EsmTokenizer": Class("WordLevel", _esm, (WORDS,), prefers_older=True),
}
