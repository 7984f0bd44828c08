"""Writes dumps of attention that is right once and wrong ten times; README.md says which is which.

    python samples/diagnose/make.py [FOLDER]

Plain NumPy, each as somebody would write it. Seeded: it writes the same numbers every time.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]

N_BATCH, N_HEAD, N, D = 2, 3, 11, 7


def draw(
    seed: int, n_q: int = N, n_kv_head: int = N_HEAD, n_head: int = N_HEAD, d: int = D
) -> list[np.ndarray]:
    """q [b, h, n_q, d], k and v [b, h_kv, n, d]"""
    generator = np.random.default_rng(seed)
    shapes = ((n_head, n_q), (n_kv_head, N), (n_kv_head, N))
    return [generator.normal(size=(N_BATCH, *shape, d)).astype("f4") + 0.1 for shape in shapes]


def scores(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    return q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1], dtype="f4")


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def causal(n_q: int = N, ahead: int = 0) -> np.ndarray:
    """[n_q, n], True = visible; the first query stands at key `ahead`."""
    return np.tri(n_q, N, ahead, dtype=bool)


def padding(*lengths: int) -> np.ndarray:
    """[b, n], 1 = a token"""
    return (np.arange(N) < np.array(lengths)[:, None]).astype(np.int64)


def correct() -> Arrays:
    q, k, v = draw(1)
    x = np.where(causal(), scores(q, k), -np.inf)
    return {"q": q, "k": k, "v": v, "out": softmax(x) @ v}


def scale_of_the_model() -> Arrays:
    q, k, v = draw(2)
    x = q @ k.swapaxes(-1, -2) / np.sqrt(N_HEAD * D, dtype="f4")
    return {"q": q, "k": k, "v": v, "out": softmax(np.where(causal(), x, -np.inf)) @ v}


def causal_from_the_first_key() -> Arrays:
    q, k, v = draw(3, n_q=5)
    x = np.where(causal(5), scores(q, k), -np.inf)
    return {"query": q, "key": k, "value": v, "output": softmax(x) @ v}


def mask_inverted() -> Arrays:
    q, k, v = draw(4)
    mask = padding(N - 1, N - 4)
    x = np.where(mask[:, None, None, :] == 1, np.float32(-1e9), scores(q, k))
    return {"q": q, "k": k, "v": v, "attention_mask": mask, "attn_output": softmax(x) @ v}


def filled_with_little() -> Arrays:
    q, k, v = draw(5)
    mask = padding(N, N - 4)
    x = np.where(mask[:, None, None, :] == 0, np.float32(1e-9), scores(q, k))
    return {"q": q, "k": k, "v": v, "attention_mask": mask, "attn_output": softmax(x) @ v}


def softmax_over_queries() -> Arrays:
    q, k, v = draw(6)
    attn = softmax(scores(q, k), axis=-2)
    return {"q": q, "k": k, "v": v, "attn": attn, "out": attn @ v}


def merged_without_transpose() -> Arrays:
    q, k, v = draw(7)
    out = softmax(scores(q, k)) @ v
    return {"q": q, "k": k, "v": v, "out": out.reshape(N_BATCH, N, N_HEAD * D)}


def groups_tiled() -> Arrays:
    q, k, v = draw(8, n_head=6, n_kv_head=2)
    wide = [np.tile(x, (1, 3, 1, 1)) for x in (k, v)]
    x = np.where(causal(), scores(q, wide[0]), -np.inf)
    return {"q": q, "k": k, "v": v, "out": softmax(x) @ wide[1]}


def window_one_too_long() -> Arrays:
    q, k, v = draw(9)
    distance = np.arange(N)[:, None] - np.arange(N)
    x = np.where((distance >= 0) & (distance <= 4), scores(q, k), -np.inf)
    return {"q": q, "k": k, "v": v, "out": softmax(x) @ v}


def rope_interleaved() -> Arrays:
    """Features 2i and 2i + 1 are rotated together; the model wants i and i + d/2."""
    q, k, v = draw(10, d=8)
    angle = np.arange(N)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    cos, sin = np.cos(angle).astype("f4"), np.sin(angle).astype("f4")

    def rotate(x: np.ndarray) -> np.ndarray:
        a, b = x[..., ::2], x[..., 1::2]
        return np.stack((a * cos - b * sin, b * cos + a * sin), -1).reshape(x.shape)

    x = np.where(causal(), scores(rotate(q), rotate(k)), -np.inf)
    return {"q_pre_rope": q, "k_pre_rope": k, "v": v, "out": softmax(x) @ v}


def no_scale_and_no_mask() -> Arrays:
    q, k, v = draw(11)
    out = softmax(q @ k.swapaxes(-1, -2)) @ v
    return {"q": q, "k": k, "v": v, "attention_mask": padding(N, N - 4), "out": out}


SAMPLES = (
    *(correct, scale_of_the_model, causal_from_the_first_key, mask_inverted, filled_with_little),
    *(softmax_over_queries, merged_without_transpose, groups_tiled, window_one_too_long),
    *(rope_interleaved, no_scale_and_no_mask),
)


def main(folder: Path) -> None:
    for make in SAMPLES:
        arrays = {name: x.astype("f4") if x.dtype.kind == "f" else x for name, x in make().items()}
        np.savez_compressed(folder / f"{make.__name__.replace('_', '-')}.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
