"""Models: what there is, and one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attnviz.analysis.anatomy import Organ
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
        note = "-m NAME; `attnviz models NAME` tells more. Besides: random, a .toml stack, a folder"
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


def model_views(
    name: str,
    kind: str,
    card: Mapping[str, Any] | None,
    notes: Sequence[str],
    organs: Sequence[Organ],
    total: int,
) -> list[View]:
    """The card, if there is one, and the parts."""
    lines = [Line(f"{name}, {kind}", "model", "head"), *(Line(n, "", "note") for n in notes)]
    views: list[View] = []
    if card is not None:
        lines.append(Line(label(str(card.get("title", ""))), ""))
        lines += [
            Line(label(str(card[key])), term)
            for key, term in (
                ("task_text", "task"),
                ("data", "data"),
                ("data_licence", "licence"),
                ("licence", "weights"),
                ("recipe", "recipe"),
            )
            if card.get(key)
        ]
        seconds = card.get("training_seconds")
        if seconds:
            where = f"on {card.get('threads', 1)} thread, seed {card.get('seed')}"
            lines.append(Line(f"{seconds:.0f} s {label(where)}", "trained"))
        lines += [
            Line(label(str(limit)), "limits" if i == 0 else "", "note")
            for i, limit in enumerate(card.get("limits", ()))
        ]
        views.append(_figures(card))
    rows = tuple((organ.name, organ.what, organ.n_parameter) for organ in organs)
    parts = Table("parts", ("part", "what it is", "parameters"), (*rows, ("all", "", total)))
    return [Text(tuple(lines)), *views, parts]


def _figures(card: Mapping[str, Any]) -> Table:
    told = card.get("figures_text", {})
    rows = tuple(
        (key, value if isinstance(value, int) else float(value), figure_text(told, key))
        for key, value in card.get("figures", {}).items()
        if isinstance(value, int | float)
    )
    return Table("measured", ("figure", "value", "of what"), rows)


def figure_text(told: Mapping[str, Any], figure: str) -> str:
    """What a figure means: the text of its name, or of a pattern that it fits
    (`sample_*`, `alignment.RECORD.HEAD`)."""
    if figure in told:
        return str(told[figure])
    for name, text in told.items():
        if fnmatchcase(figure, name.replace("RECORD.HEAD", "*")):
            return str(text)
    return ""
