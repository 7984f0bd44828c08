"""What the page's script says, in the reader's language."""

from __future__ import annotations

import re
from importlib.resources import files

from attnviz.language import translated

MESSAGE = re.compile(r"\bsay\(\s*\"((?:[^\"\\]|\\.)*)\"")


def messages() -> list[str]:
    """Every literal that a script passes to its `say`."""
    scripts = sorted(p.name for p in files(__package__).iterdir() if p.name.endswith(".js"))
    texts = ((files(__package__) / name).read_text("utf-8") for name in scripts)
    return list(dict.fromkeys(found for text in texts for found in MESSAGE.findall(text)))


def words() -> dict[str, str]:
    """Message -> translated, with the fields as they are."""
    return {message: translated(message) for message in messages()}
