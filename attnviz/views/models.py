"""Models: which there are, and one in full: what it is, how it attends, what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from attnviz.analysis.layers import LayerGroup, ranges
from attnviz.analysis.parameters import Component, together
from attnviz.language import say, to_say
from attnviz.tokens import label
from attnviz.views.kinds import Line, Table, Text, Value, View, verdicts
from attnviz.views.numbers import in_bytes

CARD_TERMS = (
    ("task_text", to_say("task")),
    ("data", to_say("data")),
    ("data_licence", to_say("licence")),
    ("licence", to_say("weights")),
    ("recipe", to_say("recipe")),
)

CLAUSE = re.compile(r"(.{40,}?)(?:[.;:](?= [A-Z\d])|; |: |\.$)|(.{16,}?)[。；：]")
"""The first clause of a text, English or Chinese: what a summary has room for."""


LONGEST = 40
"""Characters of a name in a command."""


class About(NamedTuple):
    """What is known of a model."""

    name: str
    """What `-m` takes."""
    facts: Sequence[tuple[str, str]]
    """(term, text), the model itself first."""
    notes: Sequence[str]
    card: Mapping[str, Any] | None
    """Of a packaged model."""
    groups: Sequence[LayerGroup]
    memory: Sequence[tuple[int, int]]
    """(number of tokens, bytes that a run keeping all weights takes)."""
    components: Sequence[Component]
    total: int
    """The parameters of the model."""
    commands: Sequence[str]
    """What it can be asked: `run TEXT`."""


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
            (name, say(str(card.get("title", ""))), card.get("n_parameter"))
            for name, card in packaged
        )
        note = say(
            "-m NAME; `attnviz models NAME` tells more. Besides: random, a .toml stack, a folder, "
            "a .gguf file, org/name; `attnviz models FOLDER` looks for checkpoints"
        )
        columns = (say("name"), say("what it does"), say("parameters"))
        views.append(Table(say("packaged"), columns, rows, (note,)))
    if checkpoints:
        rows_of_checkpoints: tuple[tuple[Value, ...], ...] = tuple(
            (label(name), label(family), say("yes") if supported else say("no"))
            for name, family, supported in checkpoints
        )
        columns = ("-m", say("family"), say("supported"))
        tones = verdicts(2, (supported for *_, supported in checkpoints))
        views.append(Table(say("found on this machine"), columns, rows_of_checkpoints, tones=tones))
    else:
        searched = ", ".join(label(folder) for folder in folders)
        nothing = say("no checkpoints in {folders}", folders=searched)
        views.append(Text((Line(nothing, say("found")),)))
    return views


def summary_view(about: About) -> Text:
    """A model on one screen: what it is and what it can be asked, its size, what it was trained
    on and how well it does, how it attends, what it needs."""
    card = about.card or {}
    usual = (say("family"), say("verified")) if about.card is not None else ()
    lines = [line for line in _facts(about) if not line.term or line.term not in usual]
    if title := card.get("title"):
        lines.insert(1, Line(label(say(str(title)))))
    commands = (f"attnviz {each} -m {_typed(about.name)}" for each in about.commands)
    lines.append(Line("  ".join(c.replace(" ", "\u00a0") for c in commands), say("ask it")))
    lines += [
        Line(_clause(card[key]), say(term))
        for key, term in (("task_text", to_say("task")), ("data", to_say("trained on")))
        if card.get(key)
    ]
    if card.get("licence"):
        data = _clause(card.get("data_licence", ""))
        licence = label(str(card["licence"]))
        lines.append(
            Line(say("{licence}; data: {data}", licence=licence, data=data), say("licence"))
        )
    if figures := list(_measured(card))[:1]:
        ((name, value, what),) = figures
        lines.append(Line(f"{label(name)} {value}: {_clause(what)}", say("measured")))
    if card.get("limits"):
        lines.append(Line(_clause(card["limits"][0]), say("limits"), "note"))
    lines += _attention_lines(about.groups)
    needed = (
        say("{n} tokens {size}", n=n, size=in_bytes(size)).replace(" ", "\u00a0")
        for n, size in about.memory
    )
    if about.groups:
        lines.append(Line("  ".join(needed), say("memory")))
    more = say(
        "attnviz models {name} --card: all that is known of it, part by part",
        name=_typed(about.name),
    )
    return Text((*lines, Line(label(more), say("more"), "note")))


def _typed(name: str) -> str:
    """What `-m` takes, in a command; a long path stands for itself."""
    return label(name) if len(name) <= LONGEST else say("MODEL")


def _facts(about: About) -> list[Line]:
    lines = [
        Line(label(text), term, "head" if i == 0 else "plain")
        for i, (term, text) in enumerate(about.facts)
    ]
    return lines + [Line(label(say(note)), "", "note") for note in about.notes]


def _clause(text: object) -> str:
    """The first clause, in the reader's language, without what ends it."""
    said = say(str(text))
    match = CLAUSE.match(said)
    return label(match[match.lastindex or 0] if match else said)


def _attention_lines(groups: Sequence[LayerGroup]) -> list[Line]:
    """`encoder self: layers 0-1, 4 heads, …`, a line a group."""
    return [
        Line(f"{group.block} {group.kind}: {', '.join(_parts_of(group))}",
             "" if number else say("attention"))
        for number, group in enumerate(groups)
    ]  # fmt: skip


def _parts_of(group: LayerGroup) -> Iterator[str]:
    """What is to be said of attentions that are alike; not what is usual."""
    which = ranges(group.layers)
    one = len(group.layers) == 1
    yield say("layer {layer}", layer=which) if one else say("layers {layers}", layers=which)
    yield say("{n} heads", n=group.n_head)
    if group.n_kv_head != group.n_head:
        yield say("keys/values {sharing}", sharing=group.sharing)
    if group.mask:
        yield say("mask {mask}", mask="+".join(group.mask))
    yield _score(group)


def model_views(about: About) -> list[View]:
    """All that is known of a model."""
    lines, card = _facts(about), about.card
    views: list[View] = [Text((*lines, *(_card_lines(card) if card is not None else ())))]
    if card is not None:
        columns = (say("figure"), say("value"), say("of what"))
        views.append(Table(say("measured"), columns, tuple(_measured(card))))
    if about.groups:
        views.append(_attention(about.groups))
        views.append(_memory(about.memory))
    return [*views, _parts(about.components, about.total)]


def _card_lines(card: Mapping[str, Any]) -> list[Line]:
    lines = [Line(label(say(str(card.get("title", "")))), "")]
    lines += [
        Line(label(say(str(card[key]))), say(term)) for key, term in CARD_TERMS if card.get(key)
    ]
    seconds = card.get("training_seconds")
    if seconds:
        trained = say(
            "{seconds:.0f} s on {n} thread, seed {seed}",
            seconds=seconds, n=card.get("threads", 1), seed=card.get("seed"),
        )  # fmt: skip
        lines.append(Line(label(trained), say("trained")))
    return lines + [
        Line(label(say(str(limit))), say("limits") if i == 0 else "", "note")
        for i, limit in enumerate(card.get("limits", ()))
    ]


def _attention(groups: Sequence[LayerGroup]) -> Table:
    rows = tuple(
        (
            f"{group.block} {group.kind}",
            ranges(group.layers),
            group.n_head,
            group.sharing,
            ", ".join(group.mask) or say("none"),
            _score(group),
        )
        for group in groups
    )
    columns = (say("where"), say("layers"), say("heads"), say("keys/values"), say("mask"))
    return Table(say("attention"), (*columns, say("score")), rows)


def _score(group: LayerGroup) -> str:
    scale = "" if group.scale is None else f" × {group.scale:.4g}"
    name = "dot" if group.score == "scaled_dot" else group.score
    cap = "" if group.softcap is None else say(", capped at ±{cap:g}", cap=group.softcap)
    return f"{name}{scale}{cap}"


def _memory(memory: Sequence[tuple[int, int]]) -> Table:
    rows = tuple((n, in_bytes(n_byte)) for n, n_byte in memory)
    note = say("of a run that keeps the weights of all heads, beside the model; -s keeps fewer")
    return Table(say("memory"), (say("tokens"), say("needed")), rows, (note,))


def _parts(components: Sequence[Component], total: int) -> Table:
    rows = [
        (component.name, component.what, component.n_parameter)
        for component in together(components)
    ]
    rest = total - sum(component.n_parameter for component in components)
    if rest:
        rows.append(("", say("rows of tables that stand for no token"), rest))
    columns = (say("part"), say("what it is"), say("parameters"))
    all_of_it = (say("all"), "", total)
    return Table(say("parts"), columns, (*rows, all_of_it), groups=(len(rows),))


def _measured(card: Mapping[str, Any]) -> Iterator[tuple[str, int | float, str]]:
    """Every figure of a card, and what it is of."""
    texts = card.get("figures_text", {})
    for key, value in card.get("figures", {}).items():
        if isinstance(value, int | float):
            number = value if isinstance(value, int) else float(value)
            yield key, number, say(figure_text(texts, key))


def figure_text(texts: Mapping[str, Any], figure: str) -> str:
    """What a figure means: the text of its name, or of a pattern that it fits
    (`sample_*`, `alignment.RECORD.HEAD`)."""
    if figure in texts:
        return str(texts[figure])
    for name, text in texts.items():
        if fnmatchcase(figure, name.replace("RECORD.HEAD", "*")):
            return str(text)
    return ""
