"""What a cache takes, and what policies waste, against plain loops and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.analysis.kv_memory import Shape, Workload, policies, reserve_power, used_share


@pytest.mark.parametrize("size", [1, 5, 16])
def test_shares_by_a_loop(size):
    work = Workload(prompt=7, answer=11.0, max_length=61)
    held, room = 0, dict.fromkeys(policies(size), 0)
    for answer in work.answers():
        for written in range(1, answer + 1):
            present = 7 + written
            held += present
            room["Max"] += 61
            room["Pow2"] += 7 + 2 ** math.ceil(math.log2(answer))
            room["Oracle"] += 7 + answer
            room["paged"] += math.ceil(present / size) * size
    for name, reserve in policies(size).items():
        assert used_share(work, reserve) == pytest.approx(held / room[name], rel=1e-12)


def test_answers_have_the_mean_that_was_asked_for():
    assert Workload(1, 50.0, 10**6).answers().mean() == pytest.approx(50, rel=0.01)
    assert Workload(10, 50.0, 40).answers().max() == 30


def test_a_memoryless_answer_is_half_written():
    """E[x²] / 2E[x] = E[x]: of what an exponential answer will have in the end, half is there."""
    oracle = policies(16)["Oracle"]
    assert used_share(Workload(0, 1000.0, 10**6), oracle) == pytest.approx(1 / 2, abs=0.01)


@given(st.integers(1, 5000))
def test_powers_of_two(answer):
    (room,) = reserve_power(Workload(3, 1.0, 9999), answer, np.array([1])) - 3
    assert room >= answer > room / 2
    assert room & (room - 1) == 0


def test_bytes():
    assert Shape(n_layer=3, n_kv_head=5, d_head=7, itemsize=4).n_byte == 2 * 3 * 5 * 7 * 4
