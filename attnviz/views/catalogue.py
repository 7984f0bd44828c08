"""Models: what there is, and one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz.tokens import label
from attnviz.views.kinds import Line, Table, Text, Value, View


def catalogue_views(
    own: Sequence[tuple[str, Mapping[str, Any]]],
    found: Sequence[tuple[str, str, bool]],
    looked_in: Sequence[str],
) -> list[View]:
    """The packaged models, and the checkpoints in the places that were looked at.

    Args:
        own: (name, card). found: (what `-m` takes, family, whether it is supported).
    """
    views: list[View] = []
    if own:
        rows = tuple(
            (name, str(card.get("title", "")), card.get("n_parameter")) for name, card in own
        )
        note = (
            "-m NAME; `attnviz models NAME` tells more. Besides: random, a .toml stack, a folder, "
            "a .gguf file, org/name; `attnviz models FOLDER` looks for checkpoints"
        )
        views.append(Table("packaged", ("name", "what it does", "parameters"), rows, (note,)))
    if found:
        rows_found: tuple[tuple[Value, ...], ...] = tuple(
            (label(name), label(family), "yes" if supported else "not yet")
            for name, family, supported in found
        )
        views.append(Table("found on this machine", ("-m", "family", "supported"), rows_found))
    else:
        places = ", ".join(label(place) for place in looked_in)
        views.append(Text((Line(f"no checkpoints in {places}", "found"),)))
    return views
