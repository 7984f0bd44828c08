"""How long a diagnosis takes, as multiples of one computation in NumPy (float32, weights kept)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.pairs import apart, process
from tests.benchmarks.table import Row, run_alone

N_BATCH, N_HEAD, N_TOKEN, WIDTH = 2, 8, 512, 64


def attention(q, k, v, scale, hidden):
    """softmax(scale QKᵀ, hidden cells -inf) V, in the type of q."""
    scores = np.float32(scale) * (q @ k.swapaxes(-1, -2))
    scores = np.where(hidden, np.float32(-np.inf), scores)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)) @ v


def dumps(n: int) -> dict[str, dict[str, np.ndarray]]:
    """By what is wrong with them."""
    random = np.random.default_rng(0)
    q, k, v = random.standard_normal((3, N_BATCH, N_HEAD, n, WIDTH), np.float32)
    later = ~np.tri(n, dtype=bool)
    far = later | np.tri(n, k=-n // 4, dtype=bool)
    scale = WIDTH**-0.5
    outs = {
        "nothing": attention(q, k, v, scale, later),
        "the scale": attention(q, k, v, (N_HEAD * WIDTH) ** -0.5, later),
        "scale and mask": attention(q, k, v, 1.0, np.zeros_like(later)),
        "nothing known": attention(q, k, v, scale, far)[..., ::-1] ** 2,
    }
    return {name: {"q": q, "k": k, "v": v, "out": out} for name, out in outs.items()}


def reference(n: int) -> Callable[[], object]:
    """One computation of all weights and the output."""
    q, k, v, _ = dumps(n)["nothing"].values()
    later = ~np.tri(n, dtype=bool)
    return lambda: attention(q, k, v, WIDTH**-0.5, later)


def rows() -> Iterator[Row]:
    once = apart(reference, N_TOKEN, repeats=3)()
    with tempfile.TemporaryDirectory() as folder:
        for name, arrays in dumps(N_TOKEN).items():
            path = Path(folder) / "dump.npz"
            np.savez(path, **arrays)
            order = ["diagnose", str(path), "--causal", "-q", "--json"]
            cost = process([sys.executable, "-m", "attnviz", *order], codes=(0, 1))()
            ratio = cost.seconds / once.seconds
            what = f"diagnose 2 × 8 × {N_TOKEN}², wrong: {name}"
            yield Row(what, cost.seconds, once.seconds, "one computation", ratio)


if __name__ == "__main__":
    run_alone(rows)
