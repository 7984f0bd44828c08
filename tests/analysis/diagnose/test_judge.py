"""How a computation is held to some rows of a dump."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.judge import Judge, differ_in_the_end
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import wanted

MIXING = {
    "merged_without_transpose": True,
    "output_reshaped_to_channels": True,
    "batch_and_heads_swapped": True,
    "weights_transposed": False,
    "split_without_transpose": False,
}
"""Mistakes for which all rows are needed, and whether only what is done to the context differs."""


@pytest.mark.parametrize("name", MIXING)
def test_rows_that_depend_on_others(name):
    c = wanted(causal=True)
    rows = np.array([0, 2, 6])
    judge = Judge(Case(c, {"context": compute(c).context}), rows, "float32")
    made = [each.computation for each in MISTAKES[name].variants(c)]
    mixing = [each for each in made if each.mixes_rows]
    assert mixing
    for each in mixing:
        assert differ_in_the_end(each, c) is MIXING[name]
        expected = compute(each).context[:, :, rows]
        assert np.allclose(judge.computed(each).context, expected, rtol=0, atol=1e-12)
