"""Two traces: what both have, how far the heads differ, the most different ones whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.agreement import (
    broken,
    cell_names,
    cell_text,
    counted,
    hidden_once,
    lacking,
    place_text,
    streams_text,
)
from attnviz.analysis.align import Alignment, Step
from attnviz.analysis.difference import (
    REASONS,
    Difference,
    HeadDifference,
    Matrix,
    matrix,
)
from attnviz.language import say, to_say
from attnviz.nn.masks import Hatch
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head
from attnviz.views.answer import answer_lines
from attnviz.views.attention import (
    ATTENTIONS,
    MAX_TOKENS,
    STAGES,
    model_line,
    tokens_line,
)
from attnviz.views.head_map import head_maps
from attnviz.views.kinds import (
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    Value,
    View,
    around_zero,
)
from attnviz.views.matrices import token_axis

ROWS = 12
"""Heads in the table; of the others the largest difference is named."""

CONTEXT = 3
"""Shared tokens that are shown around others, where a text is long."""

SMALL = 0.05
"""Differences below it are drawn in units of a power of ten: two decimals would show zeros."""

MATRIX = "-difference"
"""The end of the name of a head's matrix, for files."""

HATCHES: tuple[Hatch, ...] = ("dashed", "falling", "rising", "crossed")
"""Of the REASONS, in their order."""


def difference_views(
    a: Trace, b: Trace, difference: Difference, names: tuple[str, str], top: int
) -> list[View]:
    """Both sides and their tokens, the verdict, all heads at a glance, and as numbers; the `top`
    most different ones as matrices.

    Args:
        names: of the files that A and B were read from; empty for what was run.
    """
    ranked = difference.ranked
    views: list[View] = [_header(a, b, difference, names), _verdict(a, b, difference)]
    if len(ranked) > 1 and any(head.differs for head in ranked):
        views += _overviews(difference)
    views.append(_table(a, b, difference, max(top, ROWS)))
    return views + _matrices(a, b, difference, [head for head in ranked if head.differs][:top])


def _header(a: Trace, b: Trace, difference: Difference, names: tuple[str, str]) -> Text:
    lines = []
    for term, trace, name in zip("AB", (a, b), names, strict=True):
        is_named = not name or trace.model.is_array  # by the line of the model itself
        about = model_line(trace) if is_named else f"{label(name)} · {model_line(trace)}"
        lines.append(Line(about, term, "head"))
        lines += [Line(label(say(note)), "", "note") for note in trace.model.notes]
        lines += answer_lines(trace)
    single = len(difference.alignments) == 1
    for streams, alignment in difference.alignments.items():
        term = say("tokens") if single else streams_text(streams)
        tokens = a.streams[streams[0]], b.streams[streams[1]]
        lines += tokens_lines(*tokens, alignment, term)
    return Text(tuple(lines))


def tokens_lines(a: Tokens, b: Tokens, alignment: Alignment, term: str) -> list[Line]:
    """The tokens of both: `0 I  -1 saw  +1 see`; what is left out of a long text is said."""
    if alignment.whole:
        line = tokens_line(a, term)
        renamed = say("B's tokens have other names: they are compared by position")
        return [line] if a.labels == b.labels else [line, Line(renamed, "", "note")]
    steps = list(alignment.steps())
    words: list[str] = []
    faint = set()
    for number in _shown(steps):
        step = None if number is None else steps[number]
        if step is None or step.kind == "same":
            faint.add(2 * len(words))
        words += ["…"] if step is None else _step_words(step, a, b)
    rest = len(words) - MAX_TOKENS
    text = "  ".join(words[:MAX_TOKENS]) + (
        "  " + say("… and {n} more", n=rest) if rest > 0 else ""
    )
    signs = say("-: only in A, +: only in B; their rows and columns are not compared")
    moved = say("4/5: position 4 in A, 5 in B") if alignment.moved else ""
    note = "; ".join(filter(None, (signs, moved)))
    return [Line(text, term, faint=frozenset(faint)), Line(note, "", "note")]


def _shown(steps: Sequence[Step]) -> list[int | None]:
    """All steps of a short text; of a long one those around a change, None for what is between."""
    changed = np.array([step.kind != "same" for step in steps])
    if len(steps) <= MAX_TOKENS:
        return list(range(len(steps)))
    near = np.convolve(changed, np.ones(2 * CONTEXT + 1, int), "same") > 0
    shown: list[int | None] = []
    for number, is_near in enumerate(near):
        if is_near:
            shown.append(number)
        elif not shown or shown[-1] is not None:
            shown.append(None)
    return shown


def _step_words(step: Step, a: Tokens, b: Tokens) -> list[str]:
    if step.a is not None and step.b is not None and step.kind == "same":
        return [f"{place_text(step.a, step.b)}\u00a0{a.labels[step.a]}"]
    left = [] if step.a is None else [f"-{step.a}\u00a0{a.labels[step.a]}"]
    right = [] if step.b is None else [f"+{step.b}\u00a0{b.labels[step.b]}"]
    return left + right


def _verdict(a: Trace, b: Trace, difference: Difference) -> Text:
    """What was compared, and the worst of it."""
    heads = difference.heads
    worst = max(heads, key=lambda head: head.largest)
    n_cell = sum(head.n_cell for head in heads)
    what = say(
        "{cells} of {heads}", cells=counted(n_cell, "cell"), heads=counted(len(heads), "head")
    )
    if not n_cell:
        verdict = say("nothing to compare: no cell is a number on both sides")
    elif worst.at is None:
        verdict = say("no difference in {what}", what=what)
    else:
        verdict = say(
            "the largest difference in {what} is {largest:.3g}: {where}",
            what=what,
            largest=worst.largest,
            where=f"{worst.pair.name} {cell_text(a, b, worst, worst.at)}",
        )
    lines = [Line(verdict, "B - A", "head")]
    if not difference.whole and difference.stage == "weights":
        lines.append(
            Line(
                say(
                    "keys that only one side has are left out, so rows need not sum to 1; "
                    "variation and divergence are computed without them"
                ),
                "",
                "note",
            )
        )
    if masked := hidden_once(difference):
        counted_as = say("they count as weights of 0") if difference.stage == "weights" else ""
        lines.append(Line("; ".join(filter(None, (masked, counted_as))), "", "warning"))
    warnings = broken(a, b, difference) + lacking(difference)
    lines += [Line(text, say("warning"), "warning") for text in warnings]
    return Text(tuple(lines))


def _overviews(difference: Difference) -> list[Heatmap]:
    """Layers × heads of A, one for each block and kind."""
    heads = [head.pair.a for head in difference.heads]
    sizes = np.array([head.largest for head in difference.heads])
    unit = _unit(sizes)
    scale = Scale(0.0, float(sizes[np.isfinite(sizes)].max(initial=0)) / unit)
    maps = head_maps(
        [head.id for head in heads],
        np.array([head.number for head in heads]),
        np.where([head.n_broken > 0 for head in difference.heads], np.nan, sizes / unit),
        scale,
        reason=say("not compared"),
    )
    return [
        each.heatmap._replace(
            title=" · ".join(
                filter(
                    None,
                    (
                        _where(heads[each.rows[0]]),
                        say("largest |B - A| of each head"),
                        _in_units(unit),
                    ),
                )
            ),
            pooling="largest",
        )
        for each in maps
        if len(each.rows) > 1
    ]


def _table(a: Trace, b: Trace, difference: Difference, count: int) -> Table:
    """The most different heads first."""
    ranked = difference.ranked
    pairs = [each.pair for each in ranked]
    blocks = [{_where(pair.a) for pair in pairs}, {_where(pair.b) for pair in pairs}]
    short = all(len(names) == 1 for names in blocks)
    of_rows = (to_say("variation"), to_say("divergence")) if difference.stage == "weights" else ()
    rows = tuple(_row(a, b, head, short, bool(of_rows)) for head in ranked[:count])
    notes = [say("RMS: root of the mean of (B - A)²")]
    if of_rows:
        notes.append(
            say(
                "variation: ½ Σ |B - A| of a row; divergence: Jensen-Shannon, in nats, at most "
                "ln 2 = 0.693; both are means over the rows"
            )
        )
        if any(head.variation is None for head in ranked[:count]):
            notes.append(say("neither is given where rows are not distributions over the keys"))
    if rest := ranked[count:]:
        largest = max(head.largest for head in rest)
        notes.append(
            say("the other {n} differ by {largest:.3g} at most", n=counted(len(rest), "head"),
                largest=largest)
        )  # fmt: skip
    stage = say(STAGES.get(difference.stage, difference.stage))
    title = say("heads, most different first") + f" · {stage}"
    if short:
        title += " · " + " | ".join(dict.fromkeys(names.pop() for names in blocks))
    columns = (say("head"), say("largest"), say("query"), say("key"), "A", "B", "RMS",
               *map(say, of_rows))  # fmt: skip
    return Table(title, columns, rows, tuple(notes))


def _row(
    a: Trace, b: Trace, head: HeadDifference, short: bool, with_rows: bool
) -> tuple[Value, ...]:
    """NaN is the largest difference that there is."""
    names = [each.short if short else str(each) for each in (head.pair.a, head.pair.b)]
    cell = head.broken or head.at
    tokens = ("", "") if cell is None else cell_names(a, b, head, cell)
    values = (None, None) if cell is None else (cell.a, cell.b)
    of_rows = (head.variation, head.divergence) if with_rows else ()
    largest = float("nan") if head.broken else head.largest
    return (" | ".join(dict.fromkeys(names)), largest, *tokens, *values, head.rms, *of_rows)


def _matrices(
    a: Trace, b: Trace, difference: Difference, heads: Sequence[HeadDifference]
) -> list[Heatmap]:
    """B less A of some heads, all on one scale around zero."""
    matrices = [matrix(a, b, difference, head.pair) for head in heads]
    unit = _unit(np.concatenate([np.zeros(0), *(each.values.ravel() for each in matrices)]))
    scale = around_zero(*(each.values / unit for each in matrices))
    return [
        _matrix(a, difference.stage, head, each, unit, scale)
        for head, each in zip(heads, matrices, strict=True)
    ]


def _matrix(
    a: Trace, stage: str, head: HeadDifference, cells: Matrix, unit: float, scale: Scale
) -> Heatmap:
    record = a[head.pair.a.id]
    return Heatmap(
        title=" · ".join(
            filter(None, (head.pair.name, say(STAGES.get(stage, stage)), "B - A", _in_units(unit)))
        ),
        values=cells.values / unit,
        rows=token_axis(to_say("query"), a.streams[record.queries]),
        columns=token_axis(to_say("key"), a.streams[record.keys]),
        scale=scale,
        masked=cells.reasons,
        reasons=tuple(say(reason) for reason in REASONS),
        hatches=HATCHES,
        pooling="largest",
        name=f"{head.pair.name}{MATRIX}",
    )


def _unit(values: Array) -> float:
    """1, or a power of ten for values that are all small."""
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0))
    return 1.0 if largest == 0 or largest >= SMALL else 10.0 ** np.floor(np.log10(largest))


def _in_units(unit: float) -> str:
    return "" if unit == 1 else say("in units of {unit:g}", unit=unit)


def _where(head: Head) -> str:
    """`encoder self-attention`."""
    block, kind = head.id.group
    return (
        say(ATTENTIONS[block, kind]) if (block, kind) in ATTENTIONS else f"{block} {kind}-attention"
    )
