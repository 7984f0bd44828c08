"""Texts of several lengths in one computation."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz.analysis.diagnose.mistakes  # noqa: F401  fills the registry
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.reading.texts import Rule, Text, together
from attnviz.analysis.diagnose.registry import MISTAKES

ROWS = np.array([0, 4, 9])


def texts(n_head: int, n_kv_head: int, counts: tuple[tuple[int, int], ...]) -> list[Text]:
    """Texts of so many queries and keys."""
    rng = np.random.default_rng(0)
    return [
        Text(*(rng.standard_normal((n, h, 7)) for n, h in ((n_q, n_head), (n_k, n_kv_head), (n_k, n_kv_head))))
        for n_q, n_k in counts
    ]  # fmt: skip


@pytest.mark.parametrize(
    "counts", [((5, 5), (2, 2), (4, 4)), ((5, 8), (2, 11), (4, 4)), ((11, 11), (11, 13))]
)
@pytest.mark.parametrize("rule", [Rule(), Rule(True), Rule(True, 2)])
@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 1), (6, 3)])
def test_every_mistake_can_be_tried_on_them(n_head, n_kv_head, rule, counts):
    joined = together(texts(n_head, n_kv_head, counts), rule)
    wanted = computation(joined.q, joined.k, joined.v, masking=joined.masking)
    for name in MISTAKES:
        for variant in MISTAKES[name].variants(wanted):
            made = variant.computation
            compute(made if made.mixes_rows else made.at(ROWS))


@pytest.mark.parametrize(
    "counts", [((5, 5), (2, 2), (4, 4)), ((5, 8), (2, 11), (4, 4)), ((3, 11), (3, 5))]
)
@pytest.mark.parametrize("rule", [Rule(), Rule(True), Rule(True, 2)])
def test_each_text_is_computed_as_if_it_were_alone(rule, counts):
    several = texts(6, 3, counts)
    joined = together(several, rule)
    found = compute(computation(joined.q, joined.k, joined.v, masking=joined.masking)).context
    start = 0
    for number, text in enumerate(several):
        alone = together([text], rule)
        wanted = compute(computation(alone.q, alone.k, alone.v, masking=alone.masking)).context[0]
        rows = slice(start, start + len(text.q)) if len(found) == 1 else slice(None)
        np.testing.assert_allclose(
            found[0 if len(found) == 1 else number][:, rows], wanted, atol=1e-12
        )
        start += len(text.q)
