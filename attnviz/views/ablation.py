"""What a model loses without its heads: the heads that are missed most, one head against many,
and what is left as more and more of them go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from attnviz.analysis.ablation import Ablations
from attnviz.analysis.effects import EFFECTS
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.trace.selection import Head
from attnviz.views.head_map import head_maps
from attnviz.views.kinds import (
    CellTone,
    Curves,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    Value,
    View,
    around_zero,
)
from attnviz.views.numbers import share_text, value_text

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


MAX_CHANGES = 4
"""Changed outputs that are shown of a head."""


def setup_lines(taken_out: str, n_text: int, about: str, watched: str) -> list[Line]:
    """What was done, on how many texts, what is right and what is watched there."""
    lines = [Line(taken_out, say("taken out"))]
    if n_text > 1:
        lines.append(Line(say("{n} texts", n=n_text), say("examples")))
    if about:
        lines.append(Line(about, "", "note"))
    if watched:
        lines.append(Line(say("the watched output is {output}", output=watched), "", "note"))
    return lines


def ablation_views(
    top: Text,
    ablations: Ablations,
    setup: Sequence[Line],
    changes: Mapping[Head, Sequence[str]],
    max_rows: int,
) -> list[View]:
    """The model and what was done to it; layers × heads; a table; curves.

    Args:
        top: the model and the text. setup: what was done.
        changes: what the model says instead, without some of the heads.
        max_rows: how many heads the table has at most.
    """
    views: list[View] = [Text((*top.lines, *setup, *_measured(ablations)))]
    change_texts = {head: _changes_text(texts) for head, texts in changes.items()}
    first = ablations.effects[0]
    views += _maps(
        say("{effect}: harm without each head", effect=first), ablations, ablations.without
    )
    if ablations.alone is not None:
        note = say("alone: the other heads of the same attention are taken out")
        title = say("{effect}: harm with each head alone", effect=first)
        views += _maps(title, ablations, ablations.alone, (note,))
    views.append(_table(ablations, change_texts, max_rows))
    if ablations.alone is not None:
        views.append(_one_kept(ablations, ablations.alone))
    if ablations.prunings:
        views.append(_curves(ablations))
    return views


def _changes_text(changes: Sequence[str]) -> str:
    return ", ".join(changes[:MAX_CHANGES]) + (" …" if len(changes) > MAX_CHANGES else "")


def _measured(ablations: Ablations) -> list[Line]:
    """The effects, and what they are of the whole model where that is not 0 by definition."""
    lines = []
    for number, name in enumerate(ablations.effects):
        whole = ablations.intact[number]
        about = say(EFFECTS[name].about or EFFECTS[name].summary)
        if EFFECTS[name].falls:
            about += "; " + say("the whole model has {value}", value=value_text(float(whole)))
        lines.append(Line(about, name))
    return lines


def _maps(
    title: str, ablations: Ablations, values: Array, notes: tuple[str, ...] = ()
) -> list[Heatmap]:
    """Layers × heads of the first effect's harm, a map for each block and kind."""
    harm = ablations.harm(values)[:, 0]
    exponent = _exponent(harm)
    harm = harm * 10.0**-exponent
    scale = around_zero(harm) if (harm < 0).any() else Scale(0.0, float(harm.max(initial=0)))
    power = f"10{str(exponent).translate(SUPERSCRIPTS)}"
    unit = " · " + say("in units of {unit}", unit=power) if exponent else ""
    heads = np.array([head.number for head in ablations.heads])
    maps = list(
        head_maps(
            [head.id for head in ablations.heads], heads, harm, scale, reason=say("not measured")
        )
    )
    return [
        each.heatmap._replace(
            title=("" if len(maps) == 1 else f"{each.block} {each.kind} · ") + title + unit,
            notes=notes,
        )
        for each in maps
    ]


def _table(ablations: Ablations, change_texts: Mapping[Head, str], max_rows: int) -> Table:
    """The heads that are missed most, below the whole model."""
    ranking = ablations.ranking()[:max_rows]
    columns = _columns(ablations, change_texts)
    rows = [tuple(whole for _, whole, _ in columns)]
    rows += [tuple(of(i) for _, _, of in columns) for i in ranking]
    effect, n_head = ablations.effects[0], len(ablations.heads)
    notes = [
        say("share: its part of the harm of all {n} heads, each taken out alone, by {effect}",
            n=n_head, effect=effect)
    ]  # fmt: skip
    if ablations.alone is not None:
        notes.append(
            say("alone: {effect} with only this head of its attention left", effect=effect)
        )
    if ablations.importance is not None:
        notes.append(
            say("importance: E|∂loss/∂ξ|, ξ a factor on the head's context; by central differences")
        )
    if len(ranking) < n_head:
        notes.append(say("{n} of {of} heads; --top shows more", n=len(ranking), of=n_head))
    title = (
        say("heads, the most missed first")
        if ablations.importance is None
        else say("heads, the most important first")
    )
    names = tuple(name for name, _, _ in columns)
    faint: dict[tuple[int, int], CellTone] = {(0, column): "faint" for column in range(len(names))}
    return Table(title, names, tuple(rows), tuple(notes), tones=faint, groups=(1,))


Column = tuple[str, Value, Callable[[int], Value]]
"""Its name, what it says of the whole model, and of the model without the i-th head."""


def _columns(ablations: Ablations, change_texts: Mapping[Head, str]) -> list[Column]:
    heads, first, shares = ablations.heads, ablations.effects[0], ablations.shares()
    alone, gradient = ablations.alone, ablations.importance
    many = len(_groups(heads)) > 1
    columns: list[Column] = [(say("without"), say("nothing"), lambda i: _name(heads[i], many))]
    columns.append((first, float(ablations.intact[0]), lambda i: float(ablations.without[i, 0])))
    columns.append((say("share"), "", lambda i: share_text(shares[i])))
    if alone is not None:
        columns.append((say("alone"), None, lambda i: float(alone[i, 0])))
    if gradient is not None:
        columns.append((say("importance"), None, lambda i: float(gradient[i])))
    if any(change_texts.values()):
        columns.append((say("says instead"), "", lambda i: change_texts.get(heads[i], "")))
    for number, name in enumerate(ablations.effects[1:], 1):
        columns.append((name, float(ablations.intact[number]), partial(_effect, ablations, number)))
    return columns


def _effect(ablations: Ablations, number: int, i: int) -> Value:
    return float(ablations.without[i, number])


def _one_kept(ablations: Ablations, alone: Array) -> Table:
    """Of every attention, the head with which the model does best when it is the only one."""
    harm = ablations.harm(alone)[:, 0]
    rows: list[tuple[Value, ...]] = []
    for id in dict.fromkeys(head.id for head in ablations.heads):
        members = [i for i, head in enumerate(ablations.heads) if head.id == id]
        best = min(members, key=lambda i: harm[i])
        worst = max(members, key=lambda i: harm[i])
        rows.append(
            (id, f"H{ablations.heads[best].number}", float(alone[best, 0]),
             f"H{ablations.heads[worst].number}", float(alone[worst, 0]))
        )  # fmt: skip
    first = ablations.effects[0]
    return Table(
        say("are all heads of an attention better than one?"),
        (say("attention"), say("best alone"), first, say("worst alone"), first),
        tuple(rows),
        (
            say(
                "one head is kept and the others of its attention are taken out; nothing else "
                "changes"
            ),
        ),
    )


def _curves(ablations: Ablations) -> Curves:
    name = ablations.effects[0]
    orders = "; ".join(
        f"{say(pruning.name)}: {say(pruning.about)}" for pruning in ablations.prunings
    )
    return Curves(
        say("{effect} as more and more heads are taken out", effect=name),
        ablations.prunings[0].counts,
        say("heads out"),
        tuple((say(pruning.name), pruning.values[:, 0]) for pruning in ablations.prunings),
        name,
        notes=(
            orders,
            say("the order comes from single heads; it is not computed anew after each removal"),
        ),
    )


def _exponent(values: Array) -> int:
    """A multiple of 3, so that the largest number is from 1 to 1000 in its power of ten; 0 where
    two decimals tell the numbers apart."""
    largest = float(np.abs(values).max(initial=0))
    if largest == 0 or not np.isfinite(largest) or largest >= 0.1:
        return 0
    return int(np.floor(np.log10(largest) / 3)) * 3


def _groups(heads: Sequence[Head]) -> list[tuple[str, str]]:
    """The kinds of attention that the heads are of, (block, kind)."""
    return list(dict.fromkeys(head.id.group for head in heads))


def _name(head: Head, many: bool) -> str:
    """`L0.H2`; `encoder L0.H2`, `cross L0.H2`, where there are many kinds of attention."""
    block, kind = head.id.group
    where = f"{block if kind == 'self' else kind} " if many else ""
    return f"{where}{head.short}"
