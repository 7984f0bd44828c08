"""The attention of anybody's queries, keys and values, as a trace."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.memory import check_available
from attnviz.nn import arguments, masks
from attnviz.nn.attention import attend
from attnviz.nn.heads import check_broadcast, check_shapes, repeat_heads
from attnviz.nn.scores import SCORES, Score, scaled
from attnviz.nn.site import Site
from attnviz.nn.streaming import Inputs, streamed_attention
from attnviz.nn.types import Array, floating
from attnviz.registry import parse_spec
from attnviz.tokens import Tokens
from attnviz.trace.arrays import token_stream
from attnviz.trace.projections import Axes, Projected, Reading, read_projections
from attnviz.trace.record import ARRAY, ModelFacts, Record, Trace, read_only
from attnviz.trace.selection import Selection
from attnviz.trace.summary import PlanSummaries, Summariser, SummaryPlan

N_MATRIX = 4
"""Matrices of a layer: scores, logits, weights, mask."""


@dataclass(frozen=True)
class How:
    """How q, k and v are put together; the options of `attnviz.attend`."""

    score: str = "scaled_dot"
    scale: float | None = None
    mask: masks.Mask = masks.NONE
    own_mask: bool = True
    """Whether what the file itself hides is hidden."""
    alignment: str = "lower_right"
    """Where the queries stand among more keys: at the last (`lower_right`) or the first ones
    (`upper_left`)."""
    softcap: float | None = None
    bias: Array | None = None
    sinks: Array | None = None


def trace_of_projections(
    path: Path,
    arrays: Mapping[str, Array],
    *,
    axes: Axes | None = None,
    how: How | None = None,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
) -> Trace:
    """All stages of every attention whose q, k and v are among the arrays."""
    reading = read_projections(path, arrays, axes or Axes())
    return trace_of_reading(path, reading, how or How(), tokens, key_tokens)


def trace_of_reading(
    path: Path,
    reading: Reading,
    how: How,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    *,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    select: Selection | None = None,
) -> Trace:
    """All stages of every attention of a file that was read.

    Args:
        memory: bytes that the matrices may take; if they would take more, q, k, v and the context
            are kept, and of the weights a summary.
        summaries: makes the plan of the summaries.
        select: of which heads summaries are made; by default all.

    Raises:
        AttnvizError: arrays that do not fit; more memory needed than there is.
    """
    streams: dict[str, Tokens] = {}
    places: list[tuple[str, str]] = []
    for layer in reading.layers:
        n_q, n_k = layer.q.shape[-2], layer.k.shape[-2]
        queries = _stream(streams, "queries", path, tokens, n_q)
        is_self = n_q == n_k and key_tokens is None and layer.id.kind == "self"
        keys = queries if is_self else _stream(streams, "keys", path, key_tokens, n_k)
        places.append((queries, keys))
    n_byte = matrix_bytes(reading.layers)
    if memory is not None and summaries is not None and n_byte > memory:
        plan = summaries(streams)
        records = [
            summarised(path, layer, how, *names, plan, select)
            for layer, names in zip(reading.layers, places, strict=True)
        ]
    else:
        what = f"{path}: attention of {len(reading.layers)} layers"
        check_available(n_byte, what, "save fewer layers")
        records = [
            attended(path, layer, how, *names)
            for layer, names in zip(reading.layers, places, strict=True)
        ]
    notes = (*reading.notes, *_alignment_note(reading.layers, how))
    return Trace(ModelFacts(path.name, ARRAY, notes=notes), streams, tuple(records))


def matrix_bytes(layers: Sequence[Projected]) -> int:
    """What the matrices of some attentions take."""
    cells = sum(len(layer.q) * layer.q.shape[-2] * layer.k.shape[-2] for layer in layers)
    return int(cells * N_MATRIX * 4)


def attended(
    path: Path, layer: Projected, how: How, queries: str, keys: str, rows: Array | None = None
) -> Record:
    """One attention with all its stages, of all queries or of those at `rows` [n_row]; `queries`
    and `keys` are the names of its streams."""
    with _located(path, layer):
        ready = _ready(layer, how, queries, keys)
        q, q_pos, bias = layer.q, ready.q_pos, ready.bias
        if rows is not None:
            q, q_pos, bias = q[:, rows], q_pos[rows], _rows(bias, rows)
        done = attend(
            q, layer.k, layer.v,
            score=ready.score, scale=how.scale, mask=_visible(ready, rows),
            bias=bias, softcap=how.softcap, sinks=ready.sinks,
        )  # fmt: skip
    n_q, n_k = len(q_pos), len(ready.k_pos)
    stages = {name: read_only(array) for name, array in done._asdict().items()}
    stages["mask"] = read_only(_by_head(done.mask, n_q, n_k))
    if bias is not None:
        stages["bias"] = read_only(floating(bias))
    if ready.sinks is not None:
        stages["sinks"] = _kept_sinks(ready.sinks, len(q))
    if len(ready.mask.rules) > 1 and rows is None:
        stages["masked_by"] = read_only(_by_head(ready.mask.reasons(q_pos, ready.k_pos), n_q, n_k))
    return Record.of(ready.site, stages)


def scores_at(path: Path, layer: Projected, how: How, rows: Array) -> Array:
    """The scores of the queries at `rows` [n_row], before the cap and the bias:
    [n_head, n_row, n_k]."""
    with _located(path, layer):
        score = arguments.scoring(_ready(layer, how, "queries", "keys").score, layer.q, layer.k)
        q, k = floating(layer.q[:, rows]), repeat_heads(floating(layer.k), len(layer.q))
        with np.errstate(invalid="ignore", over="ignore"):
            return scaled(score, how.scale)(q, k)


def summarised(
    path: Path,
    layer: Projected,
    how: How,
    queries: str,
    keys: str,
    plan: SummaryPlan,
    select: Selection | None = None,
) -> Record:
    """One attention whose matrices would be too large: q, k, v, the context, and of the weights a
    summary, made in one pass."""
    with _located(path, layer):
        ready = _ready(layer, how, queries, keys)
        q, k, v = (
            floating(arguments.numbers(n, x)) for n, x in zip("qkv", layer[1:4], strict=True)
        )
        inputs = Inputs(len(q), ready.q_pos, ready.k_pos, ready.mask, v)
        heads = (select or Selection()).heads(ready.site)
        summariser = Summariser(plan, ready.site, inputs, heads)
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity show in the result
            context = streamed_attention(
                q, k, v,
                score=arguments.scoring(ready.score, q, k),
                scale=arguments.real("scale", how.scale),
                softcap=arguments.cap(how.softcap, np.result_type(q, k)),
                bias=_bias_of_places(arguments.added(ready.bias), ready),
                sinks=arguments.sink_logits(ready.sinks, len(q)),
                mask=ready.mask, q_pos=ready.q_pos, k_pos=ready.k_pos, reader=summariser.reader,
            )  # fmt: skip
    stages = {"q": q, "k": k, "v": v, "context": context}
    if ready.sinks is not None:
        stages["sinks"] = _kept_sinks(ready.sinks, len(q))
    return Record.of(
        ready.site, {name: read_only(x) for name, x in stages.items()}, summariser.summary()
    )


def _kept_sinks(sinks: Array, n_head: int) -> Array:
    logits = arguments.sink_logits(sinks, n_head)
    assert logits is not None
    return read_only(floating(logits))


class _Ready(NamedTuple):
    """An attention as it is to be computed."""

    site: Site
    score: Score
    mask: masks.Mask
    q_pos: Array
    """[n_q]"""
    k_pos: Array
    """[n_k]"""
    bias: Array | None
    sinks: Array | None


def _ready(layer: Projected, how: How, queries: str, keys: str) -> _Ready:
    q, k, v = layer.q, layer.k, layer.v
    _check_widths(layer)
    check_shapes(q, k, v)
    score = _score(how.score, layer, q.shape[-1], k.shape[-1])
    n_q, n_k = q.shape[-2], k.shape[-2]
    offset = n_k - n_q if how.alignment == "lower_right" else 0
    mask = how.mask + (given_mask(layer) if how.own_mask else masks.NONE)
    sinks = how.sinks if how.sinks is not None else layer.given.get("sinks")
    entry = SCORES[parse_spec(how.score)[0]]
    site = Site(
        id=layer.id,
        queries=queries,
        keys=keys,
        n_head=len(q),
        n_kv_head=len(k),
        mask=mask.names,
        score=how.score,
        scale=entry.default_scale(k.shape[-1]) if how.scale is None else how.scale,
        softcap=how.softcap or None,
        sinks=sinks is not None,
    )
    bias = how.bias if how.bias is not None else layer.given.get("bias")
    return _Ready(site, score, mask, np.arange(n_q) + offset, np.arange(n_k), bias, sinks)


@contextlib.contextmanager
def _located(path: Path, layer: Projected) -> Iterator[None]:
    """Errors say of which file and layer."""
    try:
        yield
    except AttnvizError as error:
        raise AttnvizError(f"{path}: {layer.id}: {error.message}", error.hint) from error


def _visible(ready: _Ready, rows: Array | None) -> Array | None:
    """Which keys all queries see, or those at `rows`: [..., n_row, n_k]; None: all."""
    q_pos, k_pos = ready.q_pos, ready.k_pos
    if rows is None or not ready.mask.rules:
        return ready.mask.visible(q_pos, k_pos)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    every = slice(0, len(k_pos))
    parts = [
        np.asarray(ready.mask.visible_part(q_pos, k_pos, slice(run[0], run[-1] + 1), every))
        for run in runs
    ]
    one_for_all = all(part.shape[-2] == 1 for part in parts) and len(rows) > len(runs)
    return parts[0] if one_for_all else np.concatenate(parts, axis=-2)


def _rows(bias: Array | None, rows: Array) -> Array | None:
    """The bias of some queries, of one that may have an axis of 1."""
    return bias if bias is None or bias.ndim < 2 or bias.shape[-2] == 1 else bias[..., rows, :]


def _bias_of_places(bias: Array | None, ready: _Ready) -> Callable[[Array, Array], Array] | None:
    """The bias of some neighbouring queries and keys, by their positions."""
    if bias is None:
        return None
    shape = ready.site.n_head, len(ready.q_pos), len(ready.k_pos)
    check_broadcast("bias", bias, shape)
    first = ready.q_pos[0]

    def part(q_pos: Array, k_pos: Array) -> Array:
        rows = slice(q_pos[0] - first, q_pos[-1] + 1 - first)
        keys = slice(k_pos[0], k_pos[-1] + 1)
        whole = np.broadcast_to(bias, (*bias.shape[:-2], *shape[1:]))
        return floating(whole[..., rows, keys])

    return part


def _by_head(mask: Array, n_q: int, n_k: int) -> Array:
    """[n_q, n_k], or [n_head, n_q, n_k] where the heads differ, of what broadcasts to it."""
    mask = mask[0] if mask.ndim == 3 and len(mask) == 1 else mask
    return np.broadcast_to(mask, (*mask.shape[:-2], n_q, n_k))


def _check_widths(layer: Projected) -> None:
    """Raise AttnvizError where heads may lie side by side in widths that differ."""
    d_q, d_k, d_v = (x.shape[-1] for x in (layer.q, layer.k, layer.v))
    if len(layer.q) == 1 and d_k == d_v and d_q > d_k and d_q % d_k == 0:
        raise AttnvizError(
            f"the last axis of q holds {d_q} and that of k and v {d_k}",
            "if their heads lie side by side: --heads N, the number of heads of q",
        )


def given_mask(layer: Projected) -> masks.Mask:
    """What the file itself hides: its `mask`, and the padding of its keys."""
    mask = masks.NONE
    if "mask" in layer.given:
        mask += masks.custom(masks.as_visible("mask", layer.given["mask"]), "mask")
    if "padding" in layer.given:
        padding = masks.as_visible("the padding mask", layer.given["padding"])
        # PyTorch's key_padding_mask is True where a key is padding; numbers are 1 where it is none
        seen = ~padding if layer.given["padding"].dtype == bool else padding
        mask += masks.custom(seen.reshape(1, -1), "padding")
    return mask


def _score(spec: str, layer: Projected, d_q: int, d_k: int) -> Score:
    """The score with its options, and with the learned arrays that the file has of it."""
    name, options = parse_spec(spec)
    entry = SCORES[name]
    missing = [array for array in entry.arrays if array not in layer.given]
    if missing:
        needed = [f"{array} [{', '.join(entry.arrays[array])}]" for array in missing]
        raise AttnvizError(
            f"the score `{name}` has learned arrays, which the file lacks: {', '.join(needed)}",
            f"save them beside q, k and v, named {', '.join(entry.arrays)}",
        )
    learned = {array: floating(layer.given[array]) for array in entry.arrays}
    return functools.partial(entry.function, **learned, **SCORES.options(name, options))


def _stream(
    streams: dict[str, Tokens],
    what: str,
    path: Path,
    tokens: Sequence[str] | None,
    count: int,
) -> str:
    """The name of the stream of so many tokens: layers that have others get one of their own."""
    name, number = what, 1
    while name in streams and len(streams[name]) != count:
        number += 1
        name = f"{what}-{number}"
    option = "--tokens" if what == "queries" else "--key-tokens"
    if name not in streams:
        streams[name] = token_stream(path, what, option, tokens, count)
    return name


def _alignment_note(layers: Sequence[Projected], how: How) -> list[str]:
    uneven = [layer for layer in layers if layer.q.shape[-2] != layer.k.shape[-2]]
    if not uneven or not any(name.startswith("causal") for name in how.mask.names):
        return []
    if how.alignment == "lower_right":
        return [
            say(
                "causal: the last query stands at the last key; "
                "the first at the first: --align upper_left"
            )
        ]
    return [say("causal: the first query stands at the first key")]


__all__ = [
    "How",
    "attended",
    "given_mask",
    "matrix_bytes",
    "scores_at",
    "summarised",
    "trace_of_projections",
    "trace_of_reading",
]
