"""The weights and outputs of a file again, from its own q, k and v."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.analysis.given import Match, matches
from attnviz.errors import AttnvizError
from attnviz.language import say, to_say
from attnviz.nn.masks import custom
from attnviz.nn.types import Array
from attnviz.trace.attended import How
from attnviz.trace.names import by_group
from attnviz.trace.projections import Axes, Projected, precision, read_projections
from attnviz.trace.record import Record

COMPARED = ("weights", "context")

NO_BIAS = to_say(
    "weights, from q and k: they are others, and a bias of positions may be why, which scores and "
    "logits would show: --keep all"
)
"""A trace does not say whether there was a bias, as T5's."""


class Again(NamedTuple):
    """What was compared, and why something was not."""

    matches: tuple[Match, ...]
    untested: tuple[str, ...] = ()


def of_arrays(
    path: Path, arrays: Mapping[str, Array], axes: Axes, how: How, sinks: bool = False
) -> Again:
    """Every layer and item of the batch of which the file has q, k and weights, or an output and v.
    Where no mask is stated, a key is taken as masked whose weight is 0.

    arrays: by name, [n_layer, n_batch, heads, n, d] or fewer axes.
    """
    arrays, without_v = _with_v(arrays)
    try:
        reading = read_projections(path, arrays, axes, every_item=True)
        found = [
            match
            for layer in reading.layers
            for match in _matches(path, _compared(layer, without_v), how, sinks)
        ]
    except AttnvizError as error:
        return Again((), (say("recomputation: {reason}", reason=error.message),))
    return Again(tuple(found))


def of_records(path: Path, records: Sequence[Record], how: How) -> Again:
    """The same of a trace, whose records say how they were computed."""
    found: list[Match] = []
    reasons: list[str] = []
    for record in records:
        if record.q is None or record.k is None or record.weights is None:
            continue
        v = record.k if record.v is None else record.v
        given = {"weights": record.weights}
        if record.v is not None and record.context is not None:
            given["context"] = record.context
        site = record.site
        layer = Projected(record.id, record.q, record.k, v, given, precision(record.q))
        own = replace(
            how,
            score=site.score or how.score,
            scale=site.scale if how.scale is None else how.scale,
            softcap=site.softcap if how.softcap is None else how.softcap,
            bias=_bias(record),
        )
        if own.mask.rules == () and record.mask is not None:
            own = replace(own, mask=custom(record.mask))
        try:
            matches = [*_matches(path, layer, own, bool(site.sinks))]
        except AttnvizError as error:
            reasons.append(to_say("recomputation: {reason}", reason=error.message))
            continue
        if own.bias is None and not all(match.holds for match in matches):
            reasons.append(NO_BIAS)
        else:
            found += matches
    return Again(tuple(found), tuple(say(each) for each in dict.fromkeys(reasons)))


def _bias(record: Record) -> Array | None:
    """What was added to the scores, by what the record has of it; None if it does not say."""
    if record.bias is not None or record.scores is None or record.logits is None:
        return record.bias
    scores, cap = record.scores, record.site.softcap
    capped = cap * np.tanh(scores / cap) if cap else scores
    return np.where(np.isfinite(record.logits), record.logits - capped, 0).astype(scores.dtype)


def _matches(path: Path, layer: Projected, how: How, sinks: bool) -> Iterator[Match]:
    weights = layer.given.get("weights")
    if not set(layer.given) & set(COMPARED):
        return
    is_stated = how.mask.rules or (how.own_mask and {"mask", "padding"} & set(layer.given))
    if not is_stated and weights is not None and weights.ndim in (2, 3):
        how = replace(how, mask=custom(weights != 0))
    if sinks and weights is not None and "sinks" not in layer.given:
        with np.errstate(all="ignore"):
            sums = weights.sum(-1, keepdims=True, dtype=np.float64)
            whole = np.where(sums == 0, 0, weights / sums).astype(weights.dtype)
        layer = layer._replace(given={**_without(layer.given, "context"), "weights": whole})
    only = layer._replace(given={r: x for r, x in layer.given.items() if r in COMPARED})
    which = "" if layer.item is None else f"[{layer.item}]"
    for match in matches(path, only, how):
        yield match._replace(record=f"{match.record}{which}")


def _compared(layer: Projected, without_v: bool) -> Projected:
    return layer._replace(given=_without(layer.given, "context")) if without_v else layer


def _without(given: Mapping[str, Array], role: str) -> dict[str, Array]:
    return {name: x for name, x in given.items() if name != role}


def _with_v(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], bool]:
    """With the keys in the place of values where there are none: weights need no values."""
    made = dict(arrays)
    for group, roles in by_group(arrays).items():
        if {"q", "k"} <= set(roles) and "v" not in roles:
            made["_".join((*group, "v"))] = arrays[roles["k"]]
    return made, len(made) > len(arrays)
