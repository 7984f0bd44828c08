"""The attention of a trace: the model, all heads at a glance, the most informative in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from attnviz.analysis.checks import findings
from attnviz.analysis.informative import HeadInformation, choose_heads, information_of_heads
from attnviz.analysis.visibility import empty_rows
from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.head_map import information_maps
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Grid,
    Heatmap,
    Line,
    Scale,
    Text,
    View,
    around_zero,
)
from attnviz.views.numbers import short

By = Literal["all", "row", "head", "log"]
SCALES: tuple[By, ...] = ("all", "row", "head", "log")

MATRIX_STAGES = ("weights", "scores", "logits")

TOP = 2

MAX_PANELS = 200
"""Heads whose matrices fit into one overview."""


def attention_views(
    trace: Trace,
    selection: Selection,
    *,
    top: int = TOP,
    stage: str = "weights",
    by: By = "all",
    progress: Callable[[int, int], None] | None = None,
) -> list[View]:
    """The model and tokens, an overview of the selected heads, and some of them as matrices:
    all selected ones if they are few, else the `top` most informative."""
    if stage not in MATRIX_STAGES:
        raise AttnvizError(f"cannot draw {stage!r}", f"known: {', '.join(MATRIX_STAGES)}")
    selection.check(list(trace))
    if not trace.records:
        return [header(trace)]
    records = [record for record in trace if selection.covers(record)]
    for record in records:
        record.stage(stage)
    scale = stage_scale(records, stage, by)
    chosen = choose_heads(records, selection, top, progress)
    views: list[View] = [header(trace)]
    if len(chosen.heads) > 1 or not chosen.are_all:
        views += overviews(trace, records, selection, stage, scale, chosen.information)
    for head in chosen.heads:
        notes = _information_notes(head, is_most=not chosen.are_all)
        views.append(head_heatmap(trace, trace[head.id], head.head, stage, scale, notes))
    if text := findings_text(trace, selection):
        views.append(text)
    return views


def header(trace: Trace) -> Text:
    """The model, what is to be known of it, and the tokens."""
    lines = [Line(model_line(trace), "model", "head")]
    lines += [Line(label(note), "", "note") for note in trace.model.notes]
    for name, tokens in trace.streams.items():
        term = "tokens" if len(trace.streams) == 1 else name
        lines.append(tokens_line(tokens, term))
        if tokens.tags:
            lines.append(Line(tags_line(tokens), "tags", "head"))
        if tokens.unknown:
            lines.append(Line(unknown_line(tokens), "", "warning"))
    lines += marks_lines(*trace.streams.values())
    if not trace.records and not trace.model.has_attention:
        lines.append(Line("this model has no attention: there are no weights to show", "", "note"))
    return Text(tuple(lines))


def model_line(trace: Trace) -> str:
    """`random encoder · 2 layers × 4 heads · d_model 32 · seed 0`."""
    model = trace.model
    if model.is_array and not trace.records:  # what was measured of a plain file of weights
        return label(model.name)
    if model.is_array:
        record = trace.records[0]
        layers, heads = _counted(len(trace), "layer"), _counted(record.n_head, "head")
        n_q, n_k = (len(trace.streams[name]) for name in (record.queries, record.keys))
        return f"{label(model.name)} · {layers} × {heads} · {n_q} queries × {n_k} keys"
    shape = model.shape
    family = f" ({model.family})" if model.family else ""
    parts = [f"{model.name}{family}, {model.kind}"]
    if "n_layer" in shape and shape.get("n_head"):
        parts.append(f"{_counted(shape['n_layer'], 'layer')} × {_counted(shape['n_head'], 'head')}")
    parts += [f"{key} {shape[key]}" for key in ("d_model", "seed") if key in shape]
    named = ("kind", "layers", "heads", "d_model", "seed")
    parts += [f"{key} {value}" for key, value in model.changed.items() if key not in named]
    return " · ".join(label(part) for part in parts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


MAX_TOKENS = 200


def tokens_line(tokens: Tokens, term: str = "tokens") -> Line:
    """`0 [CLS]  1 I  2 saw  3 [SEP]`; what is left out of a long text is said."""
    shown = [f"{i}\u00a0{name}" for i, name in enumerate(tokens.labels[:MAX_TOKENS])]
    rest = len(tokens) - len(shown)
    text = "  ".join(shown) + (f"  … and {rest} more" if rest else "")
    return Line(text, term, faint=frozenset(2 * position for position in tokens.special))


def marks_lines(*streams: Tokens) -> list[Line]:
    """What the marks in the labels mean, if there are any."""
    notes = dict.fromkeys(note for tokens in streams for note in tokens.notes)
    return [Line("; ".join(notes), "", "note")] if notes else []


def tags_line(tokens: Tokens) -> str:
    """`I PRON  saw VERB  a DET  saw NOUN`; `?` where the word itself is unknown."""
    pairs = list(zip(tokens.labels, tokens.tags, strict=True))
    shown = [
        f"{word}\u00a0{tag}{'?' if i in tokens.unknown else ''}"
        for i, (word, tag) in enumerate(pairs[:MAX_TOKENS])
        if tag
    ]
    rest = sum(bool(tag) for _, tag in pairs[MAX_TOKENS:])
    return "  ".join(shown) + (f"  … and {rest} more" if rest else "")


def unknown_line(tokens: Tokens) -> str:
    """Which tokens the model's vocabulary lacks."""
    shown = [f"{i}\u00a0{tokens.labels[i]}" for i in tokens.unknown[:12]]
    rest = len(tokens.unknown) - len(shown)
    how = " (tagged by endings, beginnings and shape)" if tokens.tags else ""
    return f"not in the vocabulary{how}: {'  '.join(shown)}" + (f" and {rest} more" if rest else "")


def token_axis(name: str, tokens: Tokens) -> Axis:
    return Axis(name, tokens.labels, special=frozenset(tokens.special))


def stage_scale(records: Sequence[Record], stage: str, by: By = "all") -> Scale:
    """0 to 1 for weights, around 0 for scores: the same for all heads that are shown."""
    if stage != "weights":
        return around_zero(*(record.stage(stage) for record in records))
    largest = max(_largest(record.stage("weights")) for record in records)
    if by == "all" and largest > 1.01:  # these are no weights: a true scale all the same
        return Scale(0.0, largest)
    return Scale(WEIGHTS.low, WEIGHTS.high, "sequential", by)


def _largest(values: Array) -> float:
    """The largest finite value, 0 at least."""
    return float(values.max(initial=0, where=np.isfinite(values)))


def head_heatmap(
    trace: Trace,
    record: Record,
    head: int,
    stage: str,
    scale: Scale,
    notes: tuple[str, ...] = (),
) -> Heatmap:
    """One matrix of one head, [n_q, n_k]."""
    reasons = record.reasons()
    if reasons is not None and reasons.ndim == 3:
        reasons = reasons[head]
    empty = () if stage != "weights" else _empty_rows_note(record, head, scale)
    return Heatmap(
        name=f"{_short(trace, record)}.H{head}-{stage}",
        title=f"{record.id} L{record.layer}.H{head} · {stage}",
        values=record.stage(stage)[head],
        rows=token_axis("query", trace.streams[record.queries]),
        columns=token_axis("key", trace.streams[record.keys]),
        scale=scale,
        masked=reasons if stage != "scores" else None,
        reasons=record.site.mask,
        notes=(*notes, *empty),
        pooling="mass" if stage == "weights" else "mean",
    )


def _short(trace: Trace, record: Record) -> str:
    """`L1`, or `decoder.1.cross` where a trace has several stacks or kinds of attention."""
    alike = trace.model.kind != "encoder-decoder" and len({each.id.group for each in trace}) == 1
    return f"L{record.layer}" if alike else str(record.id)


def overviews(
    trace: Trace,
    records: Sequence[Record],
    selection: Selection,
    stage: str,
    scale: Scale,
    information: Sequence[HeadInformation] = (),
) -> Sequence[View]:
    """Layers × heads for each block and kind: a grid of panels, or of more than `MOST_PANELS`
    heads one number each, made of what is known of them already."""
    if sum(len(selection.heads(record)) for record in records) > MAX_PANELS:
        information = information or information_of_heads(records, selection)
        if any(np.isfinite(each.max_entropy) for each in information):  # else no query has a choice
            return information_maps(information)
    return _grids(trace, records, selection, stage, scale)


def _grids(
    trace: Trace, records: Sequence[Record], selection: Selection, stage: str, scale: Scale
) -> list[Grid]:
    grids = []
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(record.id.group, []).append(record)
    for (block, kind), members in groups.items():
        heads = sorted({head for record in members for head in selection.heads(record)})
        panels = tuple(
            tuple(
                head_heatmap(trace, record, head, stage, scale)
                if head in selection.heads(record)
                else None
                for head in heads
            )
            for record in members
        )
        which = "all-heads" if not selection.clauses else "heads"
        if len({record.id.group for record in trace}) > 1:
            which = f"{which}-{block}-{kind}"
        what = {"self": "self-attention", "cross": "cross-attention"}[kind]
        named = "" if block == "array" else f"{block} {what} · "
        grids.append(
            Grid(
                title=f"{named}all heads shown · {stage}",
                panels=panels,
                row_names=tuple(f"L{record.layer}" for record in members),
                column_names=tuple(f"H{head}" for head in heads),
                name=which if stage == "weights" else f"{which}-{stage}",
            )
        )
    return grids


def findings_text(trace: Trace, selection: Selection) -> Text | None:
    """What a reader has to know, if there is anything."""
    lines = [
        Line(finding.text, finding.kind, finding.kind) for finding in findings(trace, selection)
    ]
    return Text(tuple(lines)) if lines else None


def _information_notes(head: HeadInformation, is_most: bool) -> tuple[str, ...]:
    if not np.isfinite(head.entropy):
        return ()
    spread = (
        f"entropy {head.entropy:.2f} of at most {head.max_entropy:.2f} nats "
        f"(as if on {head.effective_keys:.1f} keys)"
    )
    most = f"most telling: its rows differ most, by {head.mutual_information:.2f} nats"
    return (most, spread) if is_most else (spread,)


def _empty_rows_note(record: Record, head: int, scale: Scale) -> tuple[str, ...]:
    """A row that is all zero must not look like one that was scaled."""
    rows = empty_rows(record, head) if scale.by == "row" else []
    more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
    return (f"all zero, not scaled: row {', '.join(map(str, rows[:8]))}{more}",) if rows else ()


def matrix_numbers(values: Array) -> str:
    """A vector in one line: `[0.25 -1.5 …]`."""
    shown = " ".join(short(float(v)) for v in values[:8])
    return f"[{shown}{' …' if len(values) > 8 else ''}]"
