"""Queries that see no key: no other mistake is credited with what became of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
