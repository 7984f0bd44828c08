"""Attention over long inputs in tiles, with summaries of its weights: against PyTorch, and as the
input grows.

    pip install torch==2.13.0
    python -m tests.benchmarks.layer

12 heads, d_k = 32. A summary has pooled maps, strongest links, entropies and what each key
receives; with all numbers of `heads` it is measured too. PyTorch's plain softmax(QKᵀ)V keeps its
weights and nothing else; its fused kernel (SDPA) returns none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from attnviz.analysis.metrics.statistics import head_statistics
from attnviz.models import load_model
from attnviz.models.run.inputs import read_text
from attnviz.nn import masks
from attnviz.nn.scores import scaled_dot
from attnviz.nn.streaming import Inputs, streamed_attention
from attnviz.trace.summary import Summariser, SummaryPlan
from tests.benchmarks.pairs import apart, in_turn, need
from tests.benchmarks.table import Row, limit, run_alone

N_HEAD, D_K, N = 12, 32, 8192
CURVE = (2048, 4096, 8192, 16_384)
LONG = 32_768
MODEL = f"random:layers=1,heads={N_HEAD},d_model={N_HEAD * D_K}"


def text_of(n: int) -> str:
    return " ".join(np.random.default_rng(0).choice(list("abcdefghijklmnop"), n))


def streamed(n: int, mask: str = "none", everything: bool = False) -> Callable[[], object]:
    generator, model = np.random.default_rng(0), load_model(MODEL)
    q, k, v = (generator.normal(size=(N_HEAD, n, D_K)).astype(np.float32) for _ in range(3))
    position, rule = np.arange(n), masks.parse(mask)
    tokens = {"source": read_text(model, text_of(n))}
    plan = SummaryPlan(statistics=head_statistics(tokens, metrics=None if everything else ()))
    site = next(iter(model.transformer.sites()))

    def call() -> object:
        inputs = Inputs(N_HEAD, position, position, rule, v)
        summariser = Summariser(plan, site, inputs, range(N_HEAD))
        streamed_attention(
            q, k, v, score=scaled_dot, mask=rule, q_pos=position, k_pos=position,
            reader=summariser.reader,
        )  # fmt: skip
        return summariser.summary()

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
    from attnviz.models.run.forward import forward
    from attnviz.models.run.prepare import prepare

    model, text = load_model(MODEL), text_of(n)

    def call() -> object:
        return forward(prepare(model, text, memory=1 << 30, summaries=lambda _: SummaryPlan()))

    return call


def rows() -> Iterator[Row]:
    need("torch")
    what, all_numbers = f"attention of {N} tokens with summaries", ", all numbers of heads"
    ours, everything = apart(streamed, N), apart(streamed, N, "none", True)
    sdpa = apart(torch_sdpa, N)
    for run, more, bound in ((ours, "", 2.5), (everything, all_numbers, None)):
        pair = in_turn(run, sdpa, rounds=2, warm=0)
        yield pair.time(what + more, "torch SDPA, no weights", bound)
    eager = in_turn(ours, apart(torch_eager, N, warm=0), rounds=1, warm=0)
    yield eager.time(what, "torch eager", 0.2)
    ours_mb, theirs_mb = apart(streamed, N, warm=0)().mb, eager.theirs.mb  # no call before it
    ratio = ours_mb / theirs_mb
    yield Row(f"{what}: memory", ours_mb, theirs_mb, "torch eager", ratio, 0.05, "MB")
    yield from growth()
    mb = apart(one_layer, LONG, warm=0)().mb
    yield limit(f"{LONG} tokens, a model of one layer: memory", mb, 400, "MB")


def growth() -> Iterator[Row]:
    """Seconds, beside what a pair of tokens costs at the first length, or a token in a window."""
    for mask, power, bound in (("none", 2, 1.25), ("causal+window:size=512", 1, 1.25)):
        first, *others = ((n, _seconds(n, mask)) for n in CURVE)
        for n, seconds in others:
            expected = first[1] * (n / first[0]) ** power
            what = f"attention of {n} tokens" + ("" if mask == "none" else ", a window of 512")
            than = f"{first[0]} tokens × {(n / first[0]) ** power:g}"
            yield Row(what, seconds, expected, than, seconds / expected, bound)


def _seconds(n: int, mask: str) -> float:
    """The least of two, on a machine that may have other work."""
    call = apart(streamed, n, mask, repeats=max(1, N // n), warm=int(n < N))
    return min(call().seconds for _ in range(2))


if __name__ == "__main__":
    run_alone(rows)
