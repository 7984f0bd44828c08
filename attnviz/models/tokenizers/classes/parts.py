"""What the classes of tokenizers are made of, and the parts that several of them share."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.sentence_piece import (
    CONTROL,
    USER_DEFINED,
    Pieces,
    SentencePieceModel,
)
from attnviz.models.tokenizers.settings import FLAGS, NAMES, Settings, Token

ONLY_SPECIAL = (False, False, False, False, True)
"""Flags of a token that is made of its text alone."""

AFTER_SPACE = (False, True, False, False, True)
"""Flags of a special token that takes the space before it."""

Default = Mapping[str, str | Token]
"""A class's own special tokens, by name without `_token`."""

Named = Mapping[str, Token | None]
"""The special tokens with a name: `bos_token`, …"""


class Source(NamedTuple):
    """What a class is made of."""

    model: Any
    """`tokenizers.models`: vocabulary and merges."""
    serialized: Any = None
    """The `tokenizers.Tokenizer` of a `tokenizer.json`; None where there are older files."""
    own: SentencePieceModel | None = None
    """SentencePiece's own file, where that was read."""
    path: Path | None = None
    """The older file; None for a `tokenizer.json`."""

    def additional(self, settings: Settings, default: Sequence[str] = ()) -> tuple[Token, ...]:
        """The special tokens without a name, where no `extra_special_tokens` list them: of
        SentencePiece's own file its control and user-defined symbols."""
        if self.own is None:
            return (
                tuple(map(Token, default)) if settings.additional is None else settings.additional
            )
        return tuple(
            Token(text, (False, False, False, False, kind == CONTROL))
            for (text, _), kind in zip(self.own.pieces, self.own.types, strict=True)
            if kind in (CONTROL, USER_DEFINED)
        )

    def nameless(self, settings: Settings) -> tuple[Token, ...]:
        """All special tokens without a name."""
        return self.additional(settings) if settings.extra is None else settings.extra


class Class(NamedTuple):
    """How a class makes its tokenizer."""

    kind: str
    """Of its model, as `tokenizers.models` names it."""
    make: Callable[[Source, Settings], Any]
    older: tuple[str, ...] = ()
    """The files older than `tokenizer.json` that it reads; a `tokenizer.model` does as well as
    another file of SentencePiece."""
    pieces: Callable[[Pieces, Settings], Pieces] | None = None
    """The vocabulary of the pieces in a file of SentencePiece; None for the pieces themselves."""
    prefers_older: bool = False
    """Whether transformers reads the older file where there is a `tokenizer.json` too."""
    languages: tuple[str, ...] = ()
    """Of which each text begins or ends with its own, the usual one being `speaks`."""
    speaks: str = ""


def named_tokens(settings: Settings, default: Default) -> dict[str, Token | None]:
    """The special tokens with a name: those of the files, else the class's.

    Args:
        default: the flags of a token also count where a file has its text alone.
    """
    named: dict[str, Token | None] = {}
    for name in NAMES:
        token = default.get(name)
        named[f"{name}_token"] = Token(token) if isinstance(token, str) else token
    for key, found in settings.special.items():
        usual = named.get(key)
        if found is not None and found.flags is None and usual is not None:
            found = found._replace(flags=usual.flags)
        named[key] = found
    return named


def require(source: Source, settings: Settings, special: Named, *names: str) -> None:
    """Raise an error where every text would have a token that an older vocabulary lacks."""
    if source.serialized is not None:
        return
    added = {token.content for token in settings.added.values()}
    for name in names:
        content = text_of(settings, special, name)
        if content not in added and source.model.token_to_id(content) is None:
            raise AttnvizError(
                f"{Path(settings.where).parent}: the vocabulary has no {content!r:.60}",
                "download it again",
            )


def text_of(settings: Settings, special: Named, name: str) -> str:
    token = special.get(f"{name}_token")
    if token is None:
        raise AttnvizError(
            f"{settings.where}: {name}_token is null, but its class needs it", "download it again"
        )
    return token.content


def with_id(backend: Any, settings: Settings, special: Named, name: str) -> tuple[str, int]:
    """A special token with its id."""
    content = text_of(settings, special, name)
    id = backend.token_to_id(content)
    if id is None:
        raise AttnvizError(
            f"{settings.where}: the vocabulary has no {content!r:.60}", "download it again"
        )
    return content, id


def complete(
    backend: Any,
    source: Source,
    settings: Settings,
    special: Named,
    additional: tuple[Token, ...] | None = None,
) -> Any:
    """Add what every class adds: the tokens of the settings, and what a text begins with.

    Args:
        additional: special tokens without a name, where the settings list none.
    """
    special = special or settings.special
    if source.serialized is not None and source.serialized.post_processor is not None:
        backend.post_processor = source.serialized.post_processor
    tokens = list(settings.added.values())
    contents = {token.content for token in backend.get_added_tokens_decoder().values()}
    contents |= {token.content for token in tokens}
    names = {token.content for token in special.values() if token}
    if additional is None:
        additional = source.additional(settings)
    for token in (*special.values(), *(additional if settings.extra is None else settings.extra)):
        if token and token.content not in contents and token not in tokens:
            tokens.append(token)
    backend.add_tokens([added_token(t.as_special() if t.content in names else t) for t in tokens])
    explicit = {"add_bos_token", "add_eos_token"} & settings.values.keys()
    if explicit or backend.post_processor is None:
        surround(backend, settings, special)
    backend.encode_special_tokens = settings.switch("split_special_tokens", False)
    return backend


def added_token(token: Token) -> Any:
    from tokenizers import AddedToken

    flags = ONLY_SPECIAL if token.flags is None else token.flags
    said = {name: flag for name, flag in zip(FLAGS, flags, strict=True) if flag is not None}
    return AddedToken(token.content, **said)


def surround(backend: Any, settings: Settings, special: Named) -> None:
    """Let every text begin and end with the tokens that the settings ask for."""
    around = {}
    for name in ("bos", "eos"):
        if settings.switch(f"add_{name}_token", False) and special.get(f"{name}_token"):
            around[name] = with_id(backend, settings, special, name)

    def template(text: str, segment: int) -> list[str]:
        parts = [around[name][0] for name in ("bos",) if name in around]
        parts += [text, *(around[name][0] for name in ("eos",) if name in around)]
        return [f"{part}:{segment}" for part in parts]

    of_first = template("$A", 0)
    put_around(backend, of_first, [*of_first, *template("$B", 1)], *around.values())


def put_around(
    backend: Any, single: Sequence[str], pair: Sequence[str], *tokens: tuple[str, int]
) -> None:
    """What every text and every pair of texts has around it."""
    from tokenizers import processors

    backend.post_processor = processors.TemplateProcessing(
        single=list(single), pair=list(pair), special_tokens=list(dict(tokens).items())
    )


def set_bpe(
    model: Any,
    *,
    unknown: str | None = None,
    suffix: str = "",
    fuse_unk: bool = False,
    byte_fallback: bool = False,
) -> None:
    model.dropout = None
    model.unk_token = unknown
    model.continuing_subword_prefix = ""
    model.end_of_word_suffix = suffix
    model.fuse_unk = fuse_unk
    model.byte_fallback = byte_fallback
    model.ignore_merges = False


def charsmap_of(source: Source) -> Any:
    """SentencePiece's own normaliser; None if the file has none."""
    from tokenizers import normalizers

    if source.own is not None:
        return normalizers.Precompiled(source.own.charsmap) if source.own.charsmap else None
    normalizer = None if source.serialized is None else source.serialized.normalizer
    if normalizer is None:
        return None
    state = json.loads(normalizer.__getstate__())
    for step in state.get("normalizers", [state]):
        if step["type"] == "Precompiled":
            return normalizers.Precompiled(base64.b64decode(step["precompiled_charsmap"]))
    return None


def metaspace(backend: Any, scheme: str, cuts_at_spaces: bool) -> None:
    """Write `▁` for a space, one before each word (`always`), before the text (`first`) or none.

    Args:
        cuts_at_spaces: whether words are cut at any white space first, which is then lost.
    """
    from tokenizers import decoders, pre_tokenizers

    steps: list[Any] = [pre_tokenizers.WhitespaceSplit()] if cuts_at_spaces else []
    steps.append(pre_tokenizers.Metaspace("▁", scheme))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.Metaspace("▁", scheme)


def one_space(pattern: str = " {2,}") -> Any:
    """The step that writes one space for several."""
    from tokenizers import Regex, normalizers

    return normalizers.Replace(Regex(pattern), " ")
