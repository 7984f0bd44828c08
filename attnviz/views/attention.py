"""The attention of a trace: what read what, all heads at a glance, the most telling ones whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from attnviz.analysis.checks import findings
from attnviz.analysis.informative import (
    HeadInformation,
    head_information,
    information_of_heads,
    most_informative,
)
from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.head_map import telling_maps
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

MOST_PANELS = 200
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
    all selected ones if they are few, else the `top` most telling."""
    if stage not in MATRIX_STAGES:
        raise AttnvizError(f"cannot draw {stage!r}", f"known: {', '.join(MATRIX_STAGES)}")
    selection.check(list(trace))
    if not trace.records:
        return [header(trace)]
    records = [record for record in trace if selection.covers(record)]
    for record in records:
        record.stage(stage)
    scale = stage_scale(records, stage, by)
    heads = [(record, head) for record in records for head in selection.heads(record)]
    few = len(heads) <= max(top, 1)
    facts = [] if few else information_of_heads(records, selection, progress)
    views: list[View] = [header(trace)]
    if len(heads) > 1:
        views += overviews(trace, records, selection, stage, scale, facts)
    if few:
        chosen = [(*pair, _about(_facts(*pair), telling=False)) for pair in heads]
    else:
        told = most_informative(facts, top)
        chosen = [(trace[f.id], f.head, _about(f, telling=True)) for f in told]
    views += [
        head_heatmap(trace, record, head, stage, scale, note) for record, head, note in chosen
    ]
    if text := found_text(trace, selection):
        views.append(text)
    return views


def header(trace: Trace) -> Text:
    """The model, what is to be known of it, and the tokens."""
    lines = [Line(model_line(trace), "model", "head")]
    lines += [Line(label(str(note)), "", "note") for note in trace.model.get("notes", ())]
    for name, tokens in trace.streams.items():
        term = "tokens" if len(trace.streams) == 1 else name
        lines.append(tokens_line(tokens, term))
        if tokens.tags:
            lines.append(Line(tags_line(tokens), "tags", "head"))
        if tokens.unknown:
            lines.append(Line(unknown_line(tokens), "", "warning"))
    lines += marks_lines(*trace.streams.values())
    if not trace.records and trace.model.get("n_head") == 0:
        lines.append(Line("this model has no attention: there are no weights to show", "", "note"))
    return Text(tuple(lines))


def model_line(trace: Trace) -> str:
    """`random encoder · 2 layers × 4 heads · d_model 32 · seed 0`."""
    model = trace.model
    if model.get("kind") == "array":
        record = trace.records[0]
        layers, heads = _some(len(trace), "layer"), _some(record.n_head, "head")
        n_q, n_k = (len(trace.streams[name]) for name in (record.queries, record.keys))
        name = label(str(model.get("name")))
        return f"{name} · {layers} × {heads} · {n_q} queries × {n_k} keys"
    family = f" ({model['family']})" if model.get("family", "attnviz") != "attnviz" else ""
    parts = [f"{model.get('name')}{family}, {model.get('kind')}"]
    if "n_layer" in model and model.get("n_head"):
        parts.append(f"{_some(model['n_layer'], 'layer')} × {_some(model['n_head'], 'head')}")
    parts += [f"{key} {model[key]}" for key in ("d_model", "seed") if key in model]
    changed = {**model.get("config", {}), **model.get("changed", {})}
    for key in ("kind", "layers", "heads", "d_model", "seed"):
        changed.pop(key, None)
    parts += [f"{key} {value}" for key, value in changed.items()]
    return " · ".join(label(part) for part in parts)


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


MOST_TOKENS = 200


def tokens_line(tokens: Tokens, term: str = "tokens") -> Line:
    """`0 [CLS]  1 I  2 saw  3 [SEP]`; what is left out of a long text is said."""
    shown = [f"{i}\u00a0{name}" for i, name in enumerate(tokens.labels[:MOST_TOKENS])]
    rest = len(tokens) - len(shown)
    text = "  ".join(shown) + (f"  … and {rest} more" if rest else "")
    return Line(text, term, faint=frozenset(2 * place for place in tokens.special))


def marks_lines(*streams: Tokens) -> list[Line]:
    """What the marks in the labels mean, if there are any."""
    notes = dict.fromkeys(note for tokens in streams for note in tokens.notes)
    return [Line("; ".join(notes), "", "note")] if notes else []


def tags_line(tokens: Tokens) -> str:
    """`I PRON  saw VERB  a DET  saw NOUN`; `?` where the word itself is unknown."""
    pairs = list(zip(tokens.labels, tokens.tags, strict=True))
    shown = [
        f"{word}\u00a0{tag}{'?' if i in tokens.unknown else ''}"
        for i, (word, tag) in enumerate(pairs[:MOST_TOKENS])
        if tag
    ]
    rest = sum(bool(tag) for _, tag in pairs[MOST_TOKENS:])
    return "  ".join(shown) + (f"  … and {rest} more" if rest else "")


def unknown_line(tokens: Tokens) -> str:
    """Which tokens the model's vocabulary lacks."""
    some = [f"{i}\u00a0{tokens.labels[i]}" for i in tokens.unknown[:12]]
    rest = len(tokens.unknown) - len(some)
    how = " (tagged by endings, beginnings and shape)" if tokens.tags else ""
    return f"not in the vocabulary{how}: {'  '.join(some)}" + (f" and {rest} more" if rest else "")


def token_axis(name: str, tokens: Tokens) -> Axis:
    return Axis(name, tokens.labels, special=frozenset(tokens.special))


def stage_scale(records: Sequence[Record], stage: str, by: By = "all") -> Scale:
    """0 to 1 for weights, around 0 for scores: the same for all heads that are shown."""
    if stage != "weights":
        return around_zero(*(record.stage(stage) for record in records))
    largest = max(float(np.nanmax(record.stage("weights"), initial=0)) for record in records)
    if (
        by == "all" and largest > 1.01
    ):  # somebody's weights that are none: a true scale all the same
        return Scale(0.0, largest)
    return Scale(WEIGHTS.low, WEIGHTS.high, "sequential", by)


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
    sums = () if stage != "weights" else _zero_rows(record, head, scale)
    return Heatmap(
        title=f"{record.id} L{record.layer}.H{head} · {stage}",
        values=record.stage(stage)[head],
        rows=token_axis("query", trace.streams[record.queries]),
        columns=token_axis("key", trace.streams[record.keys]),
        scale=scale,
        masked=reasons if stage != "scores" else None,
        reasons=record.site.mask,
        notes=(*notes, *sums),
        pooling="mass" if stage == "weights" else "mean",
    )


def overviews(
    trace: Trace,
    records: Sequence[Record],
    selection: Selection,
    stage: str,
    scale: Scale,
    facts: Sequence[HeadInformation] = (),
) -> Sequence[View]:
    """Layers × heads for each block and kind: a grid of panels, or of more than `MOST_PANELS`
    heads one number each, out of their `facts` if these are known already."""
    if sum(len(selection.heads(record)) for record in records) > MOST_PANELS:
        facts = facts or information_of_heads(records, selection)
        if any(np.isfinite(each.max_entropy) for each in facts):  # else no query has a choice
            return telling_maps(facts)
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
        what = {"self": "self-attention", "cross": "cross-attention"}[kind]
        named = "" if block == "array" else f"{block} {what} · "
        grids.append(
            Grid(
                title=f"{named}all heads shown · {stage}",
                panels=panels,
                row_names=tuple(f"L{record.layer}" for record in members),
                column_names=tuple(f"H{head}" for head in heads),
            )
        )
    return grids


def found_text(trace: Trace, selection: Selection) -> Text | None:
    """What a reader has to know, if there is anything."""
    lines = [
        Line(finding.text, finding.kind, finding.kind) for finding in findings(trace, selection)
    ]
    return Text(tuple(lines)) if lines else None


def _facts(record: Record, head: int) -> HeadInformation | None:
    return None if record.weights is None else head_information(record, head)


def _about(facts: HeadInformation | None, telling: bool) -> tuple[str, ...]:
    if facts is None or not np.isfinite(facts.entropy):
        return ()
    spread = (
        f"entropy {facts.entropy:.2f} of at most {facts.max_entropy:.2f} nats "
        f"(as if on {np.exp(facts.entropy):.1f} keys)"
    )
    if telling:
        return (
            f"most telling: its rows differ most, by {facts.mutual_information:.2f} nats",
            spread,
        )
    return (spread,)


def _zero_rows(record: Record, head: int, scale: Scale) -> tuple[str, ...]:
    """A row that is all zero must not look like one that was scaled."""
    weights = record.stage("weights")[head]
    zero = np.flatnonzero((weights == 0).all(-1))
    if scale.by != "row" or not zero.size:
        return ()
    return (f"all zero, not scaled: row {', '.join(map(str, zero[:8]))}",)


def matrix_numbers(values: Array) -> str:
    """A vector in one line: `[0.25 -1.5 …]`."""
    shown = " ".join(short(float(v)) for v in values[:8])
    return f"[{shown}{' …' if len(values) > 8 else ''}]"
