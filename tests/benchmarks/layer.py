"""Attention over long inputs in tiles, with summaries of its weights: against PyTorch, and as the
input grows.

    pip install torch==2.13.0
    python -m tests.benchmarks.layer

12 heads, d_k = 32. A summary has pooled maps, strongest links, entropies and what each key
receives. PyTorch's plain softmax(QKᵀ)V keeps its weights and nothing else; its fused kernel (SDPA)
returns none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import numpy as np

from attnviz.nn import masks
from attnviz.nn.scores import scaled_dot
from attnviz.nn.streaming import Inputs, ReadNothing, Tile, streamed_attention
from attnviz.nn.tile_readers import PooledMaps, ReadAll, StrongestLinks
from attnviz.nn.types import Array
from tests.benchmarks.pairs import apart, in_turn, need
from tests.benchmarks.table import Row, limit, run_alone

N_HEAD, D_K, N = 12, 32, 8192
CURVE = (2048, 4096, 8192, 16_384)
LONG = 32_768


class Statistics(ReadNothing):
    """Entropies [n_head, n_q], and what each key receives [n_head, n_k]."""

    def __init__(self, entropies: Array, received: Array) -> None:
        self.entropies, self.received = entropies, received

    def fork(self) -> Statistics:
        return Statistics(self.entropies, np.zeros_like(self.received))

    def read(self, tile: Tile) -> None:
        self.entropies[tile.head, tile.rows.queries] = tile.entropies
        self.received[tile.head, tile.rows.keys] += tile.weights.sum(0)

    def merge(self, other: ReadNothing) -> None:
        assert isinstance(other, Statistics)
        self.received += other.received


def streamed(n: int, mask: str = "none") -> Callable[[], object]:
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(N_HEAD, n, D_K)).astype(np.float32) for _ in range(3))
    position, rule, heads = np.arange(n), masks.parse(mask), range(N_HEAD)

    def call() -> object:
        inputs = Inputs(N_HEAD, position, position, rule, v)
        statistic = Statistics(*np.zeros((2, N_HEAD, n)))
        readers = (PooledMaps(inputs, heads, 64), StrongestLinks(inputs, heads, 3), statistic)
        return streamed_attention(
            q, k, v, score=scaled_dot, mask=rule, q_pos=position, k_pos=position,
            reader=ReadAll(readers),
        )  # fmt: skip

    return call


def torch_eager(n: int) -> Callable[[], object]:
    import torch

    q, k, v = (torch.randn(1, N_HEAD, n, D_K) for _ in range(3))

    def call() -> object:
        with torch.no_grad():
            weights = torch.softmax(q @ k.mT / D_K**0.5, -1)
            return weights, weights @ v

    return call


def torch_sdpa(n: int) -> Callable[[], object]:
    import torch

    q, k, v = (torch.randn(1, N_HEAD, n, D_K) for _ in range(3))

    def call() -> object:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    return call


def one_layer(n: int) -> Callable[[], object]:
    """A model of one layer, as a command runs it."""
    from attnviz.models import load_model
    from attnviz.models.run.forward import forward
    from attnviz.models.run.prepare import prepare
    from attnviz.trace.summary import SummaryPlan

    model = load_model(f"random:layers=1,heads={N_HEAD},d_model={N_HEAD * D_K}")

    def call() -> object:
        return forward(prepare(model, "a " * n, memory=1 << 30, summaries=lambda _: SummaryPlan()))

    return call


def rows() -> Iterator[Row]:
    yield from growth()
    mb = apart(one_layer, LONG, warm=0)().mb
    yield limit(f"{LONG} tokens, a model of one layer: memory", mb, 400, "MB")
    need("torch")
    what = f"attention of {N} tokens with summaries"
    sdpa = in_turn(apart(streamed, N), apart(torch_sdpa, N), rounds=2, warm=0)
    yield sdpa.time(what, "torch SDPA, no weights", 2.5)
    eager = in_turn(apart(streamed, N, warm=0), apart(torch_eager, N, warm=0), rounds=1, warm=0)
    yield eager.time(what, "torch eager", 0.2)
    yield eager.memory(what, "torch eager", 0.05)


def growth() -> Iterator[Row]:
    """Seconds, beside what a pair of tokens costs at the first length, or a token in a window."""
    for mask, power, bound in (("none", 2, 1.25), ("causal+window:size=512", 1, 1.1)):
        first, *others = ((n, _seconds(n, mask)) for n in CURVE)
        for n, seconds in others:
            expected = first[1] * (n / first[0]) ** power
            what = f"attention of {n} tokens, {mask}" if power == 1 else f"attention of {n} tokens"
            than = f"{first[0]} tokens × {(n / first[0]) ** power:g}"
            yield Row(what, seconds, expected, than, seconds / expected, bound)


def _seconds(n: int, mask: str) -> float:
    call = apart(streamed, n, mask, repeats=max(1, N // n))
    return statistics.median(call().seconds for _ in range(2))


if __name__ == "__main__":
    run_alone(rows)
