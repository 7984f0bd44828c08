"""Classes of SentencePiece that merge pairs of pieces."""

from __future__ import annotations

from typing import Any

from attnviz.models.tokenizers.classes.languages import NLLB, language_of
from attnviz.models.tokenizers.classes.parts import (
    Class,
    Default,
    Source,
    charsmap_of,
    complete,
    named_tokens,
    one_space,
    put_around,
    set_bpe,
    text_of,
    with_id,
)
from attnviz.models.tokenizers.names import SENTENCE_PIECE
from attnviz.models.tokenizers.sentence_piece import Pieces
from attnviz.models.tokenizers.settings import Settings, Token

LLAMA = {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}
GEMMA = {"unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "pad": "<pad>", "mask": "<mask>"}
MASK = Token("<mask>", (False, True, False, True, True))
NLLB_TOKENS: Default = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>",
                        "pad": "<pad>", "mask": MASK}  # fmt: skip


def _llama(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers

    set_bpe(source.model, fuse_unk=True, byte_fallback=True)
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
    return complete(backend, source, settings, named_tokens(settings, LLAMA))


def _gemma(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    special = named_tokens(settings, GEMMA)
    unknown = text_of(settings, special, "unk")
    set_bpe(source.model, unknown=unknown, fuse_unk=True, byte_fallback=True)
    backend = Tokenizer(source.model)
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return complete(backend, source, settings, special)


def _nllb(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    special = named_tokens(settings, NLLB_TOKENS)
    set_bpe(source.model, unknown=text_of(settings, special, "unk"), fuse_unk=True)
    backend = Tokenizer(source.model)
    charsmap = charsmap_of(source)
    if charsmap:
        backend.normalizer = normalizers.Sequence([charsmap, one_space()])
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    backend.decoder = decoders.Metaspace("▁", "always")
    complete(backend, source, settings, special, source.additional(settings, NLLB))
    end = with_id(backend, settings, special, "eos")
    language = language_of(backend, settings, special, "eng_Latn")
    if settings.switch("legacy_behaviour", False):
        single, pair = ["$A", end[0], language[0]], ["$A", "$B", end[0], language[0]]
    else:
        single, pair = [language[0], "$A", end[0]], [language[0], "$A", "$B", end[0]]
    put_around(backend, single, pair, end, language)
    return backend


def _fairseq(found: Pieces, settings: Settings) -> Pieces:
    """The order of fairseq: four special tokens, then the others of the file."""
    usual = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
    first = [settings.special.get(f"{name}_token") or Token(text) for name, text in usual.items()]
    scores = dict.fromkeys((token.content for token in first), 0.0)
    return list({**scores, **dict(found), **scores}.items())


CLASSES = {
    "LlamaTokenizer": Class("BPE", _llama, SENTENCE_PIECE[:1]),
    "GemmaTokenizer": Class("BPE", _gemma, SENTENCE_PIECE[:1]),
    "NllbTokenizer": Class(
        "BPE", _nllb, SENTENCE_PIECE[2:3], _fairseq, languages=NLLB, speaks="eng_Latn"
    ),
}
