"""Threads of matrix products."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.nn import threads


class Library:
    """Stands for OpenBLAS."""

    def __init__(self, n):
        self.n = n
        self.seen = []

    def read(self):
        return self.n

    def set_count(self, n):
        self.n = n
        self.seen.append(n)


@pytest.fixture
def library(monkeypatch):
    made = Library(7)
    monkeypatch.setattr(threads, "_library", lambda: made)
    monkeypatch.setattr(threads, "_most", [])
    return made


def test_small_work_uses_one_and_leaves_the_rest_as_it_was(library):
    with threads.suited_to(threads.LARGE - 1):
        assert library.n == 1
    assert library.n == 7
    with pytest.raises(ZeroDivisionError), threads.suited_to(1):
        raise ZeroDivisionError
    assert library.n == 7


def test_large_work_uses_what_the_user_has_set(library):
    with threads.suited_to(threads.LARGE):
        assert library.n == 7
    assert library.seen == []


def test_a_command_begins_with_one(library, monkeypatch):
    monkeypatch.setattr(threads, "_cores", lambda: 5)
    environment = {}
    threads.begin_with_one(environment)
    assert environment == {"OPENBLAS_NUM_THREADS": "1"}
    library.n = 1
    with threads.suited_to(threads.LARGE):
        assert library.n == 5
    assert library.n == 1


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_what_the_user_has_set_holds(library, name):
    environment = {name: "3"}
    threads.begin_with_one(environment)
    assert environment == {name: "3"}
    with threads.suited_to(threads.LARGE):
        assert library.n == 7


def test_of_another_library_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(threads, "_library", lambda: None)
    with threads.suited_to(1):
        pass


def test_attention_and_models_say_how_large_they_are(library, generator, monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 2 * 3 * 5 * 7 * (11 + 13))
    q, k, v = (generator.normal(size=(2, 3, n, d)) for n, d in ((5, 11), (7, 11), (7, 13)))
    attnviz.attend(q, k, v)
    assert library.seen == []
    attnviz.attend(q[:1], k[:1], v[:1])
    assert library.seen == [1, 7]


def test_the_library_of_this_numpy_is_known():
    """Where its wheel brings OpenBLAS; its numbers are the same with any number of threads."""
    if threads._library() is None:
        pytest.skip("another build of NumPy")
    before = threads._library().read()
    with threads.suited_to(1):
        assert threads._library().read() == 1
        a = np.arange(300 * 200, dtype=np.float32).reshape(300, 200) % 7
        one = a @ a.T
    assert threads._library().read() == before
    np.testing.assert_array_equal(a @ a.T, one)
