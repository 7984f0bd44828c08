"""What lessons say, in the reader's language. One catalogue a language, through gettext."""

from __future__ import annotations

import gettext
from pathlib import Path
from typing import Any, Protocol

from attnviz.errors import AttnvizError

LOCALES = Path(__file__).parents[1] / "locale"
DOMAIN = "lessons"
SOURCE = "en"
"""The language of the messages themselves."""


class Say(Protocol):
    """A message in the reader's language, with its fields filled: `say("{n} keys", n=4)`."""

    def __call__(self, message: str, /, **fields: Any) -> str: ...


def languages() -> list[str]:
    """What `--lang` takes."""
    return [SOURCE, *sorted(path.name for path in LOCALES.glob("*") if path.is_dir())]


def speak(language: str = SOURCE) -> Say:
    """How to say things in a language. A message that its catalogue lacks stays English."""
    if language not in languages():
        raise AttnvizError(f"--lang: unknown language {language!r}", ", ".join(languages()))
    catalogue = gettext.translation(DOMAIN, LOCALES, [language], fallback=language == SOURCE)

    def say(message: str, /, **fields: Any) -> str:
        return catalogue.gettext(message).format(**fields)

    return say
