"""Restricted attention is full attention under a band, computed in blocks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attnviz.nn.attention import attend
from attnviz.nn.local import local_attention


@given(n=st.integers(1, 23), neighbours=st.integers(0, 30), seed=st.integers(0, 9))
def test_a_band_of_full_attention(n, neighbours, seed):
    generator = np.random.default_rng(seed)
    q, k, v = (generator.normal(size=(2, n, d)) for d in (3, 3, 5))
    half = neighbours // 2
    whole = attend(q, k, v, window=(half, half)).context
    np.testing.assert_allclose(local_attention(q, k, v, neighbours), whole, atol=1e-12)
