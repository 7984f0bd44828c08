"""Anybody's dump of a model's stages: which array is which stage of which layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.port.stages import IN_ATTENTION, OF_BLOCKS, At
from attnviz.nn.types import Array
from attnviz.trace.names import parse_name, place

IDS = ("input_ids", "ids", "token_ids")
TARGET_IDS = ("decoder_input_ids", "target_ids", "target")
PADDING = ("attention_mask", "padding_mask", "mask")

HIDDEN: Mapping[str, str] = {
    **dict.fromkeys(("hidden_states", "hidden_state", "hiddens", "hs"), "at"),
    **dict.fromkeys(
        ("hidden_in", "block_in", "layer_in", "resid_pre", "layer_input", "block_input"), "in"
    ),
    **dict.fromkeys(
        ("hidden_out", "block_out", "layer_out", "resid_post", "layer_output", "block_output"),
        "out",
    ),
    **dict.fromkeys(("l_out",), "out"),
    **dict.fromkeys(("last_hidden_state", "final_hidden_state", "result_norm"), "last"),
    **dict.fromkeys(
        ("embeddings", "embedding", "embed", "embed_tokens", "inputs_embeds", "inp_embd", "wte"),
        "first",
    ),
}
"""The last words of a name -> which hidden state it is: `at` the number behind, what goes `in` or
comes `out` of a block, the `first` or the `last`."""

MODULES = ("layer", "layers", "block", "blocks", "h")
"""A name that ends with these and a number is what the block gives."""

OUTPUT = ("attn_output", "attention_output", "attn_out", "output", "out")
"""May be the context, or what the output projection makes of it."""

LLAMA_CPP = {"kq": "scores", "kq_soft_max": "weights", "kqv": "context", "kqv_out": "context",
             "qcur": "q", "kcur": "k", "vcur": "v"}  # fmt: skip
"""What llama.cpp calls the stages of its graph: `Qcur-3`."""


class Named(NamedTuple):
    """What a name says of an array."""

    stages: tuple[str, ...]
    """The stages that it may be, the likeliest first."""
    layer: int | None
    """None: all layers lie in one array."""
    stack: str | None = None
    kind: str = "self"


class Given(NamedTuple):
    """An array of the dump, of one layer."""

    name: str
    ats: tuple[At, ...]
    """The stages that it may be."""
    array: Array


def read_name(name: str, n_layer: Mapping[str, int]) -> Named | None:
    """What an array is, of a model whose stacks have so many layers; None where the name says
    nothing."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"[^a-z0-9]+", " ", name.casefold()))
    letters = [word for word in words if not word.isdigit()]
    number = _layer(words)
    stack, _, kind = place(tuple(words))
    stack = stack or ("decoder" if kind == "cross" else None)
    stack = stack if stack in n_layer else next(iter(n_layer)) if len(n_layer) == 1 else stack
    last = n_layer.get(stack or next(iter(n_layer)), 0)
    for length in (3, 2, 1):
        tail = "_".join(letters[-length:])
        if tail in LLAMA_CPP:
            return Named((LLAMA_CPP[tail],), number, stack)
        if tail in HIDDEN and len(letters) >= length:
            where = HIDDEN[tail]
            if where in ("first", "last"):
                return Named(("hidden",), 0 if where == "first" else last, stack)
            layer = None if number is None else number + (where == "out")
            return Named(OF_BLOCKS, layer, stack)
    if letters and letters[-1] in MODULES and words[-1].isdigit() and number is not None:
        return Named(OF_BLOCKS, number + 1, stack)
    return _of_attention(name, letters, number, stack, kind or "self")


def _layer(words: Sequence[str]) -> int | None:
    """The number behind the first `layer`, `block`, `h`; else the last."""
    after = (int(b) for a, b in pairwise(words) if a in MODULES and b.isdigit())
    numbers = [int(word) for word in words if word.isdigit()]
    return next(after, numbers[-1] if numbers else None)


def _of_attention(
    name: str, letters: Sequence[str], number: int | None, stack: str | None, kind: str
) -> Named | None:
    is_attention = any("attn" in word or "attention" in word for word in letters[:-1])
    if letters and letters[-1] in ("o", "proj") and letters[-2:] in (["o", "proj"], ["c", "proj"]):
        return Named(("attended",), number, stack, kind)
    if letters and letters[-1] in ("output", "out") and not is_attention and number is not None:
        return Named(OF_BLOCKS, number + 1, stack)
    parsed = parse_name(name)
    if parsed is None or parsed.role not in (*IN_ATTENTION, "weights"):
        return None
    if parsed.role == "context" and any("_".join(letters).endswith(word) for word in OUTPUT):
        return Named(("attended", "context"), number, stack, kind)
    if parsed.role in ("q", "k"):
        before = f"{parsed.role}_proj"
        is_projection = letters[-1] in ("proj", "query", "key", "lin")
        return Named((before,) if is_projection else (parsed.role, before), number, stack, kind)
    return Named((parsed.role,), number, stack, kind)


def givens(arrays: Mapping[str, Array], n_layer: Mapping[str, int]) -> Iterator[Given]:
    """Every array whose name says what it is, cut into layers where it holds several.

    arrays: in any axes, [n_layer, ...] where several layers lie in one.
    """
    for name, x in arrays.items():
        named = read_name(name, n_layer)
        if named is None or x.dtype.kind != "f":
            continue
        for stack in [named.stack] if named.stack else list(n_layer):
            if named.layer is not None:
                ats = tuple(At(stack, named.layer, each, named.kind) for each in named.stages)
                yield Given(name, ats, x)
                continue
            yield from _layers(name, x, named, stack, n_layer[stack])


def _layers(name: str, x: Array, named: Named, stack: str, n_layer: int) -> Iterator[Given]:
    """An array that holds a stage of all layers, or of the only one."""
    n = n_layer + 1 if named.stages == OF_BLOCKS else n_layer
    if x.ndim > 2 and len(x) == n:
        for layer in range(n):
            ats = tuple(At(stack, layer, stage, named.kind) for stage in named.stages)
            yield Given(f"{name}[{layer}]", ats, x[layer])
    elif n == 1:
        yield Given(name, tuple(At(stack, 0, stage, named.kind) for stage in named.stages), x)


def ids_of(arrays: Mapping[str, Array], names: Sequence[str]) -> Array | None:
    """[n_batch, n]: whole numbers under one of these names."""
    for name, x in arrays.items():
        last = re.split(r"[./]", name.casefold())[-1]
        if last in names and x.dtype.kind in "iu" and 1 <= x.ndim <= 2:
            return x.reshape(1, -1) if x.ndim == 1 else x
    return None


def padding_of(arrays: Mapping[str, Array], shape: tuple[int, ...]) -> Array | None:
    """[n_batch, n], True where a token is no padding."""
    for name, x in arrays.items():
        last = re.split(r"[./]", name.casefold())[-1]
        if last in PADDING and x.shape == shape and x.dtype.kind in "iub":
            return x.astype(bool)
    return None


def arrangements(
    x: Array, shape: tuple[int, ...], stage: str, item: int, kept: Array
) -> Iterator[tuple[str, Array]]:
    """All ways to read an array as a stage [n_token, d_model], [n_head, n, d] or
    [n_head, n_q, n_k]: how, and what. `kept` [n] are the tokens that are no padding."""
    for what, y in _items(x, len(shape), item):
        for how, z in _axes(y, shape, stage):
            cut = _without_padding(z, shape, stage, kept)
            if cut.shape == shape:
                yield " ".join(filter(None, (what, how))), cut


def _items(x: Array, n_axis: int, item: int) -> Iterator[tuple[str, Array]]:
    """The item of the batch, wherever its axis may be."""
    yield "", x
    if x.ndim > 1 and len(x) > item:
        yield "", x[item]
    if x.ndim in (n_axis, n_axis + 1) and x.ndim > 2 and x.shape[1] > item:
        yield "[n, batch, …]", x[:, item]


def _axes(y: Array, shape: tuple[int, ...], stage: str) -> Iterator[tuple[str, Array]]:
    if stage in ("scores", "logits", "weights"):
        yield "", _without_cache(y, shape)
        return
    yield "", y
    if len(shape) != 3:
        return
    n_head, _, d = shape
    if y.ndim == 3:
        yield "[n, head, d]", y.swapaxes(0, 1)
        group = len(y) // n_head
        if (
            group > 1
            and len(y) % n_head == 0
            and np.array_equal(y, np.repeat(y[::group], group, 0))
        ):
            yield "heads repeated", y[::group]
    if y.ndim == 2 and y.shape[1] == n_head * d:
        yield "heads merged", y.reshape(len(y), n_head, d).swapaxes(0, 1)


def _without_cache(z: Array, shape: tuple[int, ...]) -> Array:
    """Without keys behind the last token, which no query sees: room in a cache."""
    n = shape[-1]
    if z.ndim == 3 and z.shape[1] == n < z.shape[2]:
        spare = z[:, :, n:]
        if not (spare[np.isfinite(spare)] > 0).any():
            return z[:, :, :n]
    return z


def _without_padding(z: Array, shape: tuple[int, ...], stage: str, kept: Array) -> Array:
    if z.ndim != len(shape) or z.shape == shape:
        return z
    axes = {2: (0,), 3: (1, 2) if stage in ("scores", "logits", "weights") else (1,)}[len(shape)]
    for axis in axes:
        if z.shape[axis] == len(kept):
            z = np.take(z, np.flatnonzero(kept), axis)
    return z
