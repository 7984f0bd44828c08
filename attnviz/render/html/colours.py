"""The palette as the page's script and style sheet use it."""

from __future__ import annotations

from attnviz.render.palette import (
    BACKGROUNDS,
    COLOURS,
    Background,
    Rgb,
    category,
    diverging,
    sequential,
    xterm,
)

STOPS = 33
"""Colours of a ramp that are named; the script mixes those between them."""

INK = {
    "light": ("#ffffff", "#1a1a1a", "#595959", "#c4c4c4"),
    "dark": ("#121216", "#e8e8e8", "#a8a8a8", "#4c4c4c"),
}
"""Background, text, fainter text, lines."""


def page_colours() -> dict[str, dict[str, object]]:
    """By background all that is coloured, as `#rrggbb`."""
    return {background: _colours(background) for background in BACKGROUNDS}


def _colours(background: Background) -> dict[str, object]:
    ground, ink, faint, line = INK[background]
    theirs = COLOURS[background]
    levels = [i / (STOPS - 1) for i in range(STOPS)]
    ramp = [hexadecimal(sequential(level, background)) for level in levels]
    signed = [hexadecimal(diverging(2 * level - 1, background)) for level in levels]
    ramp[0] = signed[STOPS // 2] = ground  # near zero is the colour of what is behind
    return {
        "background": ground,
        "ink": ink,
        "faint": faint,
        "line": line,
        "sequential": ramp,
        "diverging": signed,
        "masked": hexadecimal(xterm(theirs.masked)),
        "hatch": hexadecimal(xterm(theirs.masked_sign)),
        "broken": hexadecimal(xterm(theirs.broken)),
        "tokens": [hexadecimal(category(i, background)) for i in range(len(theirs.categories))],
    }


def hexadecimal(colour: Rgb) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in colour)
