"""Anybody's attention weights -> a trace, and `load` for everything that can be shown.

Accepted axes: [n_k], [n_q, n_k], [n_head, n_q, n_k], [n_layer, n_head, n_q, n_k], and any of
them with a batch axis that is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId, Site
from attnviz.nn.types import Array
from attnviz.registry import nearest
from attnviz.tokens import Tokens
from attnviz.trace.file import from_archive
from attnviz.trace.record import ARRAY, ModelFacts, Record, Trace, read_only

LISTED = 4
"""Shapes that an error names."""

NAMES = ("weights", "attn", "attention", "attentions", "attn_weights", "probs", "pattern")


def load(
    path: str | Path,
    *,
    array: str | None = None,
    batch: str | int | None = None,
    tokens: Sequence[str] | None = None,
    key_tokens: Sequence[str] | None = None,
) -> Trace:
    """Read a trace that `Trace.save` wrote, or a plain file of attention weights.

    Args:
        path: `.npz`, `.safetensors` or `.json` of a trace; `.npy`, `.npz`, `.safetensors` or
            `.json` of weights: [n_k], [n_q, n_k], [n_head, n_q, n_k] or
            [n_layer, n_head, n_q, n_k].
        array: which array of the file holds the weights; by default the only one, one with a
            usual name, or all of them, a layer each.
        batch: the batch axis, 0 or "0"; "0:3" takes item 3 of it.
        tokens: of the queries, and of the keys too where their numbers are equal.
        key_tokens: of the keys, where they are others.

    Raises:
        AttnvizError: a file that cannot be read, shapes or numbers of tokens that do not fit.
    """
    path = Path(path)
    manifest, arrays = archive.read(path)
    if manifest is not None:
        if tokens is not None or key_tokens is not None or batch is not None or array is not None:
            raise AttnvizError(
                f"{path} is a trace: it has its own tokens and axes",
                "tokens, key tokens, batch and array are for plain arrays",
            )
        return from_archive(path, manifest, arrays)
    layers = _layers(path, _chosen(path, arrays, array), batch)
    n_q, n_k = layers[0].shape[-2:]
    if any(layer.shape[-2:] != (n_q, n_k) for layer in layers):
        shapes = list(dict.fromkeys(str(list(layer.shape)) for layer in layers))
        more = f" and {len(shapes) - LISTED} more" if len(shapes) > LISTED else ""
        raise AttnvizError(
            f"{path}: the layers have different shapes: {', '.join(shapes[:LISTED])}{more}",
            "show one of them: --array NAME; weights of a model: attnviz run TEXT -m FOLDER",
        )
    queries = _stream(path, "queries", "--tokens", tokens, n_q)
    same = n_q == n_k and key_tokens is None
    keys = queries if same else _stream(path, "keys", "--key-tokens", key_tokens, n_k)
    return Trace(
        model=ModelFacts(path.name, ARRAY),
        streams={"queries": queries} if same else {"queries": queries, "keys": keys},
        records=tuple(
            Record(
                Site(
                    id=RecordId(ARRAY, number, "self" if same else "cross"),
                    queries="queries",
                    keys="queries" if same else "keys",
                    n_head=len(layer),
                    n_kv_head=len(layer),
                ),
                weights=read_only(layer),
            )
            for number, layer in enumerate(layers)
        ),
    )


def _chosen(path: Path, arrays: Mapping[str, Array], wanted: str | None) -> list[Array]:
    if not arrays:
        raise AttnvizError(f"{path} holds no arrays", "save weights in it")
    if wanted is not None:
        if wanted not in arrays:
            raise AttnvizError(f"{path} has no array {wanted!r}", nearest(wanted, arrays))
        names = [wanted]
    elif usual := [name for name in NAMES if name in arrays]:
        names = usual[:1]
    else:
        names = sorted(arrays, key=_natural)
    chosen = [arrays[name] for name in names]
    for name, found in zip(names, chosen, strict=True):
        if found.dtype.kind not in "fiub":
            raise AttnvizError(
                f"{path}: {name} holds {found.dtype}; expected numbers", "convert them to float32"
            )
        if found.ndim == 0 or found.size == 0:
            raise AttnvizError(
                f"{path}: {name} has the shape {list(found.shape)}; expected at least one weight",
                "axes are [n_head, n_q, n_k] or fewer, or [n_layer, n_head, n_q, n_k]",
            )
    if len(chosen) > 1 and any(found.ndim > 3 for found in chosen):
        raise AttnvizError(
            f"{path} holds {len(chosen)} arrays: {', '.join(names[:8])}",
            "say which one: --array NAME",
        )
    return chosen


def _layers(path: Path, arrays: list[Array], batch: str | int | None) -> list[Array]:
    """Each layer as [n_head, n_q, n_k]."""
    layers: list[Array] = []
    for array in arrays:
        array = array if batch is None else _item(path, array, str(batch))
        if array.ndim > 4:
            raise AttnvizError(
                f"{path}: the shape {list(array.shape)} has {array.ndim} axes; "
                "expected at most [n_layer, n_head, n_q, n_k]",
                "name the batch axis: --batch 1 if the axes are [n_layer, n_batch, n_head, …]",
            )
        array = array.reshape((1,) * (4 - array.ndim) + array.shape)
        if array.dtype.kind != "f":
            array = array.astype(np.float32)
        layers += list(array)
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
    return np.asarray(array.take(number, axis))


def _stream(path: Path, what: str, option: str, tokens: Sequence[str] | None, count: int) -> Tokens:
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
