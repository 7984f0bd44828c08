"""Softmax from blocks and splits, walked over in plain loops with each mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.diagnose.api import diagnose
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.mistakes.online import (
    other_splits,
    other_walks,
    splits,
    usual_walks,
)
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.nn.types import Array
from tests.analysis.diagnose import examples, plain
from tests.analysis.diagnose.examples import D_K, N_HEAD, N_KV_HEAD

INF = math.inf


def variants(name: str, c: Computation, **parameter: object) -> list[Variant]:
    found = MISTAKES[name].variants(c)
    return [v for v in found if parameter.items() <= dict(v.parameter).items()]


def rows(c: Computation) -> Iterator[tuple[tuple[int, int, int], list[float], Array]]:
    """Of each query: its scores, -inf where masked, and the values."""
    raw = plain.dots(c) / math.sqrt(D_K)
    seen = c.visible()
    for b, h, i in np.ndindex(*raw.shape[:3]):
        row = [float(x) for x in raw[b, h, i]]
        if seen is not None:
            shown = seen[b % seen.shape[0], 0, i]
            row = [x if ok else -INF for x, ok in zip(row, shown, strict=True)]
        yield (b, h, i), row, c.v[b, h // (N_HEAD // N_KV_HEAD)]


def assert_contexts(variant: Variant, c: Computation, made: Callable[..., Array]) -> None:
    got = compute(variant.computation).context
    for at, row, v in rows(c):
        np.testing.assert_allclose(got[at], made(row, v), rtol=1e-10, atol=1e-10)


def walk(
    row: list[float],
    v: Array,
    size: int,
    of_output: Callable[[float, float], float],
    of_sum: Callable[[float, float], float],
    last_first: bool = False,
    block_maximum: str = "",
) -> Array:
    """FlashAttention-2 over one query: exp of the shift, factors (m_old, m_new) on what was summed,
    and where a block's own maximum is taken: `O`, `l`."""
    m, total, out = -INF, 0.0, np.zeros(v.shape[-1])
    starts = list(range(0, len(row), size))
    for start in starts[::-1] if last_first else starts:
        block = row[start : start + size]
        if max(block) == -INF:
            continue
        new = max(m, max(block))
        p = [math.exp(x - new) for x in block]
        own = [math.exp(x - max(block)) for x in block]
        if m != -INF:
            total, out = total * of_sum(m, new), out * of_output(m, new)
        total += sum(own if "l" in block_maximum else p)
        for weight, value in zip(own if "O" in block_maximum else p, v[start:], strict=False):
            out = out + weight * value
        m = new
    return out / total if total else out


Factor = Callable[[float, float], float]
RIGHT: Factor = lambda old, new: math.exp(old - new)  # noqa: E731
MISSING: Factor = lambda old, new: 1.0  # noqa: E731
INVERSE: Factor = lambda old, new: math.exp(new - old)  # noqa: E731


@pytest.mark.parametrize("example", [examples.plain, examples.padded])
@pytest.mark.parametrize(("size", "back"), [(1, False), (2, True), (3, False), (4, True)])
def test_rescaling(example: Callable[[], Computation], size: int, back: bool) -> None:
    c = example()
    order = "from the last" if back else "from the first"
    for name, wrong in (("online_without_rescale", MISSING), ("online_inverse_rescale", INVERSE)):
        output, both, total = variants(name, c, size=size, order=order)
        assert_contexts(output, c, lambda r, v, f=wrong: walk(r, v, size, f, RIGHT, back))
        assert_contexts(both, c, lambda r, v, f=wrong: walk(r, v, size, f, f, back))
        assert_contexts(total, c, lambda r, v, f=wrong: walk(r, v, size, RIGHT, f, back))
    for variant in variants("online_block_maximum", c, size=size, order=order):
        what = str(variant.parameter["what"])
        assert_contexts(
            variant, c, lambda r, v, w=what: walk(r, v, size, RIGHT, RIGHT, back, block_maximum=w)
        )


def test_the_walk_of_the_tests_is_right_without_a_mistake() -> None:
    c = examples.padded()
    got = compute(c).context
    for at, row, v in rows(c):
        np.testing.assert_allclose(got[at], walk(row, v, 3, RIGHT, RIGHT), atol=1e-12)


def test_walks() -> None:
    """The usual ones first; any other where there are few keys, if nothing else explains it."""
    assert [w.size for w in usual_walks(512) if not w.last_first] == [64, 128, 32, 16]
    assert [w.size for w in usual_walks(512) if w.last_first] == [64, 128]
    assert {w.size for w in usual_walks(7)} == {1, 2, 3, 4, 5}
    assert usual_walks(1) == other_walks(1) == []
    every = {(size, back) for size in range(1, 17) for back in (False, True)}
    assert {*usual_walks(17), *other_walks(17)} == every
    assert not set(usual_walks(512)) & set(other_walks(512))
    assert (48, False) in other_walks(512)
    assert (32, True) in other_walks(512)


def test_other_sizes() -> None:
    c = examples.plain(n_k=13)
    for order, back in (("from the first", False), ("from the last", True)):
        made = variants("online_in_other_blocks", c, size=6, order=order, what="O, l")
        by_factor = {str(v.parameter["factor"]): v for v in made}
        factors = {"no factor": MISSING, "exp(m_new - m_old)": INVERSE}
        for said, wrong in factors.items():
            assert_contexts(
                by_factor[said], c, lambda r, v, f=wrong, k=back: walk(r, v, 6, f, f, k)
            )
        assert len(by_factor) == 3


@pytest.mark.parametrize(("dtype", "below"), [("float32", -140.0), ("float16", -30.0)])
def test_first_block_masked(dtype: str, below: float) -> None:
    """Causal from the last block: queries that do not see it, and whose scores are all far below
    0, become zero; the others are right."""
    c = examples.causal()
    k = c.k / np.linalg.norm(c.k, axis=-1, keepdims=True)
    q = np.array(c.q)
    q[:, :, 0] = below * math.sqrt(D_K) * np.repeat(k[:, :, 0] + 0 * k[:, :, 0], 2, 1)
    k[:, :, 1:4] = k[:, :, :1]
    c = replace(c, q=q, k=k)
    (variant,) = variants(
        "online_masked_first_block", c, size=2, order="from the last", dtype=dtype
    )
    right, got = compute(c).context, compute(variant.computation).context
    assert not got[:, :, 0].any()
    assert right[:, :, 0].any()
    np.testing.assert_array_equal(got[:, :, 4], right[:, :, 4])
    np.testing.assert_allclose(got[:, :, 1:], right[:, :, 1:], atol=1e-6)
    assert not variants("online_masked_first_block", examples.plain())


def test_a_maximum_that_stays_zero_is_named() -> None:
    """As in FlashAttention's issue: heads of tokens whose scores are all below -104 come out zero."""
    rng = np.random.default_rng(4)
    n, d = 32, 16
    q, k, v = (rng.normal(size=(1, 2, n, d)) for _ in range(3))
    k = 0.3 * k + 4
    q[:, :, ::5] = 0.3 * q[:, :, ::5] - 9
    scores = np.where(np.tri(n, dtype=bool), q @ k.swapaxes(-1, -2) / 4, -INF)
    out = np.zeros_like(v)
    for b, h, i in np.ndindex(*scores.shape[:3]):
        m = -INF
        for start in (16, 0):
            block = scores[b, h, i, start : start + 16].max()
            m = max(m, 0.0 if block == -INF else block)
        p = np.exp((scores[b, h, i] - m).astype(np.float32))
        out[b, h, i] = p @ v[b, h] / (p.sum() or 1)
    assert 0 < (out == 0).all(-1).sum() < 10
    found = diagnose(q, k, v, out.astype(np.float32), causal=True)
    assert [cause.id for cause in found.causes] == ["X7"]
    assert found.causes[0].best.hypothesis.entries[0].name == "online_masked_first_block"


def parts(row: list[float], v: Array, edges: list[int]) -> list[tuple[Array, float, float, float]]:
    """Of each part of one query: its output, log-sum-exp, maximum, and sum of exp(x - maximum)."""
    found = []
    for start, end in zip(edges, [*edges[1:], len(row)], strict=True):
        part = row[start:end]
        m = max(part)
        if m == -INF:
            found.append((np.zeros(v.shape[-1]), -INF, -INF, 0.0))
            continue
        total = sum(math.exp(x - m) for x in part)
        out = sum(math.exp(x - m) / total * y for x, y in zip(part, v[start:end], strict=True))
        found.append((np.asarray(out), m + math.log(total), m, total))
    return found


def shares(numbers: list[float], base: float = math.e) -> list[float]:
    powers = [0.0 if n == -INF else base**n for n in numbers]
    return [p / sum(powers) if sum(powers) else 0.0 for p in powers]


LN2 = math.log(2)
Part = list[tuple[Array, float, float, float]]
MERGES: dict[tuple[str, str], Callable[[Part], list[float]]] = {
    ("parts_without_lse", "Σ O_i / n"): lambda p: [1 / len(p)] * len(p),
    ("parts_without_lse", "Σ O_i"): lambda p: [1.0] * len(p),
    ("parts_in_wrong_base", "exp(log2 Σ exp(x))"): lambda p: shares([x[1] / LN2 for x in p]),
    ("parts_in_wrong_base", "exp2(ln Σ exp(x))"): lambda p: shares([x[1] for x in p], 2.0),
    ("parts_by_half_of_lse", "Σ exp(x - max x)"): lambda p: [x[3] / sum(y[3] for y in p) for x in p],
    ("parts_by_half_of_lse", "exp(max x)"): lambda p: shares([x[2] for x in p]),
    ("one_part_alone", "O_last"): lambda p: [0.0] * (len(p) - 1) + [1.0],
    ("one_part_alone", "O_first"): lambda p: [1.0] + [0.0] * (len(p) - 1),
    ("parts_by_wrong_lse", "exp(lse_j), j ≠ i"): lambda p: shares(
        [x[1] for x in reversed(p)]
    ),
    ("parts_by_wrong_lse", "exp(-lse)"): lambda p: shares([-abs(x[1]) if x[1] == -INF else -x[1] for x in p]),
    ("parts_by_wrong_lse", "exp(lse_i - max lse), Σ ≠ 1"): lambda p: [
        math.exp(x[1] - max(y[1] for y in p)) for x in p
    ],
}  # fmt: skip

EDGES = {"2 × 4": [0, 4], "4 × 2": [0, 2, 4, 6], "2 + 5": [0, 2], "6 + 1": [0, 6]}
"""Two parts of 4 and 3 keys; four; where two tokens precede the queries'; and the last alone."""


@pytest.mark.parametrize("example", [examples.plain, examples.padded])
@pytest.mark.parametrize("said", EDGES)
@pytest.mark.parametrize(("name", "merge"), MERGES)
def test_merges(example: Callable[[], Computation], said: str, name: str, merge: str) -> None:
    c = example()
    (variant,) = variants(name, c, parts=said, merge=merge)

    def made(row: list[float], v: Array) -> Array:
        found = parts(row, v, EDGES[said])
        weights = MERGES[name, merge](found)
        return sum((w * x[0] for w, x in zip(weights, found, strict=True)), np.zeros(v.shape[-1]))

    assert_contexts(variant, c, made)


def test_every_merge_is_tested() -> None:
    for name in {name for name, _ in MERGES}:
        found = {str(v.parameter["merge"]) for v in variants(name, examples.plain())}
        assert found == {merge for each, merge in MERGES if each == name}


def test_empty_part() -> None:
    """NaN in every query of which one part is masked."""
    c = examples.causal()
    (variant,) = variants("empty_part", c, parts="6 + 1")
    got = compute(variant.computation).context
    assert np.isnan(got[:, :, :4]).all()
    np.testing.assert_allclose(got[:, :, 4], compute(c).context[:, :, 4], atol=1e-12)


def test_other_points() -> None:
    c = examples.plain(n_k=13)
    found = variants("parts_at_other_points", c, parts="11 + 2")
    assert {str(v.parameter["merge"]) for v in found} == {
        m for n, m in MERGES if n != "one_part_alone"
    }
    (mean,) = (v for v in found if v.parameter["merge"] == "Σ O_i / n")

    def made(row: list[float], v: Array) -> Array:
        return np.asarray(sum(x[0] for x in parts(row, v, [0, 11])) / 2)

    assert_contexts(mean, c, made)
    assert {(0, n) for n in range(1, 13)} <= set(splits(c)) | set(other_splits(c))


def test_splits() -> None:
    """Where new tokens follow a cache is usual, whatever the number of keys; in the end all are
    tried, and none twice."""
    c = examples.plain(n_q=3, n_k=500)
    usual, others = splits(c), other_splits(c)
    assert {(0, 497), (0, 250), (0, 125, 250, 375)} <= set(usual)
    assert {tuple(range(0, 500, 64)), (0, 16), (0, 496)} <= set(others)
    assert not set(usual) & set(others)
    assert (len(usual), len(others)) == (5, pytest.approx(40, abs=5))
    assert usual[0, 250] == "2 × 250"
    assert others[0, 16] == "16 + 484"
