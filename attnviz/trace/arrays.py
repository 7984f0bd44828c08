"""Anybody's attention weights -> a trace.

Accepted axes: [n_k], [n_q, n_k], [n_head, n_q, n_k], [n_layer, n_head, n_q, n_k], and any of
them with a batch axis that is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.archive.npy import forget
from attnviz.archive.safetensors import widen_bfloat16
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.heads import check_broadcast
from attnviz.nn.masks import NONE, ArrayRule, Mask, Places, custom
from attnviz.nn.site import RecordId, Site
from attnviz.nn.streaming import Inputs, read_weights
from attnviz.nn.types import Array, Bool
from attnviz.registry import nearest
from attnviz.tokens import Tokens
from attnviz.trace.dtypes import bits_note, type_name
from attnviz.trace.names import has_projections
from attnviz.trace.record import ARRAY, ModelFacts, Record, Trace, read_only
from attnviz.trace.selection import Selection
from attnviz.trace.steps import joined
from attnviz.trace.summary import PlanSummaries, Summariser, SummaryPlan, measured_as_causal

LATER_ROWS = 256
"""Rows that are looked at together for weights on later keys."""

MAX_SHAPES = 4
"""How many shapes an error names."""

MAX_NAMES = 8
"""How many arrays an error names."""

NAN = ("broken", "masked")
"""What NaN among the weights means: that they are broken, or that the cell is masked."""

BITS = np.dtype("V2")
"""What NumPy writes of bfloat16, a type that it does not know."""

USUAL_NAMES = ("weights", "attn", "attention", "attentions", "attn_weights", "probs", "pattern")


def trace_of_arrays(
    path: Path,
    arrays: Mapping[str, Array],
    *,
    array: str | None = None,
    batch: str | int | None = None,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
    nan: str | None = None,
    mask: Mask = NONE,
    bits: Collection[str] = (),
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    select: Selection | None = None,
) -> Trace:
    """The weights among the arrays of a file as a trace, or those that its q, k and v give; for
    the options see `attnviz.load`.

    Args:
        bits: the names of arrays that hold the bits of bfloat16.
        memory: bytes that the weights may take; of more, which may be in a map of the file, a
            summary is made, some rows at a time.
        summaries: makes the plan of the summaries.
        select: of which heads summaries are made; by default all.

    Raises:
        AttnvizError: no array to take, or several; shapes or numbers of tokens that do not fit.
    """
    if nan not in (None, *NAN):
        raise AttnvizError(f"nan: unknown value {nan!r}", nearest(str(nan), NAN))
    if array is None and not _usual(arrays) and has_projections(arrays):
        return _computed(
            *(path, arrays, batch, tokens, key_tokens, mask),
            memory=memory,
            summaries=summaries,
            select=select,
        )
    chosen = _chosen(path, arrays, array)
    guessed = [name for name, each in chosen.items() if name not in bits and each.dtype == BITS]
    bits = {*bits, *guessed}
    notes = [bits_note(name, "bfloat16") for name in guessed]
    steps = joined(path, chosen, lambda name, each: _numbers(each, name in bits))
    if steps is not None:
        chosen, mask = steps.layers, steps.mask + mask
        notes.append(say("{n_step} steps of a decoder are put together", n_step=steps.n_step))
    layers = _layers(path, chosen, batch)
    of_bits = [name in bits for name in chosen] * (len(layers) if len(chosen) == 1 else 1)
    n_q, n_k = _common_size(path, layers)
    queries = token_stream(path, "queries", "--tokens", tokens, n_q)
    streams = {"queries": queries}
    is_self = n_q == n_k and key_tokens is None
    if not is_self:
        streams["keys"] = token_stream(path, "keys", "--key-tokens", key_tokens, n_k)
    n_byte = sum(max(4, layer.dtype.itemsize) * layer.size for layer in layers)
    plan = None
    if memory is not None and summaries is not None and n_byte > memory:
        plan = summaries(streams)
    records = []
    for number, (layer, is_bits) in enumerate(zip(layers, of_bits, strict=True)):
        site = Site(
            id=RecordId(ARRAY, number, "self" if is_self else "cross"),
            queries="queries",
            keys="queries" if is_self else "keys",
            n_head=len(layer),
            n_kv_head=len(layer),
        )
        numbers = partial(_numbers, is_bits=is_bits)
        if plan is not None:
            if select is None or select.covers(site):
                heads = range(len(layer)) if select is None else select.heads(site)
                records.append(_summarised(path, site, layer, numbers, nan, mask, plan, heads))
            continue
        whole = numbers(layer)
        weights, seen = _split_nan(whole) if nan == "masked" else (whole, None)
        hidden = (NONE if seen is None else custom(seen, "nan")) + mask
        stages = {"weights": read_only(weights), **_masks(path, weights, hidden)}
        records.append(Record.of(replace(site, mask=hidden.names), stages))
    model = ModelFacts(path.name, ARRAY, notes=tuple(notes))
    return Trace(model=model, streams=streams, records=tuple(records))


def _summarised(
    path: Path,
    site: Site,
    layer: Array,
    numbers: Callable[[Array], Array],
    nan: str | None,
    mask: Mask,
    plan: SummaryPlan,
    heads: Sequence[int],
) -> Record:
    """A layer [n_head, n_q, n_k] that may be in a map of its file: what is made of it is read some
    rows at a time."""
    n_head, n_q, n_k = layer.shape
    places = np.arange(n_q) + (n_k - n_q), np.arange(n_k)
    hidden = Mask((("nan", NanRule(layer, numbers)),)) if nan == "masked" else NONE
    hidden += mask
    site = replace(site, mask=hidden.names)
    no_values = np.zeros((n_head, n_k, 0), numbers(layer[:0]).dtype)
    inputs = Inputs(n_head, *places, hidden, no_values)

    def rows(head: int, queries: slice) -> Array:
        weights = numbers(layer[head, queries])
        return np.where(np.isnan(weights), 0, weights) if nan == "masked" else weights

    if not hidden.rules and site.queries == site.keys and _looks_causal(rows, n_head, n_k):
        plan = measured_as_causal(plan)
    summariser = Summariser(plan, site, inputs, heads)
    try:
        if (seen := hidden.visible_part(*places, slice(0, 1), slice(0, n_k))) is not None:
            check_broadcast("mask", seen, (n_head, 1, n_k))
        read_weights(rows, heads, inputs, summariser.reader, lambda: forget(layer))
    except AttnvizError as error:
        raise AttnvizError(f"{path}: {error.message}", error.hint) from error
    return Record.of(site, {}, summariser.summary())


def _looks_causal(rows: Callable[[int, slice], Array], n_head: int, n_token: int) -> bool:
    """Whether no query gives any weight to a later key, and there are enough of them not to do so
    by chance."""
    if n_token <= 2:
        return False
    strips = (slice(i, i + LATER_ROWS) for i in range(0, n_token, LATER_ROWS))
    return not any(
        np.triu(rows(head, strip), strip.start + 1).any()
        for strip in strips
        for head in range(n_head)
    )


class NanRule(ArrayRule):
    """Hides the cells that are NaN among weights [n_head, n_q, n_k], which may be in a file."""

    def __init__(self, layer: Array, numbers: Callable[[Array], Array]) -> None:
        self._layer, self._numbers = layer, numbers

    def part(self, q_pos: Array, k_pos: Array, queries: Places, keys: Places) -> Bool:
        """Some rows and columns, [n_head, n_row, n_key]."""
        return ~np.isnan(self._numbers(self._layer[:, queries][..., keys]))

    def _of(self, n_q: int, n_k: int) -> Bool:
        return ~np.isnan(self._numbers(self._layer))


def _numbers(weights: Array, is_bits: bool) -> Array:
    """Weights [...] as they are computed with: floating point of this machine."""
    if is_bits:
        return widen_bfloat16(np.asarray(weights).view(np.uint16))
    if weights.dtype.kind != "f":
        return weights.astype(np.float32)
    dtype = weights.dtype.newbyteorder("=") if weights.dtype.itemsize <= 8 else np.dtype(float)
    return np.asarray(weights).astype(dtype, copy=False)


def _computed(
    path: Path,
    arrays: Mapping[str, Array],
    batch: str | int | None,
    tokens: Sequence[str] | None,
    key_tokens: Sequence[str] | None,
    mask: Mask,
    **long: Any,
) -> Trace:
    """The attention of a file of queries, keys and values."""
    from attnviz.trace.attended import How, trace_of_reading
    from attnviz.trace.projections import Axes, read_projections

    reading = read_projections(path, arrays, Axes(batch=None if batch is None else str(batch)))
    trace = trace_of_reading(path, reading, How(mask=mask), tokens, key_tokens, **long)
    note = say(
        "these are q, k and v: the weights are computed, softmax(q · k / √d_k); `attnviz attend` "
        "computes them in other ways"
    )
    return replace(trace, model=replace(trace.model, notes=(note, *trace.model.notes)))


def _masks(path: Path, weights: Array, mask: Mask) -> dict[str, Array]:
    """The stages `mask` and `masked_by` of weights [n_head, n_q, n_k]. A cell that has a weight in
    spite of its mask is given no reason, so that it is drawn and not hidden."""
    n_q, n_k = weights.shape[-2:]
    places = np.arange(n_q) + (n_k - n_q), np.arange(n_k)
    visible = mask.visible(*places)
    if visible is None:
        return {}
    try:
        check_broadcast("mask", visible, weights.shape)
    except AttnvizError as error:
        raise AttnvizError(f"{path}: {error.message}", error.hint) from error
    full = np.broadcast_to(visible, np.broadcast_shapes(visible.shape, (n_q, n_k)))
    against = ~full & (weights != 0)
    if not against.any() and len(mask.rules) == 1:
        return {"mask": read_only(full)}
    reasons = mask.reasons(*places)
    if against.any():
        reasons = np.where(against, reasons.dtype.type(0), reasons)
    return {"mask": read_only(full), "masked_by": read_only(reasons)}


def _split_nan(layer: Array) -> tuple[Array, Array | None]:
    """The weights with 0 for NaN, and the mask that NaN stands for: [n_q, n_k] where all heads
    have the same, else [n_head, n_q, n_k]; None without any."""
    hidden = np.isnan(layer)
    if not hidden.any():
        return layer, None
    mask = ~hidden
    return np.where(hidden, 0, layer), mask[0] if (mask == mask[0]).all() else mask


def _common_size(path: Path, layers: Sequence[Array]) -> tuple[int, int]:
    """(n_q, n_k) of all layers."""
    n_q, n_k = layers[0].shape[-2:]
    if any(layer.shape[-2:] != (n_q, n_k) for layer in layers):
        shapes = list(dict.fromkeys(str(list(layer.shape)) for layer in layers))
        n_more = len(shapes) - MAX_SHAPES
        more = f" and {n_more} more" if n_more > 0 else ""
        raise AttnvizError(
            f"{path}: the layers have different shapes: {', '.join(shapes[:MAX_SHAPES])}{more}",
            "show one of them: --array NAME; weights of a model: attnviz run TEXT -m FOLDER",
        )
    return n_q, n_k


def _chosen(path: Path, arrays: Mapping[str, Array], wanted: str | None) -> dict[str, Array]:
    """The arrays that hold the weights, by name, in the order of layers."""
    if not arrays:
        raise AttnvizError(f"{path} holds no arrays", "save weights in it")
    if wanted is not None:
        if wanted not in arrays:
            raise AttnvizError(f"{path} has no array {wanted!r}", nearest(wanted, arrays))
        names = [wanted]
    elif usual := _usual(arrays):
        names = usual[:1]
    else:
        names = sorted(arrays, key=_natural)
    chosen = [arrays[name] for name in names]
    for name, each in zip(names, chosen, strict=True):
        if each.dtype.kind not in "fiub" and each.dtype != BITS:
            raise AttnvizError(
                f"{path}: {name} holds {type_name(each)}; expected numbers",
                "save them as numbers: np.save(FILE, weights.astype(np.float32))",
            )
        if each.ndim == 0 or each.size == 0:
            raise AttnvizError(
                f"{path}: {name} has the shape {list(each.shape)}; expected at least one weight",
                "axes are [n_head, n_q, n_k] or fewer, or [n_layer, n_head, n_q, n_k]",
            )
    return dict(zip(names, chosen, strict=True))


def _usual(arrays: Mapping[str, Array]) -> list[str]:
    """The arrays that hold the weights by their names."""
    return [name for name in USUAL_NAMES if name in arrays]


def _layers(path: Path, arrays: Mapping[str, Array], batch: str | int | None) -> list[Array]:
    """Each layer as [n_head, n_q, n_k]. Of several arrays each is a layer, which may have an axis
    of 1 before its heads: a batch of one text."""
    items = {
        name: array if batch is None else _item(path, array, str(batch))
        for name, array in arrays.items()
    }
    deep = [array.shape for array in items.values() if array.ndim > 3 and array.shape[:-3] != (1,)]
    if deep and len(items) > 1:
        n_more = len(items) - MAX_NAMES
        more = f" and {n_more} more" if n_more > 0 else ""
        raise AttnvizError(
            f"{path} holds {len(items)} arrays: {', '.join([*items][:MAX_NAMES])}{more}; expected "
            f"of each a layer [n_head, n_q, n_k], got {list(deep[0])}",
            "say which one: --array NAME"
            + ("; if its first axis is the batch: --batch 0:0" if batch is None else ""),
        )
    layers: list[Array] = []
    for array in items.values():
        if array.ndim > 4:
            raise AttnvizError(
                f"{path}: the shape {list(array.shape)} has {array.ndim} axes; "
                "expected at most [n_layer, n_head, n_q, n_k]",
                "name the batch axis: --batch 1 if the axes are [n_layer, n_batch, n_head, …]",
            )
        layers += list(array.reshape((1,) * (4 - array.ndim) + array.shape))
    return layers


def _item(path: Path, array: Array, batch: str) -> Array:
    match = re.fullmatch(r"(\d+)(?::(\d+))?", batch)
    if match is None:
        raise AttnvizError(f"cannot read the batch axis {batch!r}", "write 0, or 0:3 for item 3")
    axis, item = int(match[1]), match[2]
    if axis >= array.ndim - 2:
        raise AttnvizError(
            f"{path}: axis {axis} of the shape {list(array.shape)} cannot be the batch: "
            "the last two are n_q and n_k",
            "axes count from 0",
        )
    n_batch = array.shape[axis]
    if item is None and n_batch > 1:
        raise AttnvizError(
            f"{path}: the batch holds {n_batch} items; one is shown at a time",
            f"say which: --batch {axis}:0 to --batch {axis}:{n_batch - 1}",
        )
    number = int(item or 0)
    if number >= n_batch:
        raise AttnvizError(
            f"{path}: the batch has no item {number}: it holds {n_batch}", "items count from 0"
        )
    return np.asarray(array[(slice(None),) * axis + (number,)])  # a view: no copy


def token_stream(
    path: Path, what: str, option: str, tokens: Sequence[str] | None, count: int
) -> Tokens:
    if tokens is None:
        return Tokens.of([f"#{i}" for i in range(count)])
    if len(tokens) != count:
        raise AttnvizError(
            f"{path}: {count} {what}, but {len(tokens)} tokens", f"give {count} with {option}"
        )
    return Tokens.of(tokens)


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sorts layer_2 before layer_10."""
    return [
        (0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part
    ]
