"""Fonts that have the characters of the labels; for those that none has, a word to the user."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

FIRST = "DejaVu Sans"

# a fallback that has no bold letters is used without them, and nobody has to hear of it
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def families(texts: Iterable[str], first: str = FIRST) -> tuple[list[str], tuple[str, ...]]:
    """Font families to try in turn, and warnings that name the scripts no font covers."""
    fonts = [first] if first == FIRST else [first, FIRST]
    missing = {ord(char) for text in texts for char in text if not char.isspace()}
    for family in fonts:
        missing -= _covered(font_manager.findfont(font_manager.FontProperties(family=[family])))
    for path in _others() if missing else ():
        covered = missing & _covered(path)
        if covered:
            font_manager.fontManager.addfont(path)
            fonts.append(font_manager.FontProperties(fname=path).get_name())
            missing -= covered
        if not missing:
            break
    if not missing:
        return fonts, ()
    names = sorted({_script(chr(code)) for code in missing})
    examples = "".join(chr(code) for code in sorted(missing)[:6])
    return fonts, (
        f"no installed font has {', '.join(names)} ({examples}): boxes are drawn instead; "
        "on Debian: apt install fonts-noto-cjk fonts-noto-core",
    )


def without_true_type(names: Iterable[str]) -> list[str]:
    """The families that cannot be embedded as TrueType (Type 42): their letters are cubic curves,
    which some readers of PDF and EPS do not show when they are embedded so."""
    paths = {
        name: font_manager.findfont(font_manager.FontProperties(family=[name])) for name in names
    }
    return [name for name, path in paths.items() if _is_compact(Path(path))]


def _is_compact(path: Path) -> bool:
    """Whether a font, or the first of a collection, is of the Compact Font Format."""
    with path.open("rb") as file:
        start = file.read(16)
        if start[:4] == b"ttcf":
            file.seek(int.from_bytes(start[12:16], "big"))
            start = file.read(4)
    return start[:4] == b"OTTO"


def _others() -> list[str]:
    """All font files of the system, in one order on every run; the largest families last."""
    return sorted(set(font_manager.findSystemFonts()), key=lambda path: path.rsplit("/", 1)[-1])


def _covered(path: str) -> set[int]:
    try:
        return set(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return set()


def _script(char: str) -> str:
    """`CJK UNIFIED`, `DEVANAGARI`: the first words of the character's name."""
    name = unicodedata.name(char, f"U+{ord(char):04X}")
    return (
        name.partition("-")[0].split(" IDEOGRAPH")[0] if name.startswith("CJK") else name.split()[0]
    )
