"""How large what a reader asks for may be."""

from __future__ import annotations

from attnviz.errors import AttnvizError


def check_size(name: str, value: float, least: float, most: float) -> None:
    """Raise AttnvizError unless the option lies between these two, themselves included."""
    if not least <= value <= most:
        raise AttnvizError(
            f"{name}: expected {least:g} to {most:g}, got {value:g}",
            f"write for example {name}={least:g}",
        )


def check_text(n: int, what: str, least: int, most: int) -> None:
    """Raise AttnvizError unless a text has so many `words`, `characters` or `letters`."""
    if not least <= n <= most:
        raise AttnvizError(
            f"text: expected {least} to {most} {what}, got {n}",
            f"a {'longer' if n < least else 'shorter'} text",
        )
