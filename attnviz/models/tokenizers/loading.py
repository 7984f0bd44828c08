"""`tokenizer.json` or an older vocabulary, and the files beside it -> `tokenizers.Tokenizer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.json_object import other_kind, read_bytes
from attnviz.models.tokenizers.classes import AS_IT_IS, CLASSES, build, class_name
from attnviz.models.tokenizers.classes.languages import no_language
from attnviz.models.tokenizers.classes.parts import Source
from attnviz.models.tokenizers.names import CONFIG, SERIALIZED
from attnviz.models.tokenizers.package import package_errors, tokenizers_package
from attnviz.models.tokenizers.python_backend import read_python_tokenizer
from attnviz.models.tokenizers.settings import FLAGS, Settings, Token, read_settings
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.models.tokenizers.vocabulary import read_vocabulary
from attnviz.tokens import label

BEGAN = ("LlamaTokenizer", "GemmaTokenizer")
"""Classes that began a text with a token of their own accord before transformers 5."""


class Loaded(NamedTuple):
    """A tokenizer, and what is to be said of how it was loaded."""

    backend: Any
    settings: Settings
    path: Path
    """The file that it was read from."""
    notes: tuple[str, ...] = ()
    alone: Callable[[], Any] | None = None
    """Loads the same `tokenizer.json` without the files beside it, if that is another
    tokenizer."""
    language: str = ""
    """What its texts begin or end with; empty where they name no language."""


def load(
    folder: Path, config: Mapping[str, Any], language: str | None = None
) -> Loaded | Tokenizer | None:
    """The tokenizer of a folder, as transformers reads it; None where it has no file that its
    class is known to read.

    Args:
        language: what its texts are in; None for what the settings say.
    """
    path = folder / SERIALIZED
    backend = read_serialized(path) if path.exists() else None
    settings = read_settings(folder, None if backend is None else _added_tokens(backend))
    name = class_name(settings, config, backend is not None and _is_byte_level(backend))
    if language is not None:
        settings = replace(settings, values={**settings.values, "src_lang": language})
    in_python = read_python_tokenizer(folder, name, settings)
    if in_python is not None:
        return in_python
    if backend is None or (name in CLASSES and CLASSES[name].prefers_older):
        source = read_vocabulary(folder, name, settings)
        notes: tuple[str, ...] = ()
        if source is None and backend is None and name == AS_IT_IS:
            name = settings.text("tokenizer_class").removesuffix("Fast")
            source, notes = read_vocabulary(folder, name, settings), (_before(name),)
        if source is not None:
            return _speaking(_load_older(name, source, settings, notes), name, language)
        if backend is None:
            return None
    return _speaking(_load_serialized(path, name, backend, settings), name, language)


def _speaking(loaded: Loaded, name: str, asked: str | None) -> Loaded:
    """With the language of its texts; raises an error for one that was asked for and is not in
    the vocabulary, and says it of one that nobody asked for."""
    cls = CLASSES.get(name)
    if cls is None or not cls.languages:
        return loaded
    has, path = loaded.backend.token_to_id, loaded.path
    code = loaded.settings.text("src_lang") or cls.speaks
    if has(code) is not None:
        return loaded._replace(language=code)
    if asked is not None:
        raise no_language(path, asked, [each for each in cls.languages if has(each) is not None])
    note = to_say("{file} has no language {code}: it is read as unknown", file=path.name, code=code)
    return loaded._replace(language=code, notes=(*loaded.notes, note))


def _load_serialized(path: Path, name: str, backend: Any, settings: Settings) -> Loaded:
    before, notes = _state(backend), []
    if getattr(backend.model, "dropout", None):
        notes.append(to_say("the dropout of tokenizer.json is ignored: it is only for training"))
    with package_errors(f"{path} cannot be read as {name:.60}", "download it again"):
        built = build(name, Source(backend.model, backend), settings)
        if built is None:
            notes.append(
                to_say(
                    "tokenizer.json is read as it is; {name} of transformers may differ",
                    name=label(name[:60]),
                )
            )
            built = build(AS_IT_IS, Source(backend.model, backend), settings)
        moved = _moved(built, settings)
        after = _state(built)
    if moved:
        notes.append(to_say("{moved}, as in transformers", moved=moved))
    alone = None if after == before else cache(lambda: make_plain(read_serialized(path)))
    return Loaded(built, settings, path, tuple(notes), alone)


def _before(name: str) -> str:
    """That this class reads the file where transformers 5 reads none."""
    return to_say(
        "read as {name}, as transformers 4 did: version 5 does not", name=label(name[:60])
    )


def _load_older(name: str, source: Source, settings: Settings, notes: tuple[str, ...]) -> Loaded:
    path = source.path or Path(settings.where)
    with package_errors(f"{path} cannot be read as {name:.60}", "download it again"):
        backend = build(name, source, settings)
        if backend is None:
            raise AttnvizError(f"{path} has no vocabulary of {name:.60}", "download it again")
        moved = _moved(backend, settings)
    if moved:
        raise AttnvizError(
            f"{path}: {moved}", "the vocabulary belongs to another model: download it again"
        )
    if name in BEGAN and "add_bos_token" not in settings.values:
        note = to_say(
            "nothing is added before a text: {file} has no add_bos_token, without which "
            "transformers 5 adds nothing, and version 4 did",
            file=CONFIG,
        )
        notes = (*notes, note)
    return Loaded(backend, settings, path, notes)


def read_serialized(path: Path) -> Any:
    """The `tokenizers.Tokenizer` in a `tokenizer.json`."""
    tokenizers, content = tokenizers_package(path), read_bytes(path)
    try:
        with package_errors(f"{path} is damaged or not a tokenizer file", "download it again"):
            return tokenizers.Tokenizer.from_buffer(content)
    except AttnvizError as error:
        raise other_kind(path, content) or error from error.__cause__


def make_plain(backend: Any) -> Any:
    """Let a text have all its tokens and no others, the same ones each time."""
    backend.no_padding()
    backend.no_truncation()
    if getattr(backend.model, "dropout", None) is not None:
        backend.model.dropout = None  # leaves out merges at random, while training
    return backend


def _added_tokens(backend: Any) -> dict[int, Token]:
    return {
        id: Token(token.content, tuple(getattr(token, name) for name in FLAGS))
        for id, token in sorted(backend.get_added_tokens_decoder().items())
    }


def _moved(backend: Any, settings: Settings) -> str:
    """Of an added token, that it has another id than the settings give it; empty if none has."""
    for id, (content, _) in settings.added.items():
        if content and backend.token_to_id(content) != id:
            return to_say(
                "the added token {token} has the id {id} in the settings, but {other} in the "
                "vocabulary",
                token=label(f"{content!r:.60}"),
                id=id,
                other=backend.token_to_id(content),
            )
    return ""


def _parts(backend: Any) -> tuple[Any, ...]:
    return backend.normalizer, backend.pre_tokenizer, backend.post_processor


def _is_byte_level(backend: Any) -> bool:
    parts = (*_parts(backend), backend.decoder)
    return any(part is not None and b'"ByteLevel"' in part.__getstate__() for part in parts)


def _state(backend: Any) -> tuple[Any, ...]:
    """All that decides which ids a text has, but the vocabulary."""
    flags = ("unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "max_input_chars_per_word")
    return (
        tuple(None if part is None else part.__getstate__() for part in _parts(backend)),
        tuple(getattr(backend.model, name, None) for name in flags),
        _added_tokens(backend),
        backend.encode_special_tokens,
    )
