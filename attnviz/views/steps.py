"""One head, step by step: q, k, v, scores, scaling, mask, softmax, context."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.comparison import mask_effect
from attnviz.analysis.steps import SHOWN, head_steps
from attnviz.language import say, to_say
from attnviz.nn.scores import SCORES
from attnviz.nn.stages import TERMS
from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace
from attnviz.trace.spans import Zoom
from attnviz.views.attention import head_heatmap, header
from attnviz.views.kinds import (
    WEIGHTS,
    Axis,
    Heatmap,
    Line,
    Scale,
    Table,
    Text,
    View,
    around_zero,
    indices,
)
from attnviz.views.matrices import WHOLE, part_of_axis, token_axis, zoom_notes
from attnviz.views.numbers import short


def step_views(trace: Trace, record: Record, head: int, zoom: Zoom = WHOLE) -> list[View]:
    """Every stage of one head with its shape and its numbers, those of the zoom's rows and keys;
    needs all of STAGES kept."""
    steps = head_steps(record, head)
    shared = (
        " " + say("(key/value head {n})", n=steps.kv_head)
        if record.n_kv_head != record.n_head
        else ""
    )
    queries = token_axis(to_say("query"), trace.streams[record.queries])
    keys = token_axis(to_say("key"), trace.streams[record.keys])
    vectors, context = around_zero(steps.q, steps.k, steps.v), around_zero(steps.context)
    name, scale = record.site.score_and_scale
    similarity = around_zero(
        steps.similarity, steps.scores, *steps.terms.values(), *steps.parts.values()
    )
    times = say("times {scale}", scale=_scale_text(name, scale, steps.q))
    origin = say("as in the file") if trace.model.is_array else ""
    latent = say("made of the token's latent vector") if steps.parts else ""
    row_sums = _range(steps.row_sums)
    sums = say("softmax: exp(logit) over its row's sum; the rows sum to {sums}", sums=row_sums)
    if record.site.sinks:
        sums = say("softmax: exp(logit) over its row's sum and exp(sink); without the sink the "
                   "rows sum to {sums}", sums=row_sums)  # fmt: skip

    names = (
        say("1 q · queries, H{head}", head=head),
        say("2 k · keys, H{head}", head=head),
        say("3 v · values, H{head}", head=head),
    )

    def cells(stage: str, title: str, values: Array, colours: Scale, note: str) -> Heatmap:
        title = f"{title} · H{head} · {list(values.shape)}"
        drawn = head_heatmap(trace, record, head, stage, colours)
        what = say("weights") if stage == "weights" else say("scores")
        notes: tuple[str, ...] = (note,)
        if drawn.columns.outside:  # the sink's column beside those of the keys
            values, notes = drawn.values, (note, *drawn.notes)
        return drawn._replace(title=title, values=values, notes=notes, what=what)

    views: list[View] = [
        header(trace),
        _table(record, head, origin),
        _vectors(names[0], steps.q, queries, vectors, origin or "x W_q"),
        _vectors(names[1] + shared, steps.k, keys, vectors, origin or latent or "x W_k"),
        _vectors(names[2] + shared, steps.v, keys, vectors, origin or latent or "x W_v"),
        cells("scores", f"4 {_formula(name)}", steps.similarity, similarity,
              say("every query with every key")),
        *(cells("scores", f"4 · {part_name(part)}", x, similarity, say("part of q · k"))
          for part, x in steps.parts.items()),
        cells("scores", "5 " + say("content · content") if steps.terms else say("5 scores"),
              steps.scores, similarity, times),
        *(cells("scores", f"5 + {term_name(term)}", x, similarity, term_formula(term))
          for term, x in steps.terms.items()),
        cells("logits", say("6 logits"), steps.logits, similarity, _logits_note(record)),
        cells("weights", say("7 weights"), steps.weights, WEIGHTS, sums),
        _vectors(say("8 context · H{head}", head=head), steps.context, queries, context,
                 say("weights times v"))._replace(what=say("context")),
    ]  # fmt: skip
    return _zoomed(views, trace, record, zoom)


def mask_effect_views(trace: Trace, record: Record, head: int, zoom: Zoom = WHOLE) -> list[View]:
    """Weights without the mask, with it, and the difference, those of the zoom's rows and keys;
    needs `scores` kept."""
    effect = mask_effect(record, head)
    name, head_name = record.site.mask_name, f"{record.id} H{head}"
    text = say(
        "{mask} hides {n} of {of} cells. Without it they would take {share:.0%} of the weight "
        "(with the same q and k: the layers below keep their mask).",
        mask=name,
        n=effect.hidden_cells,
        of=effect.without.size,
        share=effect.hidden_share,
    )
    drawn = head_heatmap(trace, record, head, "weights", WEIGHTS)
    without, change = effect.without, effect.change
    if drawn.columns.outside:
        sink = np.maximum(0, 1 - without.sum(-1, keepdims=True))
        without = np.append(without, sink, -1)
        change = np.append(change, drawn.values[:, -1:] - sink, -1)
    open_map = drawn._replace(masked=None, reasons=())
    views: list[View] = [
        header(trace),
        Text((Line(text, say("mask")),)),
        open_map._replace(title=say("{head} · without the mask", head=head_name), values=without),
        drawn._replace(title=say("{head} · with {mask}", head=head_name, mask=name)),
        open_map._replace(
            title=say("{head} · with {mask} - without", head=head_name, mask=name),
            values=change,
            scale=around_zero(change),
            pooling="largest",
            what=say("difference"),
        ),
    ]
    return _zoomed(views, trace, record, zoom)


def _zoomed(views: list[View], trace: Trace, record: Record, zoom: Zoom) -> list[View]:
    """The views with those rows and columns of their matrices alone that the zoom has; what is
    shown of how many is said below the last one."""
    if not zoom:
        return views
    queries, keys = trace.streams[record.queries], trace.streams[record.keys]
    block = zoom.block(queries, keys)
    wanted = {say("query"): block.rows, say("key"): block.keys}

    def part(view: View) -> View:
        if not isinstance(view, Heatmap):
            return view
        rows = wanted[view.rows.name]
        columns = wanted.get(view.columns.name, np.arange(len(view.columns)))
        keys, n = columns, len(view.columns)
        if view.columns.outside and len(columns) < n:
            columns = np.append(columns, np.arange(n - view.columns.outside, n))
        cells = np.ix_(rows, columns)
        return view._replace(
            values=view.values[cells],
            masked=None
            if view.masked is None or not view.masked[cells].any()
            else view.masked[cells],
            rows=part_of_axis(view.rows, rows),
            columns=part_of_axis(view.columns, keys),
        )

    shown = Text(tuple(Line(note) for note in zoom_notes(block, (len(queries), len(keys)), None)))
    return [*map(part, views), shown]


def _table(record: Record, head: int, origin: str) -> Table:
    """The shapes at each step, of all heads; `origin` says where q, k, v of no model are from."""
    kept = {stage: record.stage(stage).shape for stage in SHOWN}
    name, _ = record.site.score_and_scale
    cap = record.site.softcap
    what = {
        "q": origin or say("x W_q, split into heads"),
        "k": origin or say("x W_k, split into heads"),
        "v": origin or say("x W_v, split into heads"),
        "scores": say("{formula} × scale", formula=_formula(name)),
        "logits": say("scores")
        + (" ± " + short(cap) if cap else "")
        + "".join(f" + {term}" for term in _added(record, say("bias")))
        + (", " + say("masked by {mask}", mask=record.site.mask_name) if record.site.mask else ""),
        "weights": say("softmax of each row"),
        "context": say("weights times v"),
    }
    axes = {"q": "[n_head, n_q, d_k]", "k": "[n_kv_head, n_k, d_k]", "v": "[n_kv_head, n_k, d_v]"}
    axes |= dict.fromkeys(("scores", "logits", "weights"), "[n_head, n_q, n_k]")
    axes["context"] = "[n_head, n_q, d_v]"
    return Table(
        title=say("{record} · shapes", record=record.id),
        columns=(say("stage"), say("what it is"), say("axes"), say("shape")),
        rows=tuple((stage, what[stage], axes[stage], str(list(kept[stage]))) for stage in what),
        notes=(say("the numbers below are those of head H{head}", head=head),),
    )


def _vectors(title: str, values: Array, rows: Axis, scale: Scale, note: str) -> Heatmap:
    return Heatmap(
        title=f"{title} · {list(values.shape)}",
        values=values,
        rows=rows,
        columns=indices(say("dimension"), values.shape[-1]),
        scale=scale,
        notes=(note,),
        what=say("q, k and v"),
    )


def _logits_note(record: Record) -> str:
    cap = record.site.softcap
    parts = [
        "" if cap is None else say("capped at ±{cap}", cap=short(cap)),
        " + ".join(["", *_terms(record)]).strip() or ", ".join(_added(record, say("plus a bias"))),
        say("masked by {mask}", mask=record.site.mask_name) if record.site.mask else say("no mask"),
    ]
    return ", ".join(filter(None, parts))


def part_name(part: str) -> str:
    """Which features of q and k a part of their product is of."""
    names = {
        "content": say("content, of the latent"),
        "rotary": say("rotary, shared by all heads"),
    }
    return names[part]


def term_name(term: str) -> str:
    """What a part of the score is called that takes a position, and a query or a key."""
    names = {
        "content_to_position": say("content → position"),
        "position_to_content": say("position → content"),
    }
    return names[term]


def term_formula(term: str) -> str:
    formulas = {
        "content_to_position": say("q · vector of the distance × scale"),
        "position_to_content": say("k · vector of the distance × scale"),
    }
    return formulas[term]


def _terms(record: Record) -> list[str]:
    return [term_name(name) for name in TERMS if name in record.kept()]


def _added(record: Record, bias: str) -> list[str]:
    """What is added to the scores: these terms, or else a bias."""
    if record.bias is None:
        return []
    return _terms(record) or [bias]


def _formula(score: str) -> str:
    """What a score computes before it is scaled; its name, where a trace has one from elsewhere."""
    name = score.partition(":")[0]
    return SCORES[name].unscaled if name in SCORES else score


def _scale_text(name: str, scale: float, q: Array) -> str:
    d_k = q.shape[-1]
    if name == "scaled_dot" and np.isclose(scale, d_k**-0.5):
        return f"{short(scale)} = 1/√{d_k}"
    return f"{scale:.4g}"


def _range(values: Array) -> str:
    low, high = float(values.min()), float(values.max())
    if f"{low:.6g}" == f"{high:.6g}":
        return f"{low:.6g}"
    return say("{low:.6g} to {high:.6g}", low=low, high=high)
