"""Numbers of safetensors files that NumPy has no type for."""

from __future__ import annotations

import numpy as np

from attnviz.archive.safetensors import widen_bfloat16


def test_bfloat16_is_the_upper_half_of_float32(generator):
    numbers = generator.normal(size=(3, 5)).astype(np.float32)
    upper = numbers.view(np.uint32) & 0xFFFF0000
    bits = (upper >> 16).astype(np.uint16)
    np.testing.assert_array_equal(widen_bfloat16(bits), upper.view(np.float32))
    special = widen_bfloat16(np.array([0x7F80, 0xFF80, 0x7FC0, 0x8000], np.uint16))
    assert np.isposinf(special[0])
    assert np.isneginf(special[1])
    assert np.isnan(special[2])
    assert np.signbit(special[3])
