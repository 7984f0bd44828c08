"""Files that say all of a tokenizer themselves: `tokenizer.json`, or a `tokenizer.model` of
SentencePiece."""

from __future__ import annotations

from typing import Any

from attnviz.models.tokenizers.classes.parts import Source, complete, named_tokens
from attnviz.models.tokenizers.sentence_piece import SentencePieceModel
from attnviz.models.tokenizers.settings import Settings


def as_it_is(source: Source, settings: Settings) -> Any:
    """The `tokenizers.Tokenizer` that a file says; None where it is of another kind."""
    if source.own is None:
        return complete(source.serialized, source, settings, {}) if source.serialized else None
    default = {name: text for name, (id, text) in source.own.special.items() if id >= 0}
    backend = _backend(source.model, source.own)
    return complete(backend, source, settings, named_tokens(settings, default))


def _backend(model: Any, own: SentencePieceModel) -> Any:
    """What the file says of spaces, and of characters that it lacks."""
    from tokenizers import Tokenizer, decoders, normalizers

    backend = Tokenizer(model)
    before = [normalizers.Precompiled(own.charsmap)] if own.charsmap else []
    backend.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    after = [decoders.ByteFallback(), decoders.Fuse()] if own.byte_fallback else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), *after])
    return backend
