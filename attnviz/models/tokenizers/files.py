"""The tokenizer in a folder, read from whichever of the usual files are there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_object
from attnviz.models.tokenizers.decoder_prompt import read_prompt
from attnviz.models.tokenizers.names import (
    CONVERT,
    MERGES,
    PIECES,
    SENTENCE_PIECE,
    SERIALIZED,
    WORDS,
)
from attnviz.models.tokenizers.tokenizer import DecoderTokenizer, NoTokenizer, Tokenizer

VOCABULARIES = ((SERIALIZED,), (WORDS,), (PIECES, MERGES), *((name,) for name in SENTENCE_PIECE))
"""Files that hold one."""


class Tokenizers(NamedTuple):
    """What reads the text for a checkpoint."""

    source: Tokenizer
    target: Tokenizer | None = None
    """Of an encoder-decoder's decoder."""


def read_tokenizers(folder: Path, config: Mapping[str, Any]) -> Tokenizers:
    """The tokenizers in a folder whose `config.json` says `config`; without their files, those
    that take token ids only."""
    ids = _ids(folder, config)
    begin, end = _first(ids, "decoder_start_token_id"), _first(ids, "eos_token_id")
    is_marian = _holds(folder, "source.spm", "target.spm", PIECES)
    if is_marian and (find_spec("sentencepiece") or not _holds(folder, SERIALIZED)):
        return _marian(folder, begin)
    source = _of_text(folder, config, ids)
    if begin is None and not config.get("is_encoder_decoder"):
        return Tokenizers(source)
    return Tokenizers(source, _of_targets(folder, config, source, begin, end))


def _of_targets(
    folder: Path,
    config: Mapping[str, Any],
    source: Tokenizer,
    begin: int | None,
    end: int | None,
    language: str | None = None,
) -> DecoderTokenizer:
    """What a decoder reads; in a language, if one is given, which its first tokens then name."""
    if language is None or source.spoken is None:
        more, languages = read_prompt(folder, config, language)
        target = DecoderTokenizer(source, begin, end, more, languages)
    else:
        inner, languages = source.in_language(language), {}
        ends_with_it = inner.encode("").ids[-1] == inner.language  # targets of mBART begin with it
        first = (inner.language,) if ends_with_it else (begin, inner.language)
        target = DecoderTokenizer(inner, first[0], end, first[1:])
    if source.spoken is not None or languages:
        target.spoken = partial(_of_targets, folder, config, source, begin, end)
    return target


def _of_text(
    folder: Path,
    config: Mapping[str, Any],
    ids: Mapping[str, list[int]],
    language: str | None = None,
) -> Tokenizer:
    begin, end = _first(ids, "bos_token_id"), _first(ids, "eos_token_id")
    ends = ids.get("eos_token_id", ())
    if not any(_holds(folder, *names) for names in VOCABULARIES):
        return NoTokenizer(*_missing(folder), begin, end, ends)
    from attnviz.models.tokenizers.hugging_face import HFTokenizer
    from attnviz.models.tokenizers.loading import Loaded, load

    loaded = load(folder, config, language)
    if loaded is None:
        return NoTokenizer(*_unread(folder, config), begin, end, ends, _words(folder / WORDS))
    spoken = partial(_of_text, folder, config, ids)
    if not isinstance(loaded, Loaded):
        if loaded.language is not None:
            loaded.spoken = spoken
        return loaded
    if end is None:
        token = loaded.settings.special.get("eos_token")
        end = loaded.backend.token_to_id(token.content) if token else None
    tokenizer = HFTokenizer(loaded.backend, begin, end, str(loaded.path), ends, loaded)
    if loaded.language:
        tokenizer.spoken = spoken
        tokenizer.language = loaded.backend.token_to_id(loaded.language)
    return tokenizer


def _marian(folder: Path, begin: int | None) -> Tokenizers:
    from attnviz.models.tokenizers.python_backend import read_marian
    from attnviz.models.tokenizers.settings import read_settings

    settings = read_settings(folder)
    source = read_marian(folder / "source.spm", folder / PIECES, settings)
    separate = settings.switch("separate_vocabs", False)
    vocabulary = folder / ("target_vocab.json" if separate else PIECES)
    target = read_marian(folder / "target.spm", vocabulary, settings)
    return Tokenizers(source, DecoderTokenizer(target, begin, target.end))


def _missing(folder: Path) -> tuple[str, str]:
    """That there is no tokenizer to read, and what to do."""
    return (
        f"{folder} has no tokenizer.json, so it cannot read text",
        "put tokenizer.json there, or give token ids: --ids 101,1045,102",
    )


def _words(path: Path) -> list[str]:
    """The words of a vocabulary, one a line, if there is one."""
    try:
        return path.read_text("utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError):
        return []


def _unread(folder: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """That what there is is not known to be a tokenizer's, and what to do."""
    name = next(names[0] for names in VOCABULARIES if _holds(folder, *names))
    return (
        f"{folder} has {name} and no {SERIALIZED}, and how the tokenizer of "
        f"{config.get('model_type')} reads it is not known",
        f"{CONVERT}; or give token ids: --ids 101,1045,102",
    )


def _ids(folder: Path, config: Mapping[str, Any]) -> dict[str, list[int]]:
    """The ids of first and last tokens: what generation_config.json says, else config.json."""
    path = folder / "generation_config.json"
    files = [(folder / "config.json", config)]
    if path.exists():
        files.append((path, read_object(path)))
    ids_of: dict[str, list[int]] = {}
    for file, settings in files:
        for key in ("bos_token_id", "eos_token_id", "decoder_start_token_id"):
            value = settings.get(key)
            ids: list[Any] = value if isinstance(value, list) else [value]
            if not all(type(id) is int for id in ids) and value is not None:
                raise AttnvizError(
                    f"{file}: {key} = {value!r:.60}, expected an id or a list of ids",
                    "download it again",
                )
            if ids and value is not None:
                ids_of[key] = ids
    return ids_of


def _first(ids: Mapping[str, list[int]], key: str) -> int | None:
    return ids[key][0] if key in ids else None


def _holds(folder: Path, *names: str) -> bool:
    return all((folder / name).exists() for name in names)
