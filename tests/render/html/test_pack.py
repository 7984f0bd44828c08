"""Blocks of numbers: whole again after unpacking, small, and packed in little time."""

from __future__ import annotations

import time
import zlib

import numpy as np
import pytest

from attnviz.render.html.pack import ROUNDED, Packer

NOISE = np.random.default_rng(7).random(1 << 20)
LINES = np.tile(np.random.default_rng(7).random(1 << 10), 1 << 10)


@pytest.mark.parametrize("values", [NOISE, LINES, NOISE[:0], NOISE[:1]], ids=len)
def test_numbers_come_back(values: np.ndarray) -> None:
    packer = Packer(24)
    packer.numbers("a", values)
    kind, content = packer.blocks()["a"]
    planes = np.frombuffer(zlib.decompress(content), np.uint8).reshape(4, -1)
    assert kind == "f4"
    np.testing.assert_array_equal(planes.T.copy().view("<f4").ravel(), values.astype(np.float32))


def test_repetitions_are_found_and_noise_is_not_searched() -> None:
    sizes = []
    for values in (NOISE, LINES):
        packer = Packer(ROUNDED)
        packer.numbers("a", values)
        start = time.process_time()
        sizes.append(len(packer.blocks()["a"][1]))
        assert time.process_time() - start < 1
    assert sizes[0] < 1.15 * (1 << 20)
    assert sizes[1] < 0.02 * (1 << 20)
