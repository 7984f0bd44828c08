"""What is shown, in the reader's language: every text of a view goes through `say`.

One catalogue a language, through gettext. What programs read (JSON, CSV, errors, names of options)
is English always.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError

LOCALES = Path(__file__).parent / "locale"
DOMAIN = "attnviz"
SOURCE = "en"
"""The language of the messages themselves."""

Translate = Callable[[str], str]

_TRANSLATE: ContextVar[Translate] = ContextVar("translate", default=str)
_LANGUAGE: ContextVar[str] = ContextVar("language", default=SOURCE)


class Note(str):
    """A message with its fields filled, in English as data keep it; `say` says it in the reader's
    language."""

    message: str
    fields: Mapping[str, Any]


def say(message: str, /, **fields: Any) -> str:
    """A message in the reader's language, with its fields filled: `say("{n} keys", n=4)`.

    The message is a literal, which `python -m tests.catalogue` collects for the translators, or
    comes from `to_say`. One that a catalogue lacks stays English; without fields, as it is.
    """
    if isinstance(message, Note):
        fields = {k: say(v) if isinstance(v, Note) else v for k, v in message.fields.items()}
        message = message.message
    text = translated(message)
    return text.format(**fields) if fields else text


def translated(message: str) -> str:
    """A message in the reader's language, its fields not filled."""
    return _TRANSLATE.get()(message) if message else ""  # gettext has a header under ""


def language() -> str:
    """The reader's language: `en`, `zh`."""
    return _LANGUAGE.get()


def to_say(message: str, /, **fields: Any) -> str:
    """A literal that is passed to `say` later: a constant, what a registry's entry knows, or, with
    its fields, a note that data keep."""
    if not fields:
        return message
    note = Note(message.format(**fields))
    note.message, note.fields = message, fields
    return note


@contextmanager
def speaking(language: str | Translate) -> Iterator[None]:
    """Everything inside is said in a language, or as a function translates it.

    Raises:
        AttnvizError: there is no such language.
    """
    named = isinstance(language, str)
    token = _TRANSLATE.set(_translator(language) if isinstance(language, str) else language)
    name = _LANGUAGE.set(str(language) if named else SOURCE)
    try:
        yield
    finally:
        _TRANSLATE.reset(token)
        _LANGUAGE.reset(name)


def speak(language: str) -> None:
    """The same from here on: for a process that has one reader."""
    _TRANSLATE.set(_translator(language))
    _LANGUAGE.set(language)


def languages() -> list[str]:
    """What `--lang` takes."""
    return [SOURCE, *sorted(path.name for path in LOCALES.glob("*") if path.is_dir())]


def language_of(environment: Mapping[str, str] = os.environ) -> str:
    """The reader's language by `LC_ALL`, `LC_MESSAGES` or `LANG`: `zh` for `zh_CN.UTF-8`."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    name = next((value for name in names if (value := environment.get(name))), "")
    if name in ("", "C", "C.UTF-8", "POSIX"):
        return SOURCE
    name = name.partition("_")[0].partition(".")[0].lower()
    return name if name in languages() else SOURCE


@cache
def _translator(language: str) -> Translate:
    if language == SOURCE:
        return str
    if language not in languages():
        raise AttnvizError(f"--lang: unknown language {language!r}", ", ".join(languages()))
    import gettext

    return gettext.translation(DOMAIN, LOCALES, [language]).gettext
