"""Markdown: tables that any viewer shows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from attnviz.render.hatches import HATCHES
from attnviz.views.kinds import (
    Curves,
    Grid,
    Heatmap,
    Links,
    Picture,
    Table,
    Text,
    View,
)
from attnviz.views.numbers import short
from attnviz.views.pooling import pool

MAX_COLUMNS = 32

ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()<>#+-!|$~&"})

COMMAND = "$ attnviz "
NUMBERED, UNNUMBERED = re.compile(r"^(\d+)\."), r"\1\\."
"""A number that would begin a list."""

WORD = re.compile(r"([^\s`|]+)")
ACTIVE = re.compile(
    r"://|www\.|mailto:|xmpp:|@|#\d|\bGH-\d|:[\w+-]+:"
    r"|\w\.(?:com|org|net|edu|gov|biz|info|name|shop|pro|web|asia|coop|aero|museum|xxx|[a-z]{2})(?![a-z\d])",
    re.IGNORECASE,
)
"""In a word that viewers make a link, a mention or an emoji of, even where it is escaped: GitHub
looks for them in what comes out. Only code is left alone."""


def render(views: Sequence[View]) -> tuple[bytes, tuple[str, ...]]:
    parts = [_view(view) for view in views]
    return ("\n\n".join(part for part in parts if part) + "\n").encode(), ()


def _view(view: View) -> str:
    if isinstance(view, Heatmap):
        return _heatmap(view)
    if isinstance(view, Grid):
        panels = "\n\n".join(_heatmap(panel) for panel in view.present())
        return _section(view.title, panels, view.notes)
    if isinstance(view, Links):
        return _links(view)
    if isinstance(view, Picture):
        image = _heatmap(view.heatmap("the image, brightness 0 to 1", view.grey()))
        panels = "\n\n".join([image, *(_heatmap(panel) for panel in view.grid().present())])
        return _section(view.title, panels, view.notes)
    if isinstance(view, Table):
        rows = [[escaped(text) for text in row] for row in view.texts()]
        words = [i for i, is_words in enumerate(view.is_words()) if is_words]
        table = _pipes([escaped(c) for c in view.columns], rows, words)
        return _section(view.title, table, view.notes)
    if isinstance(view, Curves):
        names = [view.x_name, *(name for name, _ in view.series)]
        columns = [view.x, *(y for _, y in view.series)]
        rows = [[short(float(v)) for v in row] for row in zip(*columns, strict=True)]
        return _section(view.title, _pipes([escaped(name) for name in names], rows), view.notes)
    return _text(view)


def _text(text: Text) -> str:
    """Terms as a list, each with the lines up to the next; prose, which has none, as a heading and
    paragraphs."""
    if not any(line.term for line in text.lines):
        heads = ("## " if line.tone == "head" else "" for line in text.lines)
        return "\n\n".join(
            head + escaped(line.text) for head, line in zip(heads, text.lines, strict=True)
        )
    items: list[str] = []
    for line in text.lines:
        shown = _command(line.text) if line.text.startswith(COMMAND) else escaped(line.text)
        if line.term:
            items.append(f"- **{escaped(line.term)}**: {shown}")
        elif items:
            items[-1] += f"  \n  {NUMBERED.sub(UNNUMBERED, shown)}"
        else:
            items.append(f"- {shown}")
    return "\n".join(items)


def _command(text: str) -> str:
    """What one types, as code, without the prompt; its quotes are longer than any in it."""
    command = text.removeprefix("$ ")
    if "`" not in command:
        return f"`{command}`"
    quotes = "`" * (1 + max(map(len, re.findall("`+", command))))
    return f"{quotes} {command} {quotes}"


def _links(links: Links) -> str:
    """The lines as rows, the heaviest first for each token on the right."""
    rows = [
        [
            _name(links.right.index(i), links.right.labels[i]),
            _name(links.left.index(j), links.left.labels[j]),
            f"{weight:.3f}",
        ]
        for i, j, weight in sorted(links.lines(), key=lambda line: (line[0], -line[2]))
    ]
    head = [escaped(links.right.name), escaped(links.left.name), "weight"]
    return _section(links.title, _pipes(head, rows), links.all_notes())


def _heatmap(heatmap: Heatmap) -> str:
    step = -(-max(heatmap.values.shape) // MAX_COLUMNS)
    n_row, n_column = heatmap.values.shape
    heatmap = pool(heatmap, min(step, n_row), min(step, n_column))
    head = [f"{escaped(heatmap.rows.name)} ╲ {escaped(heatmap.columns.name)}"]
    head += [
        _name(heatmap.columns.index(j), label) for j, label in enumerate(heatmap.columns.labels)
    ]
    rows = [
        [_name(heatmap.rows.index(i), label), *(_cell(heatmap, i, j) for j in range(len(head) - 1))]
        for i, label in enumerate(heatmap.rows.labels)
    ]
    return _section(heatmap.title, _pipes(head, rows), (*heatmap.notes, *_reasons(heatmap)))


def _cell(heatmap: Heatmap, row: int, column: int) -> str:
    reason = 0 if heatmap.masked is None else int(heatmap.masked[row, column])
    if reason:
        return HATCHES[heatmap.hatch(reason)].sign
    decimals = 3 if np.abs(heatmap.values[np.isfinite(heatmap.values)]).max(initial=0) < 100 else 1
    return heatmap.scale.number(float(heatmap.values[row, column]), decimals)


def _reasons(heatmap: Heatmap) -> tuple[str, ...]:
    by_sign: dict[str, list[str]] = {}
    for name, hatch in heatmap.masked_by().items():
        by_sign.setdefault(HATCHES[hatch].sign, []).append(name)
    return tuple(f"{sign} masked: {', '.join(names)}" for sign, names in by_sign.items())


def _section(title: str, body: str, notes: Sequence[str]) -> str:
    lines = [f"### {escaped(title)}", "", body]
    if notes:
        lines += ["", *(f"*{escaped(note)}*  " for note in notes)]
    return "\n".join(lines)


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """A table whose columns stand to the right, but for those of words."""
    rule = ["---" if i in words else "---:" for i in range(len(head))]
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _name(index: str, label: str) -> str:
    return f"{index} {escaped(label)}" if label else index


def escaped(text: str) -> str:
    """Text that a viewer shows as it is, and that does nothing."""
    return "".join(
        f"`{part}`" if ACTIVE.search(part) else part.translate(ESCAPED) for part in WORD.split(text)
    )
