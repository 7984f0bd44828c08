from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from attnviz import archive
from attnviz.archive.float8 import widen_float8

TYPES = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}


@pytest.mark.parametrize("name", TYPES)
def test_every_number(name):
    bits = np.arange(256, dtype=np.uint8).reshape(2, 128)
    expected = bits.view(TYPES[name]).astype(np.float32)
    found = widen_float8(bits, name)
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("name", TYPES)
def test_a_file(name, tmp_path, generator):
    numbers = generator.standard_normal((2, 3, 5)).astype(TYPES[name])
    header = b'{"w":{"dtype":"%s","shape":[2,3,5],"data_offsets":[0,30]}}' % name.encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + numbers.tobytes())
    for arrays in (archive.read(path)[1], archive.read_stored(path).arrays):
        np.testing.assert_array_equal(arrays["w"], numbers.astype(np.float32), strict=True)
