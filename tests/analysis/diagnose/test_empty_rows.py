"""Queries that see no key: no other mistake is credited with what became of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.judge import Judge
from attnviz.analysis.diagnose.masking import Masking
from tests.analysis.diagnose import examples

N = 7


def left_padded() -> Computation:
    keys = np.ones((2, 1, 1, N), bool)
    keys[1, ..., :3] = False
    return examples.plain(5, N, N, masking=Masking(causal=True, keys=keys))


def with_nan_rows(c: Computation) -> np.ndarray:
    context = compute(c).context
    context[1, :, :3] = np.nan
    return context


def test_a_change_without_effect_explains_nothing() -> None:
    c = left_padded()
    judge = Judge(Case(c, {"context": with_nan_rows(c)}), np.arange(N), "float32")
    assert not judge.reference.holds
    assert not judge.fit(c.with_masking(left=N)).holds


def test_rounding_alone_explains_nothing() -> None:
    c = left_padded()
    judge = Judge(Case(c, {"context": with_nan_rows(c)}), np.arange(N), "float16")
    assert not judge.fit(c.as_type(np.float32)).holds


def test_a_part_of_the_mask_may_be_finite() -> None:
    """Another mistake, and padded queries that see the padding before them."""
    c = left_padded()
    wrong = replace(c, scale=0.5)
    context = compute(wrong).context
    bare = compute(wrong.with_masking(keys=None)).context
    context[1, :, :3] = bare[1, :, :3]
    judge = Judge(Case(c, {"context": context}), np.arange(N), "float32")
    assert judge.fit(wrong).holds
    context[1, :, :3] = 0.5
    judge = Judge(Case(c, {"context": context}), np.arange(N), "float32")
    assert not judge.fit(wrong).holds


def test_another_mistake_is_found_whatever_such_rows_hold() -> None:
    c = left_padded()
    wrong = replace(c, scale=0.5)
    judge = Judge(Case(c, {"context": with_nan_rows(wrong)}), np.arange(N), "float32")
    assert judge.fit(replace(c, scale=0.5)).holds
    assert not judge.fit(replace(c, scale=0.4)).holds


def finite_mask(fill: float) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """q, k, v of two texts, the second padded on its left, and the mask that is added; and what
    plain code makes of them in float32."""
    rng = np.random.default_rng(3)
    q, k, v = (rng.normal(size=(2, 3, N, 5)).astype(np.float32) for _ in range(3))
    seen = np.tri(N, dtype=bool) & (np.arange(N) >= np.array([0, 3])[:, None, None, None])
    mask = np.where(seen, np.float32(0), np.float32(fill))
    scores = q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(5)) + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return [q, k, v], mask, weights / weights.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("fill", [-1e9, float(np.finfo(np.float32).min)])
def test_what_a_finite_mask_of_the_dump_gives_is_right(fill: float) -> None:
    qkv, mask, out = finite_mask(fill)
    assert attnviz.diagnose(*qkv, out, mask=mask).verdict == "match"
    zeros = out.copy()
    zeros[1, :, :3] = 0
    assert attnviz.diagnose(*qkv, zeros, mask=mask).verdict == "match"


def test_a_finite_mask_excuses_nothing_else() -> None:
    qkv, mask, out = finite_mask(-1e9)
    found = attnviz.diagnose(*qkv, out, mask=mask == 0)
    assert (found.verdict, found.causes[0].id) == ("differs", "M12"), "booleans say nothing of it"
    changed = out.copy()
    changed[1, :, 1] = np.nan
    assert attnviz.diagnose(*qkv, changed, mask=mask).verdict == "differs"
    changed = out.copy()
    changed[1, :, 5] += 0.01
    assert attnviz.diagnose(*qkv, changed, mask=mask).verdict == "differs"
