"""Random dumps of attention that is right, computed in several honest ways.

Nothing here uses attnviz: each way is NumPy of its own (or PyTorch, where it is installed), in the
precision of the dump, with the roundings that real code has. Nobody of them may be accused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass
class Wanted:
    """What is computed: arrays [b, h, n, d] in float64, already rounded to the dump's type."""

    q: Array
    k: Array
    v: Array
    scale: float
    softcap: float = 0.0
    bias: Array | None = None
    """[1 or b, 1 or h, n_q, n_k]"""
    visible: Array | None = None
    """[1 or b, 1, 1 or n_q, n_k]"""
    sinks: Array | None = None
    """[h]"""


@dataclass
class Dump:
    arrays: dict[str, Array]
    options: dict[str, Any]
    what: str
    """How it was made, for whoever reads a failure."""
    words: list[str] = field(default_factory=list)
    dtype: str = "float32"
    wanted: Wanted | None = None
    out: Array | None = None
    """[b, h, n_q, d_v], as it was computed"""


def bfloat16(x: Array) -> Array:
    """The nearest bfloat16, ties to even, in float32."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    return np.where(np.isfinite(x), rounded.view(np.float32), np.asarray(x, np.float32))


def written(dtype: str) -> Callable[[Array], Array]:
    """What storing a result in a type leaves of it."""
    if dtype == "bfloat16":
        return bfloat16
    return lambda x: np.asarray(x).astype(dtype)


def per_head(w: Wanted) -> list[tuple[int, int, Array, Array, Array, Array, Array]]:
    """batch, head, q, k, v, what is added [n_q, n_k], what is visible [n_q, n_k]"""
    n_batch, n_head, n_q, _ = w.q.shape
    n_k, group = w.k.shape[2], n_head // w.k.shape[1]
    bias = np.broadcast_to(0.0 if w.bias is None else w.bias, (n_batch, n_head, n_q, n_k))
    seen = np.broadcast_to(True if w.visible is None else w.visible, (n_batch, n_head, n_q, n_k))
    return [
        (b, h, w.q[b, h], w.k[b, h // group], w.v[b, h // group], bias[b, h], seen[b, h])
        for b in range(n_batch)
        for h in range(n_head)
    ]


def plain(w: Wanted, real: str, kept: Callable[[Array], Array], roots: bool = False) -> Array:
    """Step by step in the type `real`, of which `kept` is stored; `roots`: the square root of the
    scale on both operands, as ONNX has it. -> [b, h, n_q, d_v]"""
    out = np.zeros((*w.q.shape[:3], w.v.shape[3]), real)
    for b, h, q, k, v, bias, seen in per_head(w):
        q, k, v = q.astype(real), k.astype(real), v.astype(real)
        if roots:
            root = np.sqrt(w.scale).astype(real)
            s = kept(kept(q * root) @ kept(k * root).T)
        else:
            s = kept(kept(q @ k.T) * np.asarray(w.scale, real))
        if w.softcap:
            s = kept(
                np.asarray(w.softcap, real) * kept(np.tanh(kept(s / np.asarray(w.softcap, real))))
            )
        s = kept(s + bias.astype(real))
        s = np.where(seen, s, -np.inf).astype(real)
        column = np.full((len(s), 1), -np.inf if w.sinks is None else w.sinks[h], real)
        top = np.maximum(s.max(-1, keepdims=True), column)
        top = np.where(np.isfinite(top), top, 0)
        e = kept(np.exp(kept(s - top)))
        total = kept(e.sum(-1, keepdims=True, dtype=real) + np.exp(column - top))
        p = kept(np.where(total > 0, e / np.where(total > 0, total, 1), 0))
        out[b, h] = kept(p.astype(real) @ v)
    return out


def stable(w: Wanted, dtype: str) -> Array:
    """In the dump's own type; half precision in float32, stored at the end."""
    real = dtype if dtype in ("float32", "float64") else "float32"
    return written(dtype)(plain(w, real, lambda x: x))


def rounded(w: Wanted, dtype: str) -> Array:
    """Every operation stores its result in the dump's type."""
    if dtype in ("float32", "float64"):
        return plain(w, dtype, lambda x: x)
    stored = written(dtype)
    return stored(plain(w, "float32", lambda x: np.asarray(stored(x), np.float32)))


def of_roots(w: Wanted, dtype: str) -> Array:
    """The same with the root of the scale on both operands."""
    if dtype in ("float32", "float64"):
        return plain(w, dtype, lambda x: x, roots=True)
    stored = written(dtype)
    return stored(plain(w, "float32", lambda x: np.asarray(stored(x), np.float32), roots=True))


def exact(w: Wanted, dtype: str) -> Array:
    """In float64, stored at the end."""
    return written(dtype)(plain(w, "float64", lambda x: x))


def blocked(w: Wanted, dtype: str, size: int = 4) -> Array:
    """Block by block of keys with a running maximum, in float32 (float64: in float64); half
    precision stores what is multiplied by v, as flash attention does."""
    real = "float64" if dtype == "float64" else "float32"
    stored = (lambda x: x) if dtype in ("float32", "float64") else written(dtype)
    out = np.zeros((*w.q.shape[:3], w.v.shape[3]), real)
    for b, h, q, k, v, bias, seen in per_head(w):
        q, k, v = q.astype(real), k.astype(real), v.astype(real)
        sink = -np.inf if w.sinks is None else float(w.sinks[h])
        top = np.full(len(q), sink, real)
        total = np.full(len(q), 0.0 if w.sinks is None else 1.0, real)
        acc = np.zeros((len(q), v.shape[1]), real)
        for at in range(0, len(k), size):
            keys = slice(at, at + size)
            s = (q @ k[keys].T) * np.asarray(w.scale, real)
            if w.softcap:
                s = np.asarray(w.softcap * np.tanh(s / w.softcap), real)
            s = np.where(seen[:, keys], s + bias[:, keys].astype(real), -np.inf).astype(real)
            new = np.maximum(top, s.max(-1))
            base = np.where(np.isfinite(new), new, 0).astype(real)
            shrink = np.exp(np.where(np.isfinite(top), top - base, -np.inf)).astype(real)
            e = np.exp(s - base[:, None])
            total = total * shrink + e.sum(-1)
            acc = acc * shrink[:, None] + np.asarray(stored(e), real) @ v[keys]
            top = new
        out[b, h] = acc / np.where(total > 0, total, 1)[:, None]
    return written(dtype)(out)


WAYS: dict[str, Callable[[Wanted, str], Array]] = {
    each.__name__: each for each in (stable, rounded, of_roots, exact, blocked)
}


def of_torch(w: Wanted, dtype: str, *, flash: bool) -> Array | None:
    """PyTorch's SDPA on the CPU, by its math path or its flash one; None where it cannot."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    if w.softcap or w.sinks is not None or (flash and w.v.shape[3] != w.q.shape[3]):
        return None
    kind = getattr(torch, dtype)
    q, k, v = (torch.from_numpy(x).to(kind) for x in (w.q, w.k, w.v))
    mask = None
    if w.bias is not None or w.visible is not None:
        added = np.broadcast_to(0.0 if w.bias is None else w.bias, (*w.q.shape[:3], w.k.shape[2]))
        mask = torch.from_numpy(np.where(True if w.visible is None else w.visible, added, -np.inf))
        mask = mask.to(kind)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION if flash else SDPBackend.MATH):
        out = scaled_dot_product_attention(q, k, v, mask, scale=w.scale, enable_gqa=True)
    return np.asarray(out.float().numpy() if dtype == "bfloat16" else out.numpy())


NAMES = (
    ("q", "k", "v", "out"),
    ("query", "key", "value", "output"),
    ("query_states", "key_states", "value_states", "attn_output"),
    ("Q", "K", "V", "O"),
)

LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "bhnd": lambda x: x,
    "bnhd": lambda x: x.transpose(0, 2, 1, 3),
    "bne": lambda x: x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1),
}


def correct(seed: int, *, torch: bool = False) -> Dump:
    """One random dump of attention that is right."""
    rng = np.random.default_rng(seed)
    dtype = str(rng.choice(["float64", "float32", "float16", "bfloat16"], p=[0.1, 0.4, 0.2, 0.3]))
    dump = Dump({}, {}, "", [dtype], dtype)
    w, masks = wanted(rng, dtype, dump)
    if torch:
        flash = bool(rng.random() < 0.5)
        computed = of_torch(w, dtype, flash=flash)
        dump.words.append("torch " + ("flash" if flash else "math"))
    if not torch or computed is None:
        way = str(rng.choice(list(WAYS)))
        computed = WAYS[way](w, dtype)
        dump.words.append(way)
    dump.wanted, dump.out = w, computed
    save(rng, w, computed, masks, dtype, dump)
    dump.what = f"seed {seed}: " + ", ".join(dump.words)
    return dump


def wanted(rng: np.random.Generator, dtype: str, dump: Dump) -> tuple[Wanted, dict[str, Array]]:
    """What is computed, and the arrays of its mask, bias and sinks as they are saved."""
    n_batch = int(rng.choice([1, 2, 3]))
    n_kv_head = int(rng.choice([1, 2, 3]))
    n_head = n_kv_head * int(rng.choice([1, 2, 4], p=[0.6, 0.2, 0.2]))
    n_k = int(rng.choice([1, 2, 5, 11, 17, 29], p=[0.05, 0.05, 0.2, 0.3, 0.2, 0.2]))
    n_q = int(rng.choice([1, n_k, max(1, n_k - 4), n_k + 3], p=[0.2, 0.45, 0.25, 0.1]))
    d_k = int(rng.choice([1, 4, 7, 16, 31, 64], p=[0.05, 0.15, 0.2, 0.2, 0.2, 0.2]))
    d_v = d_k if rng.random() < 0.7 else int(rng.choice([1, 5, 19]))
    size = float(rng.choice([0.2, 1.0, 2.5], p=[0.2, 0.6, 0.2]))
    stored = written(dtype)

    def draw(*shape: int, at: float = 1.0) -> Array:
        x = at * rng.standard_normal(shape) + rng.choice([0.0, 0.3])
        return np.asarray(stored(x), np.float64)

    w = Wanted(
        draw(n_batch, n_head, n_q, d_k, at=size),
        draw(n_batch, n_kv_head, n_k, d_k),
        draw(n_batch, n_kv_head, n_k, d_v),
        d_k**-0.5,
    )
    dump.words.append(f"q {w.q.shape} k {w.k.shape} d_v {d_v}")
    saved: dict[str, Array] = {}
    if rng.random() < 0.15:
        w.scale = float(rng.choice([1.0, 0.1, 0.25]))
        dump.options["scale"] = w.scale
    if rng.random() < 0.12:
        w.softcap = float(rng.choice([3.0, 20.0, 50.0]))
        dump.options["softcap"] = w.softcap
    if rng.random() < 0.12:
        w.sinks = draw(n_head)
        saved["sinks"] = w.sinks
    if rng.random() < 0.15:
        w.bias = draw(1, n_head, n_q, n_k)
        saved["attn_bias"] = w.bias
    hide(rng, w, saved, dump)
    dump.words += [f"{name}={value}" for name, value in dump.options.items()]
    dump.words += list(saved)
    return w, saved


def hide(rng: np.random.Generator, w: Wanted, saved: dict[str, Array], dump: Dump) -> None:
    """A mask, said as an option or saved as an array, in one of the usual forms."""
    n_batch, n_q, n_k = w.q.shape[0], w.q.shape[2], w.k.shape[2]
    kind = str(rng.choice(["none", "causal", "upper", "window", "padding", "both", "custom"]))
    distance = np.arange(n_q)[:, None] - np.arange(n_k)
    lower = distance + n_k - n_q
    length = rng.integers(max(1, n_k // 2), n_k + 1, n_batch)
    real = np.arange(n_k) < length[:, None]
    if rng.random() < 0.5:
        real = real[:, ::-1]
    if kind in ("causal", "upper"):
        alignment = "lower_right" if kind == "causal" else "upper_left"
        w.visible = ((lower if kind == "causal" else distance) >= 0)[None, None]
        if rng.random() < 0.5:
            dump.options |= {"causal": True, "alignment": alignment}
            return
    elif kind == "window":
        window = int(rng.choice([1, 3, 7]))
        w.visible = ((lower >= 0) & (lower < window))[None, None]
        if rng.random() < 0.5:
            dump.options |= {"causal": True, "window": window}
            return
    elif kind == "padding":
        w.visible = real[:, None, None]
        if rng.random() < 0.5:
            saved["attention_mask"] = real.astype(np.int64)
        else:
            saved["key_padding_mask"] = ~real
        return
    elif kind == "both":
        w.visible = real[:, None, None] & (lower >= 0)[None, None]
    elif kind == "custom":
        w.visible = rng.random((n_batch, 1, n_q, n_k)) < 0.6
    if w.visible is None:
        return
    shown = np.broadcast_to(w.visible, (*w.visible.shape[:2], n_q, n_k))
    shown = shown[0, 0] if len(shown) == 1 and rng.random() < 0.5 else shown
    if rng.random() < 0.6 or not shown.any(-1).all():
        saved["attn_mask"] = shown
    else:
        saved["attn_mask"] = np.where(shown, 0, rng.choice([-np.inf, -1e9, np.finfo("f4").min]))


def save(
    rng: np.random.Generator, w: Wanted, out: Array, masks: dict[str, Array], dtype: str, dump: Dump
) -> None:
    """The arrays as somebody saves them: names, layout, type."""
    names = NAMES[rng.integers(len(NAMES))]
    layout = str(rng.choice(list(LAYOUTS)))
    arrays = dict(zip(names, (w.q, w.k, w.v, out), strict=True))
    bits = dtype == "bfloat16" and rng.random() < 0.3
    for name, x in arrays.items():
        x = LAYOUTS[layout](np.asarray(x, np.float64))
        dump.arrays[name] = as_saved(x, dtype, bits)
    if bits:
        dump.options["dtypes"] = dict.fromkeys(names, "bfloat16")
    for name, x in masks.items():
        kind = "float64" if dtype == "float64" else "float32"
        dump.arrays[name] = x.astype(kind) if x.dtype.kind == "f" else np.ascontiguousarray(x)
    if layout == "bne":
        dump.options["n_head"] = w.q.shape[1]
    elif layout == "bnhd":
        dump.options["layout"] = layout
    dump.words.append(layout + (" as bits" if bits else ""))


def as_saved(x: Array, dtype: str, bits: bool) -> Array:
    if dtype != "bfloat16":
        return np.ascontiguousarray(x.astype(dtype))
    kept = np.ascontiguousarray(bfloat16(x))
    return (kept.view(np.uint32) >> 16).astype(np.uint16) if bits else kept
