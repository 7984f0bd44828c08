"""One head, step by step: q, k, v, scores, scaling, mask, softmax, context."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.masking import mask_effect
from attnviz.nn.scores import SCORES
from attnviz.nn.types import Array
from attnviz.trace.record import Record, Trace
from attnviz.views.attention import head_heatmap, header, token_axis
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
from attnviz.views.numbers import short

STAGES = ("q", "k", "v", "scores", "logits", "weights", "context", "bias")


def step_views(trace: Trace, record: Record, head: int) -> list[View]:
    """Every stage of one head with its shape and its numbers; needs all of STAGES kept."""
    kv = head * record.n_kv_head // record.n_head
    queries = token_axis("query", trace.streams[record.queries])
    keys = token_axis("key", trace.streams[record.keys])
    q, k, v = record.stage("q")[head], record.stage("k")[kv], record.stage("v")[kv]
    views: list[View] = [header(trace), _table(record, head)]
    vectors = around_zero(q, k, v)
    shared = f" (key/value head {kv})" if record.n_kv_head != record.n_head else ""
    views += [
        _matrix(f"1 q · queries, H{head}", q, queries, vectors, ("x W_q",)),
        _matrix(f"2 k · keys, H{head}{shared}", k, keys, vectors, ("x W_k",)),
        _matrix(f"3 v · values, H{head}{shared}", v, keys, vectors, ("x W_v",)),
    ]
    name, scale = record.site.score_and_scale
    formula = _formula(name)
    scores, logits = record.stage("scores")[head], record.stage("logits")[head]
    raw = scores / scale
    scaled = head_heatmap(trace, record, head, "scores", around_zero(raw, scores))
    views += [
        _with(scaled, f"4 {formula} · H{head}", raw, ("every query with every key",)),
        _with(scaled, f"5 scores · H{head}", scores, (f"times {_scale_text(name, scale, q)}",)),
    ]
    views.append(_logits(trace, record, head, logits))
    weights = head_heatmap(trace, record, head, "weights", WEIGHTS)
    sums = record.stage("weights")[head].sum(-1)
    views.append(
        _with(
            weights,
            f"7 weights · H{head}",
            weights.values,
            (f"softmax: exp(logit) over its row's sum; the rows sum to {_range(sums)}",),
        )
    )
    context = record.stage("context")[head]
    views.append(
        _matrix(f"8 context · H{head}", context, queries, around_zero(context), ("weights v",))
    )
    return views


def mask_effect_views(trace: Trace, record: Record, head: int) -> list[View]:
    """Weights without the mask, with it, and the difference; needs `scores` kept."""
    effect = mask_effect(record, head)
    name = record.site.mask_name
    text = (
        f"{name} hides {effect.hidden_cells} of {effect.without.size} cells; without it they "
        f"would take {effect.hidden_share:.0%} of the weights (of the same q and k: the layers "
        "below keep their mask)"
    )
    difference = effect.with_mask - effect.without
    drawn = head_heatmap(trace, record, head, "weights", WEIGHTS)
    open_map = drawn._replace(masked=None, reasons=())
    return [
        header(trace),
        Text((Line(text, "mask"),)),
        open_map._replace(title=f"{record.id} H{head} · without the mask", values=effect.without),
        drawn._replace(title=f"{record.id} H{head} · with {name}"),
        open_map._replace(
            title=f"{record.id} H{head} · with {name} - without",
            values=difference,
            scale=around_zero(difference),
            pooling="largest",
        ),
    ]


def _table(record: Record, head: int) -> Table:
    """The shapes at each step, of all heads."""
    kept = {stage: record.stage(stage).shape for stage in STAGES if stage != "bias"}
    name, _ = record.site.score_and_scale
    cap = record.site.softcap
    what = {
        "q": "x W_q, split into heads",
        "k": "x W_k, split into heads",
        "v": "x W_v, split into heads",
        "scores": f"{_formula(name)} × scale",
        "logits": "scores"
        + (f", capped at ±{short(cap)}" if cap else "")
        + (" + bias" if record.bias is not None else "")
        + (f", masked by {record.site.mask_name}" if record.site.mask else ""),
        "weights": "softmax of each row",
        "context": "weights v",
    }
    axes = {"q": "[n_head, n_q, d_k]", "k": "[n_kv_head, n_k, d_k]", "v": "[n_kv_head, n_k, d_v]"}
    axes |= dict.fromkeys(("scores", "logits", "weights"), "[n_head, n_q, n_k]")
    axes["context"] = "[n_head, n_q, d_v]"
    return Table(
        title=f"{record.id} · shapes",
        columns=("stage", "is", "axes", "shape"),
        rows=tuple((stage, what[stage], axes[stage], str(list(kept[stage]))) for stage in what),
        notes=(f"the numbers below are of head H{head}",),
    )


def _matrix(title: str, values: Array, rows: Axis, scale: Scale, notes: tuple[str, ...]) -> Heatmap:
    return Heatmap(
        title=f"{title} · {list(values.shape)}",
        values=values,
        rows=rows,
        columns=indices("dimension", values.shape[-1]),
        scale=scale,
        notes=notes,
    )


def _with(heatmap: Heatmap, title: str, values: Array, notes: tuple[str, ...]) -> Heatmap:
    return heatmap._replace(title=f"{title} · {list(values.shape)}", values=values, notes=notes)


def _logits(trace: Trace, record: Record, head: int, logits: Array) -> Heatmap:
    heatmap = head_heatmap(trace, record, head, "logits", around_zero(logits))
    done = [
        f"capped at ±{short(cap)}" if (cap := record.site.softcap) is not None else "",
        "bias added" if record.bias is not None else "",
        f"masked by {record.site.mask_name}" if record.site.mask else "no mask",
    ]
    return _with(heatmap, f"6 logits · H{head}", logits, (", ".join(filter(None, done)),))


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
    return f"{low:.6g}" if f"{low:.6g}" == f"{high:.6g}" else f"{low:.6g} to {high:.6g}"
