"""Threads of matrix products, and tasks on all cores."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import attnviz
from attnviz.nn import threads


class Library:
    """Stands for OpenBLAS."""

    def __init__(self, n):
        self.n = n
        self.seen = []

    def get_num_threads(self):
        return self.n

    def set_num_threads(self, n):
        self.n = n
        self.seen.append(n)


@pytest.fixture
def library(monkeypatch):
    made = Library(7)
    monkeypatch.setattr(threads, "_libraries", lambda: (made,))
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
    assert threads.n_worker() == 5
    with threads.suited_to(threads.LARGE):
        assert library.n == 5
    assert library.n == 1


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_what_the_user_has_set_holds(library, name, monkeypatch):
    environment = {name: "3"}
    threads.begin_with_one(environment)
    assert environment == {name: "3"}
    with threads.suited_to(threads.LARGE):
        assert library.n == 7
    for other in threads.VARIABLES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr(threads, "_cores", lambda: 5)
    assert threads.n_worker() == 5
    monkeypatch.setenv(name, "3")
    assert threads.n_worker() == 3


def test_of_another_library_nothing_is_changed(monkeypatch):
    monkeypatch.setattr(threads, "_libraries", tuple)
    with threads.suited_to(1):
        pass
    assert threads.in_parallel([lambda: 1, lambda: 2]) == [1, 2]


def test_attention_and_models_say_how_large_they_are(library, generator, monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 2 * 3 * 5 * 7 * (11 + 13))
    q, k, v = (generator.normal(size=(2, 3, n, d)) for n, d in ((5, 11), (7, 11), (7, 13)))
    attnviz.attend(q, k, v)
    assert library.seen == []
    attnviz.attend(q[:1], k[:1], v[:1])
    assert library.seen == [1, 7]


def test_the_library_of_this_numpy_is_known(monkeypatch):
    """Its numbers are the same with any number of threads."""
    monkeypatch.setattr(threads, "_most", [])
    libraries = threads._libraries()
    if not libraries:
        pytest.skip("a library that threadpoolctl does not know")
    before = [library.get_num_threads() for library in libraries]
    with threads.suited_to(1):
        assert {library.get_num_threads() for library in libraries} == {1}
        a = np.arange(300 * 200, dtype=np.float32).reshape(300, 200) % 7
        one = a @ a.T
    assert [library.get_num_threads() for library in libraries] == before
    np.testing.assert_array_equal(a @ a.T, one)


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(threads, "_most", [3])


def test_as_many_tasks_run_at_once_as_there_are_workers(library, three):
    meeting = threading.Barrier(3, timeout=10)

    def task(i):
        meeting.wait()
        assert library.n == 1
        return i

    assert threads.in_parallel([lambda i=i: task(i) for i in range(6)]) == list(range(6))
    assert library.n == 7


def test_inside_a_task_there_is_one_thread(library, three):
    def task():
        with threads.suited_to(threads.LARGE):
            assert library.n == 1
        return threads.n_worker(), set(threads.in_parallel([threading.get_ident] * 5))

    found = threads.in_parallel([task] * 4)
    assert all(n == 1 and len(idents) == 1 for n, idents in found)
    assert threads.n_worker() == 3


@pytest.mark.parametrize("error", [IndexError, KeyboardInterrupt])
def test_the_first_error_is_raised_and_no_task_begins_after_it(library, three, error):
    begun = []
    meeting = threading.Barrier(3, timeout=10)

    def task(i):
        begun.append(i)
        meeting.wait()
        raise error(i)

    with pytest.raises(error):
        threads.in_parallel([lambda i=i: task(i) for i in range(11)])
    assert sorted(begun) == [0, 1, 2]
    assert library.n == 7


def test_the_error_state_holds_in_all_threads(library, three):
    meeting = threading.Barrier(3, timeout=10)

    def task():
        meeting.wait()
        return np.geterr()["over"]

    with np.errstate(over="raise"):
        assert threads.in_parallel([task] * 3) == ["raise"] * 3


def test_a_team_shares_what_one_made_and_waits_for_all(library, three):
    made, done, alone = [], [], []

    def make():
        made.append(threading.get_ident())
        return len(made)

    def work(number, team):
        assert team.part(number, 11) == slice(11 * number // 3, 11 * (number + 1) // 3)
        found = [team.shared(make)]
        # all cores are free while one acts; tasks of its own do not put it out of step
        team.alone(lambda: alone.append((len(made), threads.in_parallel([threads.n_worker] * 3))))
        found.append(team.shared(make, done.append))
        team.last(lambda: done.append("last"))
        return number, found

    assert threads.in_team(3, work) == [(number, [1, 2]) for number in range(3)]
    assert alone == [(1, [1, 1, 1])]
    assert done == [2, "last"]


def test_a_team_whose_thread_fails_ends_with_its_error(library):
    def work(number, team):
        if number == 1:
            raise ZeroDivisionError
        team.alone(lambda: None)

    with pytest.raises(ZeroDivisionError):
        threads.in_team(3, work)
