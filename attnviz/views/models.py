"""Models: which there are, and one in full: what it is, how it attends, what it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attnviz.analysis.layers import LayerGroup, ranges
from attnviz.analysis.parameters import Component, together
from attnviz.language import say
from attnviz.tokens import label
from attnviz.views.kinds import Line, Table, Text, Value, View
from attnviz.views.numbers import in_bytes

CARD_TERMS = (
    ("task_text", "task"),
    ("data", "data"),
    ("data_licence", "licence"),
    ("licence", "weights"),
    ("recipe", "recipe"),
)


def catalogue_views(
    packaged: Sequence[tuple[str, Mapping[str, Any]]],
    checkpoints: Sequence[tuple[str, str, bool]],
    folders: Sequence[str],
) -> list[View]:
    """The packaged models, and the checkpoints in the folders that were searched.

    Args:
        packaged: (name, card). checkpoints: (what `-m` takes, family, whether it is supported).
    """
    views: list[View] = []
    if packaged:
        rows = tuple(
            (name, str(card.get("title", "")), card.get("n_parameter")) for name, card in packaged
        )
        note = (
            "-m NAME; `attnviz models NAME` tells more. Besides: random, a .toml stack, a folder, "
            "a .gguf file, org/name; `attnviz models FOLDER` looks for checkpoints"
        )
        views.append(Table("packaged", ("name", "what it does", "parameters"), rows, (note,)))
    if checkpoints:
        rows_of_checkpoints: tuple[tuple[Value, ...], ...] = tuple(
            (label(name), label(family), "yes" if supported else "not yet")
            for name, family, supported in checkpoints
        )
        views.append(
            Table("found on this machine", ("-m", "family", "supported"), rows_of_checkpoints)
        )
    else:
        searched = ", ".join(label(folder) for folder in folders)
        views.append(Text((Line(f"no checkpoints in {searched}", "found"),)))
    return views


def model_views(
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    card: Mapping[str, Any] | None,
    groups: Sequence[LayerGroup],
    memory: Sequence[tuple[int, int]],
    components: Sequence[Component],
    total: int,
) -> list[View]:
    """What is known of a model.

    Args:
        facts: (term, text). card: of a packaged model.
        memory: (number of tokens, bytes that a run keeping all weights takes).
        total: the parameters of the model.
    """
    lines = [
        Line(label(text), term, "head" if i == 0 else "plain")
        for i, (term, text) in enumerate(facts)
    ]
    lines += [Line(label(say(note)), "", "note") for note in notes]
    if card is not None:
        lines += _card_lines(card)
    views: list[View] = [Text(tuple(lines))]
    if card is not None:
        views.append(_figures(card))
    if groups:
        views.append(_attention(groups))
        views.append(_memory(memory))
    return [*views, _parts(components, total)]


def _card_lines(card: Mapping[str, Any]) -> list[Line]:
    lines = [Line(label(str(card.get("title", ""))), "")]
    lines += [Line(label(str(card[key])), term) for key, term in CARD_TERMS if card.get(key)]
    seconds = card.get("training_seconds")
    if seconds:
        where = f"on {card.get('threads', 1)} thread, seed {card.get('seed')}"
        lines.append(Line(f"{seconds:.0f} s {label(where)}", "trained"))
    return lines + [
        Line(label(str(limit)), "limits" if i == 0 else "", "note")
        for i, limit in enumerate(card.get("limits", ()))
    ]


def _attention(groups: Sequence[LayerGroup]) -> Table:
    rows = tuple(
        (
            f"{group.block} {group.kind}",
            ranges(group.layers),
            group.n_head,
            group.sharing,
            ", ".join(group.mask) or "none",
            _score(group),
        )
        for group in groups
    )
    return Table("attention", ("where", "layers", "heads", "keys/values", "mask", "score"), rows)


def _score(group: LayerGroup) -> str:
    scale = "" if group.scale is None else f" × {group.scale:.4g}"
    name = "dot" if group.score == "scaled_dot" else group.score
    cap = "" if group.softcap is None else f", capped at ±{group.softcap:g}"
    return f"{name}{scale}{cap}"


def _memory(memory: Sequence[tuple[int, int]]) -> Table:
    rows = tuple((n, in_bytes(n_byte)) for n, n_byte in memory)
    note = "of a run that keeps the weights of all heads, beside the model; -s keeps fewer"
    return Table("memory", ("tokens", "needed"), rows, (note,))


def _parts(components: Sequence[Component], total: int) -> Table:
    rows = [
        (component.name, component.what, component.n_parameter)
        for component in together(components)
    ]
    rest = total - sum(component.n_parameter for component in components)
    if rest:
        rows.append(("", "rows of tables that stand for no token", rest))
    return Table("parts", ("part", "what it is", "parameters"), (*rows, ("all", "", total)))


def _figures(card: Mapping[str, Any]) -> Table:
    texts = card.get("figures_text", {})
    rows = tuple(
        (key, value if isinstance(value, int) else float(value), figure_text(texts, key))
        for key, value in card.get("figures", {}).items()
        if isinstance(value, int | float)
    )
    return Table("measured", ("figure", "value", "of what"), rows)


def figure_text(texts: Mapping[str, Any], figure: str) -> str:
    """What a figure means: the text of its name, or of a pattern that it fits
    (`sample_*`, `alignment.RECORD.HEAD`)."""
    if figure in texts:
        return str(texts[figure])
    for name, text in texts.items():
        if fnmatchcase(figure, name.replace("RECORD.HEAD", "*")):
            return str(text)
    return ""
