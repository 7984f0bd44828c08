"""What the files beside a vocabulary say of a tokenizer, read as transformers 5 reads them.

`tokenizer_config.json` comes first. Where it has no `added_tokens_decoder`, it is older, and
`special_tokens_map.json`, `added_tokens.json` and the tokens of `tokenizer.json` come after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_object
from attnviz.models.tokenizers.names import ADDED, CONFIG, SPECIAL

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""Of special tokens, without `_token`."""

FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
"""Of an added token: how it is recognised in a text."""

MAX_ID = 2**32 - 1
"""The largest id that the package can look up."""


class Token(NamedTuple):
    """A special or added token; `flags` is None where a file has only its text."""

    content: str
    flags: tuple[bool | None, ...] | None = None
    """In the order of FLAGS; what is not said of `normalized` is what a special token is not."""

    @property
    def is_special(self) -> bool:
        return self.flags is None or bool(self.flags[-1])

    def as_special(self) -> Token:
        return self if self.is_special else self._replace(flags=(*(self.flags or ())[:-1], True))


@dataclass(frozen=True)
class Settings:
    """The settings of one tokenizer."""

    values: Mapping[str, Any]
    where: str
    special: Mapping[str, Token | None] = field(default_factory=dict)
    """By name, `bos_token` or a model's own `image_token`; None where a file says `null`."""
    extra: tuple[Token, ...] | None = None
    """Special tokens without a name; None where no file has such a list."""
    additional: tuple[Token, ...] | None = None
    """What `special_tokens_map.json` lists by the older name, which a class may add to."""
    added: Mapping[int, Token] = field(default_factory=dict)
    """By the id that the file gives it."""

    @property
    def cleans_up(self) -> bool:
        """Whether written texts lose the spaces before their punctuation."""
        return self.switch("clean_up_tokenization_spaces", False)

    def switch(self, key: str, default: bool) -> bool:
        value = self.optional_switch(key)
        return default if value is None else value

    def optional_switch(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise wrong(self.where, key, value, "true or false")
        return value

    def text(self, key: str) -> str:
        """A text; empty where there is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise wrong(self.where, key, value, "a text")
        return value or ""


def read_settings(folder: Path, serialized: Mapping[int, Token] | None = None) -> Settings:
    """The settings in a folder.

    Args:
        serialized: the added tokens of its `tokenizer.json`; None if it has no such file.
    """
    where = str(folder / CONFIG)
    values = _object(folder / CONFIG)
    if serialized is not None:  # which has its own rule of what a text begins and ends with
        values.pop("add_bos_token", None)
        values.pop("add_eos_token", None)
    if not values.get("extra_special_tokens"):
        _rename_additional(values)
    of_the_model = _named_extra(values)
    if "added_tokens_decoder" in values:
        added = _decoder(where, values["added_tokens_decoder"])
    else:
        values |= _special_map(folder / SPECIAL)
        of_the_model |= _named_extra(values)
        added = {**_encoder(folder / ADDED, _contents(where, values)), **(serialized or {})}
    by_content = {token.content: token for token in added.values()}
    special, extra = _special(where, values, of_the_model)
    known = {f"{name}_token" for name in NAMES}
    special = {
        key: by_content.get(token.content, token) if token and key in known else token
        for key, token in special.items()
    }
    older = values.get("additional_special_tokens")
    additional = None if older is None else _tokens(where, "additional_special_tokens", older)
    return Settings(values, where, special, extra, additional, dict(sorted(added.items())))


def read_token(where: str, key: str, value: Any, *, special: bool = False) -> Token:
    """A token, which a file writes as a text or as an object."""
    if isinstance(value, str):
        return Token(_writable(where, key, value))
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise wrong(where, key, value, "a token: a text, or an object with its content")
    is_special = value.get("special", False) or special
    flags = {**dict.fromkeys(FLAGS, False), "normalized": None, **value, "special": is_special}
    for name in FLAGS:
        if not isinstance(flags[name], bool) and (name in value or name != "normalized"):
            raise wrong(where, f"{key}.{name}", flags[name], "true or false")
    return Token(_writable(where, key, value["content"]), tuple(flags[name] for name in FLAGS))


def wrong(where: str | Path, key: str, value: Any, expected: str) -> AttnvizError:
    return AttnvizError(f"{where}: {key} = {value!r:.60}, expected {expected}", "download it again")


def check_id(where: str | Path, token: str, id: Any) -> int:
    if type(id) is not int or not 0 <= id <= MAX_ID:
        raise wrong(where, f"the id of {token!r:.60}", id, f"a whole number from 0 to {MAX_ID}")
    return id


def _rename_additional(values: dict[str, Any]) -> None:
    """`additional_special_tokens` is the older name of `extra_special_tokens`."""
    if "additional_special_tokens" in values:
        values["extra_special_tokens"] = values.pop("additional_special_tokens")


def _named_extra(values: dict[str, Any]) -> dict[str, Any]:
    """The special tokens of a model's own, `image_token`, where the extra ones have names."""
    extra = values.get("extra_special_tokens")
    return values.pop("extra_special_tokens") if isinstance(extra, dict) else {}


def _object(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}


def _writable(where: str | Path, key: str, text: str) -> str:
    """A text that UTF-8 can write: one without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise wrong(where, key, text, "characters of Unicode") from None
    return text


def _decoder(where: str, value: Any) -> dict[int, Token]:
    """`added_tokens_decoder`: ids -> tokens."""
    if not isinstance(value, dict):
        raise wrong(where, "added_tokens_decoder", value, "an object of ids and tokens")
    added = {}
    for id, token in value.items():
        key = f"added_tokens_decoder.{id}"
        if not (id.isascii() and id.isdecimal() and len(id) <= 10 and int(id) <= MAX_ID):
            raise wrong(where, "an id in added_tokens_decoder", id, "a whole number")
        if not isinstance(token, dict):
            raise wrong(where, key, token, "an object with its content")
        added[int(id)] = read_token(where, key, token)
    return added


def _special_map(path: Path) -> dict[str, Any]:
    """`special_tokens_map.json`: whatever it has as an object is special."""
    return {
        key: {**value, "special": True}
        if isinstance(value, dict) and key != "extra_special_tokens"
        else value
        for key, value in _object(path).items()
    }


def _encoder(path: Path, special: Sequence[str]) -> dict[int, Token]:
    """`added_tokens.json`: tokens -> ids."""
    added = {}
    for content, id in _object(path).items():
        is_special = content in special
        flags = (False, False, False, not is_special, is_special)
        added[check_id(path, content, id)] = Token(_writable(path, "a token", content), flags)
    return added


def _contents(where: str, values: Mapping[str, Any]) -> list[str]:
    special, extra = _special(where, values)
    named = [special.get(f"{name}_token") for name in NAMES]
    return [token.content for token in (*named, *(extra or ())) if token]


def _special(
    where: str, values: Mapping[str, Any], named: Mapping[str, Any] = MappingProxyType({})
) -> tuple[dict[str, Token | None], tuple[Token, ...] | None]:
    """The special tokens with a name and those without."""
    special: dict[str, Token | None] = {}
    for key in (f"{name}_token" for name in NAMES):
        if key in values:
            value = values[key]
            special[key] = None if value is None else read_token(where, key, value)
    extra = values.get("extra_special_tokens")
    of_the_model = {
        key: value
        for key, value in values.items()
        if key.endswith("_token") and key not in special and isinstance(value, str)
    }
    for key, value in {**of_the_model, **named}.items():
        special[key] = read_token(where, key, value)
    if extra is None:
        return special, None
    return special, _tokens(where, "extra_special_tokens", extra)


def _tokens(where: str, key: str, value: Any) -> tuple[Token, ...]:
    if not isinstance(value, list):
        raise wrong(where, key, value, "a list of tokens")
    return tuple(read_token(where, f"a token of {key}", token) for token in value)
