"""The attention of a trace: the model, all heads at a glance, the most informative in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from attnviz.analysis.checks import findings
from attnviz.analysis.informative import (
    ChosenHeads,
    HeadInformation,
    choose_heads,
    information_of_heads,
)
from attnviz.analysis.looks import head_looks
from attnviz.analysis.metrics.measure import is_measurable
from attnviz.errors import AttnvizError
from attnviz.language import say, to_say
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Head, Selection
from attnviz.trace.spans import Zoom, span_text
from attnviz.views.answer import answer_lines
from attnviz.views.head_map import information_maps
from attnviz.views.kinds import (
    WEIGHTS,
    Grid,
    Heatmap,
    Line,
    Scale,
    Text,
    View,
    around_zero,
)
from attnviz.views.matrices import WHOLE, heard, is_pooled, matrix_of, strongest_links
from attnviz.views.numbers import short
from attnviz.views.one_row import is_one_row, most_columns, row_views
from attnviz.views.pooling import pooling_notes
from attnviz.views.routing import routing_views
from attnviz.views.sentences import focus_sentence, look_phrase, look_sentence

Fixed = Literal["all", "row", "head", "root", "log"]
By = Literal["auto"] | Fixed
SCALES: tuple[By, ...] = ("auto", "all", "row", "head", "root", "log")
"""`auto`: all; of summaries root, as what a row gives is spread over many cells of a map."""

STAGES = {
    "weights": to_say("weights"),
    "scores": to_say("scores"),
    "logits": to_say("logits"),
}
MATRIX_STAGES = tuple(STAGES)

TOP = 2

MOST_HEADS = 3
"""Heads that a wide screen may show beside the overview."""

MAX_PANELS = 200
"""Heads whose matrices fit into one overview of a screen or a figure."""


def attention_views(
    trace: Trace,
    selection: Selection,
    *,
    top: int | None = TOP,
    stage: str = "weights",
    by: By = "auto",
    stats: bool = False,
    every_head: bool = False,
    zoom: Zoom = WHOLE,
    progress: Callable[[int, int], None] | None = None,
) -> list[View]:
    """The model and tokens, an overview of the selected heads, and some of them as matrices:
    all selected ones if they are few, else the `top` most informative.

    Args:
        top: with None as many as a screen has room for, `TOP` at least. Of one row, all heads that
            are named stand beside one another.
        stats: the numbers behind the sentences, too.
        zoom: the rows and keys that are drawn.
        every_head: an overview has a panel for each head, however many there are: for a page.
    """
    if stage not in MATRIX_STAGES:
        raise AttnvizError(f"cannot draw {stage!r}", f"known: {', '.join(MATRIX_STAGES)}")
    selection.check(list(trace))
    if not trace.records:
        return [header(trace)]
    zoom = heard(trace, zoom)
    records = [record for record in trace if selection.covers(record)]
    for record in records:
        matrix_of(trace, record, selection.heads(record)[0], stage, zoom)
    scale = stage_scale(records, stage, by, zoom)
    one_row = is_one_row(trace, records[0], zoom)
    most = MOST_HEADS if top is None else top
    if one_row:
        most = max(most, most_columns(records, selection))
    chosen = choose_heads(records, selection, most, progress)
    heads = [Head(head.id, head.head) for head in chosen.heads]
    views: list[View] = [header(trace)]
    if any(map(is_pooled, records)) and not zoom:
        views = [_with_summary(views[0], trace, records, heads)]
    if not chosen.are_all or (len(heads) > 1 and not one_row):
        grids = overviews(
            trace, records, selection, stage, scale, chosen.information, every_head, zoom
        )
        views += grids if chosen.are_all else _with_choice(grids, len(chosen.heads))
    if one_row:
        views += row_views(
            trace, heads, [head_title(trace, head) for head in heads], stage, scale, zoom
        )
    else:
        views += _matrices(trace, chosen, stage, scale, stats, TOP if top is None else top, zoom)
    views += routing_views(trace, (trace[head.id] for head in heads), zoom)
    if text := findings_text(trace, selection):
        views.append(text)
    return views


def _matrices(
    trace: Trace,
    chosen: ChosenHeads,
    stage: str,
    scale: Scale,
    stats: bool,
    needed: int,
    zoom: Zoom,
) -> Iterator[View]:
    """Each of the chosen heads, with what it looks at."""
    heads = [Head(head.id, head.head) for head in chosen.heads]
    sentences = head_sentences(trace, heads)
    for number, head in enumerate(chosen.heads):
        sentence, brief = sentences[number]
        notes = _information_notes(head) if stats else ()
        drawn = head_heatmap(trace, trace[head.id], head.head, stage, scale, notes, zoom)
        yield drawn._replace(
            heading=head_title(trace, heads[number], stage),
            caption=sentence,
            brief=brief,
            optional=number >= needed and not chosen.are_all,
        )


def _with_summary(
    header: View, trace: Trace, records: Sequence[Record], heads: Sequence[Head]
) -> View:
    """The header, and that what is shown are sums of cells; how to see weights as they are."""
    assert isinstance(header, Text)
    record = next(filter(is_pooled, records))
    summary = record.summary
    assert summary is not None
    n_q, n_k = summary.shape
    head = heads[0] if heads else Head(record.id, summary.heads[0])
    example = f"-s {head.short}" if len({r.id.group for r in trace}) == 1 else f"-s {head}"
    about = say(
        "{n_row} × {n_key}: {n_q} × {n_k} weights a head are too many to keep; kept are exact sums "
        "of {rows} × {keys} each",
        n_row=summary.total.shape[1], n_key=summary.total.shape[2],
        rows=summary.row_step, keys=summary.key_step, n_q=n_q, n_k=n_k,
    )  # fmt: skip
    how = say(
        "{head} --rows -1 shows what the last query looks at, {head} --rows {rows} --keys {keys} "
        "--scale root weights as they are",
        head=example, rows=f"{max(0, n_q - ZOOM)}-", keys=f"{max(0, n_k - ZOOM)}-",
    )  # fmt: skip
    lines = (Line(about, say("pooled"), "note"), Line(how, say("zoom")))
    return header._replace(lines=(*header.lines, *lines))


ZOOM = 40
"""Rows and keys of the part that is proposed to be looked at."""


def _with_choice(grids: Sequence[View], n_head: int) -> list[View]:
    """The overviews; the last one says which heads are shown in full."""
    *before, last = grids
    if not n_head or not isinstance(last, Grid):
        return list(grids)
    note = say("in full: the most informative heads, whose rows differ most")
    return [*before, last._replace(notes=(*last.notes, note))]


def head_sentences(trace: Trace, heads: Sequence[Head]) -> list[tuple[str, str]]:
    """What each head looks at, in full and in brief; empty where no weights are kept."""
    looks = head_looks(trace, [head for head in heads if is_measurable(trace[head.id])])
    sentences = []
    for head in heads:
        look, keys = looks.get(head), trace.streams[trace[head.id].keys]
        sentences.append(
            ("", "") if look is None else (look_sentence(look, keys), look_phrase(look, keys))
        )
    return sentences


def head_title(trace: Trace, head: Head, stage: str = "weights") -> str:
    """`L1.H3`, with its block and kind where the trace has several; the stage if not weights."""
    alike = len({record.id.group for record in trace}) == 1
    name = head.short if alike else str(head)
    if str(head) in trace.model.alignment_heads:
        name = f"{name} ({say('alignment head')})"
    return name if stage == "weights" else f"{name} · {say(STAGES.get(stage, stage))}"


def header(trace: Trace) -> Text:
    """The model, what is to be known of it, and the tokens."""
    lines = [Line(model_line(trace), say("model"), "head")]
    lines += [Line(label(say(note)), "", "note") for note in trace.model.notes]
    if named := trace.model.alignment_heads:
        text = say(
            "{heads}: heads that look where a token is spoken, says the checkpoint",
            heads=label(_by_record(named)),
        )
        lines.append(Line(text, say("alignment")))
    for name, tokens in trace.streams.items():
        term = say("tokens") if len(trace.streams) == 1 else say(STREAMS.get(name, name))
        lines.append(tokens_line(tokens, term))
        if tokens.unknown:
            lines.append(Line(unknown_line(tokens), "", "warning"))
        if tokens.roles:
            lines.append(roles_line(tokens))
    lines += marks_lines(*trace.streams.values())
    lines += answer_lines(trace)
    if not trace.records and not trace.model.has_attention:
        lines.append(
            Line(say("this model has no attention: there are no weights to show"), "", "note")
        )
    return Text(tuple(lines))


def _by_record(heads: Sequence[str]) -> str:
    """`decoder.2.cross.H0,H5 · decoder.3.cross.H1`"""
    found: dict[str, list[str]] = {}
    for name in heads:
        record, _, head = name.rpartition(".")
        found.setdefault(record, []).append(head)
    return " · ".join(f"{record}.{','.join(each)}" for record, each in found.items())


STREAMS = {"source": to_say("source"), "target": to_say("target")}


def model_line(trace: Trace) -> str:
    """`random encoder · 2 layers × 4 heads · d_model 32 · seed 0`."""
    model = trace.model
    if model.is_array and not trace.records:  # what was measured of a plain file of weights
        return label(model.name)
    if model.is_array:
        record = trace.records[0]
        n_q, n_k = (len(trace.streams[name]) for name in (record.queries, record.keys))
        size = say("{n_q} queries × {n_k} keys", n_q=n_q, n_k=n_k)
        return f"{label(model.name)} · {_size(len(trace), record.n_head)} · {size}"
    shape = model.shape
    family = f" ({model.family})" if model.family else ""
    parts = [f"{model.name}{family}, {say(KINDS.get(model.kind, model.kind))}"]
    if "n_layer" in shape and shape.get("n_head"):
        parts.append(_size(shape["n_layer"], shape["n_head"]))
    parts += [f"{key} {shape[key]}" for key in ("d_model", "seed") if key in shape]
    named = ("kind", "layers", "heads", "d_model", "seed")
    parts += [f"{key} {value}" for key, value in model.changed.items() if key not in named]
    return " · ".join(label(part) for part in parts)


KINDS = {
    "encoder": to_say("encoder"),
    "decoder": to_say("decoder"),
    "encoder-decoder": to_say("encoder-decoder"),
}


def _size(n_layer: int, n_head: int) -> str:
    layers = say("1 layer") if n_layer == 1 else say("{n} layers", n=n_layer)
    heads = say("1 head") if n_head == 1 else say("{n} heads", n=n_head)
    return f"{layers} × {heads}"


MAX_TOKENS = 200
FIRST, LAST = 40, 8
"""Tokens that are named of a longer text."""
FRAMES = 3, 1
"""The same of a sound."""


def tokens_line(tokens: Tokens, term: str = "tokens") -> Line:
    """`0 [CLS]  1 I/PRON  2 saw/VERB  3 [SEP]`; of a long text the beginning and the end, and how
    many lie between. `?` behind a tag where the word itself is unknown."""
    n = len(tokens)
    first, last = FRAMES if "sound" in tokens.roles else (FIRST, LAST)
    shown = [*range(n)] if n <= MAX_TOKENS else [*range(first), *range(n - last, n)]
    words = [f"{i}\u00a0{tokens.labels[i]}{_tag(tokens, i)}" for i in shown]
    if n > MAX_TOKENS:
        left_out = say("… {n} more …", n=n - first - last).replace(" ", "\u00a0")
        words.insert(first, left_out)
        shown.insert(first, -1)
    faint = frozenset(2 * place for place, i in enumerate(shown) if i in tokens.special)
    return Line("  ".join(words), term, faint=faint)


def roles_line(tokens: Tokens) -> Line:
    """`user 24-30 · system 3-18 · …`: who says what, by the names that --rows and --keys take."""
    spans = {name: places for name, places in tokens.spans.items() if name != "prompt"}
    order = sorted(spans, key=lambda name: (name in ("template", "special"), spans[name][0]))
    parts = [f"{name}\u00a0{span_text(np.array(spans[name]))}" for name in order]
    return Line(" · ".join(parts), say("spans"), "note")


def _tag(tokens: Tokens, position: int) -> str:
    tag = tokens.tags[position] if tokens.tags else ""
    return f"/{tag}{'?' if position in tokens.unknown else ''}" if tag else ""


def marks_lines(*streams: Tokens) -> list[Line]:
    """What the marks in the labels mean, if there are any."""
    notes = dict.fromkeys(note for tokens in streams for note in tokens.notes)
    return [Line("; ".join(map(say, notes)), "", "note")] if notes else []


def unknown_line(tokens: Tokens) -> str:
    """Which tokens the model's vocabulary lacks."""
    shown = "  ".join(f"{i}\u00a0{tokens.labels[i]}" for i in tokens.unknown[:12])
    rest = len(tokens.unknown) - 12
    words = (
        say("not in the vocabulary (tagged by endings, beginnings and shape): {words}", words=shown)
        if tokens.tags
        else say("not in the vocabulary: {words}", words=shown)
    )
    return words + (" " + say("and {n} more", n=rest) if rest > 0 else "")


def stage_scale(
    records: Sequence[Record], stage: str, by: By = "auto", zoom: Zoom = WHOLE
) -> Scale:
    """0 to 1 for weights, around 0 for scores: the same for all heads that are shown."""
    if by == "auto":
        pooled = any(record.weights is None and is_pooled(record) for record in records)
        by = "root" if pooled and not zoom else "all"
    if stage != "weights":
        return around_zero(*(record.stage(stage) for record in records))
    kept = (record.weights for record in records if record.weights is not None)
    largest = max((_largest(weights) for weights in kept), default=0.0)
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
    zoom: Zoom = WHOLE,
) -> Heatmap:
    """One matrix of one head: [n_q, n_k], or the part of it that is zoomed into; of a summary its
    map."""
    matrix = matrix_of(trace, record, head, stage, zoom)
    shown = Heatmap(
        name=f"{_short(trace, record)}.H{head}-{stage}",
        title=f"{record.id} L{record.layer}.H{head} · {stage}",
        values=matrix.values,
        rows=matrix.rows,
        columns=matrix.columns,
        scale=scale,
        masked=matrix.masked if stage != "scores" else None,
        reasons=matrix.reasons,
        pooling="mass" if stage == "weights" else "mean",
        what=say(STAGES.get(stage, stage)),
        details=_details(trace, record, head, stage, zoom),
        strongest=None if zoom else strongest_links(trace, record, head),
    )
    empty = _empty_rows_note(shown) if stage == "weights" else ()
    return shown._replace(notes=(*matrix.notes, *notes, *empty, *pooling_notes(shown)))


def _details(
    trace: Trace, record: Record, head: int, stage: str, zoom: Zoom
) -> tuple[tuple[str, Array], ...]:
    """The scores behind weights, where they were kept."""
    if stage != "weights" or record.scores is None:
        return ()
    scores = matrix_of(trace, record, head, "scores", zoom).values
    beside = ((0, 0), (0, int(record.site.sinks)))  # a sink has a logit, but no score
    return ((say("score"), np.pad(scores, beside, constant_values=np.nan)),)


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
    every_head: bool = False,
    zoom: Zoom = WHOLE,
) -> Sequence[View]:
    """Layers × heads for each block and kind: a grid of panels, or of more than `MAX_PANELS`
    heads one number each, made of what is known of them already, unless every head is wanted."""
    n_head = sum(len(selection.heads(record)) for record in records)
    if n_head > MAX_PANELS and not every_head:
        information = information or information_of_heads(records, selection)
        if any(np.isfinite(each.max_entropy) for each in information):  # else no query has a choice
            return information_maps(information)
    return _grids(trace, records, selection, stage, scale, zoom)


def _grids(
    trace: Trace,
    records: Sequence[Record],
    selection: Selection,
    stage: str,
    scale: Scale,
    zoom: Zoom,
) -> list[Grid]:
    grids = []
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault(record.id.group, []).append(record)
    for (block, kind), members in groups.items():
        heads = sorted({head for record in members for head in selection.heads(record)})
        panels = tuple(
            tuple(
                head_heatmap(trace, record, head, stage, scale, zoom=zoom)
                if head in selection.heads(record)
                else None
                for head in heads
            )
            for record in members
        )
        which = "all-heads" if not selection.clauses else "heads"
        if len({record.id.group for record in trace}) > 1:
            which = f"{which}-{block}-{kind}"
        grids.append(
            Grid(
                title=_overview_title(block, kind, stage, len(groups) == 1),
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


def _overview_title(block: str, kind: str, stage: str, is_only: bool) -> str:
    """What the overview shows; which attention, where there are several."""
    what = say("all heads") if is_only else say(ATTENTIONS.get((block, kind), kind))
    return what if stage == "weights" else f"{what} · {say(STAGES.get(stage, stage))}"


ATTENTIONS = {
    ("encoder", "self"): to_say("encoder self-attention"),
    ("decoder", "self"): to_say("decoder self-attention"),
    ("decoder", "cross"): to_say("decoder cross-attention"),
}


def _information_notes(head: HeadInformation) -> tuple[str, ...]:
    """The numbers behind a sentence."""
    if not np.isfinite(head.entropy):
        return ()
    focus = focus_sentence(head.effective_keys, float(np.exp(head.max_entropy)))
    spread = say("entropy {entropy:.2f} of at most {most:.2f} nats", entropy=head.entropy,
                 most=head.max_entropy)  # fmt: skip
    information = say(
        "mutual information of query and key {information:.2f} nats above an even spread",
        information=head.mutual_information,
    )
    return (focus, spread, information)


def _empty_rows_note(heatmap: Heatmap) -> tuple[str, ...]:
    """A row that is all zero must not look like one that was scaled."""
    if heatmap.scale.by != "row":
        return ()
    rows = np.flatnonzero((heatmap.values == 0).all(-1))
    if not rows.size:
        return ()
    more = " " + say("and {n} more", n=len(rows) - 8) if len(rows) > 8 else ""
    shown = ", ".join(heatmap.rows.index(int(row)) for row in rows[:8])
    return (say("all zero, not scaled: row {rows}", rows=shown) + more,)


def matrix_numbers(values: Array) -> str:
    """A vector in one line: `[0.25 -1.5 …]`."""
    shown = " ".join(short(float(v)) for v in values[:8])
    return f"[{shown}{' …' if len(values) > 8 else ''}]"
