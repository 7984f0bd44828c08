"""The attention of anybody's queries, keys and values, as a trace."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.memory import check_available
from attnviz.nn import masks
from attnviz.nn.attention import attend
from attnviz.nn.heads import check_shapes
from attnviz.nn.scores import SCORES, Score
from attnviz.nn.site import Site
from attnviz.nn.types import Array, floating
from attnviz.registry import parse_spec
from attnviz.tokens import Tokens
from attnviz.trace.arrays import token_stream
from attnviz.trace.projections import Axes, Projected, Reading, read_projections
from attnviz.trace.record import ARRAY, ModelFacts, Record, Trace, read_only

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
) -> Trace:
    """All stages of every attention of a file that was read."""
    streams: dict[str, Tokens] = {}
    records = []
    _check_memory(path, reading.layers)
    for layer in reading.layers:
        n_q, n_k = layer.q.shape[-2], layer.k.shape[-2]
        queries = _stream(streams, "queries", path, tokens, n_q)
        is_self = n_q == n_k and key_tokens is None and layer.id.kind == "self"
        keys = queries if is_self else _stream(streams, "keys", path, key_tokens, n_k)
        records.append(attended(path, layer, how, queries, keys))
    notes = (*reading.notes, *_alignment_note(records, how))
    return Trace(ModelFacts(path.name, ARRAY, notes=notes), streams, tuple(records))


def attended(path: Path, layer: Projected, how: How, queries: str, keys: str) -> Record:
    """One attention with all its stages; `queries` and `keys` are the names of its streams."""
    q, k, v = layer.q, layer.k, layer.v
    n_q, n_k = q.shape[-2], k.shape[-2]
    offset = n_k - n_q if how.alignment == "lower_right" else 0
    places = np.arange(n_q) + offset, np.arange(n_k)
    mask = how.mask + (given_mask(layer) if how.own_mask else masks.NONE)
    bias = how.bias if how.bias is not None else layer.given.get("bias")
    sinks = how.sinks if how.sinks is not None else layer.given.get("sinks")
    try:
        _check_widths(layer)
        check_shapes(q, k, v)
        score = _score(how.score, layer, q.shape[-1], k.shape[-1])
        done = attend(
            q, k, v,
            score=score, scale=how.scale, mask=mask.visible(*places), bias=bias,
            softcap=how.softcap, sinks=sinks,
        )  # fmt: skip
    except AttnvizError as error:
        raise AttnvizError(f"{path}: {layer.id}: {error.message}", error.hint) from error
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
    stages = {name: read_only(array) for name, array in done._asdict().items()}
    stages["mask"] = read_only(_by_head(done.mask, n_q, n_k))
    if bias is not None:
        stages["bias"] = read_only(floating(bias))
    if len(mask.rules) > 1:
        stages["masked_by"] = read_only(_by_head(mask.reasons(*places), n_q, n_k))
    return Record.of(site, stages)


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


def _alignment_note(records: Sequence[Record], how: How) -> list[str]:
    uneven = [
        r for r in records if r.weights is not None and r.weights.shape[-2] != r.weights.shape[-1]
    ]
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


def _check_memory(path: Path, layers: Sequence[Projected]) -> None:
    cells = sum(len(layer.q) * layer.q.shape[-2] * layer.k.shape[-2] for layer in layers)
    check_available(
        cells * N_MATRIX * 4, f"{path}: attention of {len(layers)} layers", "save fewer layers"
    )


__all__ = ["How", "attended", "given_mask", "trace_of_projections", "trace_of_reading"]
