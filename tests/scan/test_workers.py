"""The order of results, whoever computes them, and the state between."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from attnviz import load_model
from attnviz.errors import AttnvizError
from attnviz.models.run.forward import describe
from attnviz.scan import state as states
from attnviz.scan.corpus import Chunk, Corpus, Line, chunks
from attnviz.scan.measure import heads_of
from attnviz.scan.run import run
from attnviz.scan.tally import Job, tally
from attnviz.scan.workers import Crew, in_order, processes


class Now:
    """The result of a call, made when it is asked for."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def result(self):
        function, arguments = self._call
        return function(*arguments)


def numbered(count, fails_at=None):
    for number in range(count):
        if number == fails_at:
            raise AttnvizError("the corpus is broken here", "mend it")
        yield number


def test_results_come_in_order_and_few_are_read_ahead():
    read = []

    def chunks():
        for number in range(20):
            read.append(number)
            yield number

    found = []
    for chunk, result in in_order(Crew(lambda c: Now(lambda: c * c), 3), chunks()):
        found.append((chunk, result))
        assert len(read) - len(found) < 6
    assert found == [(n, n * n) for n in range(20)]


def test_what_was_read_before_a_fault_is_not_lost():
    found = []
    results = in_order(Crew(lambda c: Now(int, c), 4), numbered(9, fails_at=5))
    with pytest.raises(AttnvizError, match="broken here"):
        found.extend(chunk for chunk, _ in results)
    assert found == [0, 1, 2, 3, 4]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("attnviz.scan.corpus.CHUNK_LINES", 7)


LINES = "".join(f"I saw {'a saw and ' * (n % 5)}the house\n" for n in range(60)).encode()


def corpus(content=LINES):
    return chunks(Corpus("c", io.BytesIO(content), lambda: 0, 0, None))


def same_bits(a, b):
    assert a.digest == b.digest
    assert a.tally.counts == b.tally.counts
    for one, two in zip(a.tally.statistics, b.tally.statistics, strict=True):
        assert one.tobytes() == two.tobytes()


JOB = Job("tagger", (), 512)


@pytest.fixture
def first():
    return states.beginning(len(heads_of(load_model("tagger").transformer)[0]), 512)


def no_bar(state, chunk):
    pass


def test_any_number_of_processes_gives_the_same_bits(first, small_chunks):
    found = []
    for n_worker in (1, 3):
        with processes(JOB, n_worker) as crew:
            found.append(run(first, corpus(), crew, no_bar_save, no_bar))
    same_bits(*found)
    assert found[0].tally.counts.texts == 60
    assert found[0].n_chunk == 9


def no_bar_save(state):
    pass


def test_a_scan_that_is_ended_anywhere_goes_on_to_the_same_bits(first, small_chunks, tmp_path):
    path, of = (
        tmp_path / "s.part.npz",
        states.identity(describe(load_model("tagger"), True, 0), 512, None),
    )
    crew = Crew(lambda chunk: Now(tally, JOB, chunk), 1)
    whole = run(first, corpus(), crew, no_bar_save, no_bar)
    for end in (1, 4, 9):

        def stop(state, chunk, end=end):
            if state.n_chunk == end:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(first, corpus(), crew, lambda state: states.save(path, state, of), stop)
        kept = states.load(path, of, first)
        assert kept.n_chunk == end
        rest = states.remaining(path, kept, corpus())
        same_bits(run(kept, rest, crew, no_bar_save, no_bar), whole)


def test_a_state_of_something_else_is_refused(first, small_chunks, tmp_path):
    path, model = tmp_path / "s.part.npz", describe(load_model("tagger"), True, 0)
    of = states.identity(model, 512, None)
    crew = Crew(lambda chunk: Now(tally, JOB, chunk), 1)
    state = run(first, corpus(), crew, no_bar_save, no_bar)
    states.save(path, state, of)
    with pytest.raises(AttnvizError, match=f"of another model: .* SHA-256 {model.sha256}"):
        states.load(path, states.identity(replace(model, sha256="beef"), 512, None), first)
    with pytest.raises(AttnvizError, match="was made with longest = 512; now it is 100"):
        states.load(path, states.identity(model, 100, None), first)
    with pytest.raises(AttnvizError, match="was made with field = None; now it is body"):
        states.load(path, states.identity(model, 512, "body"), first)
    moved = states.identity(replace(model, name="moved"), 512, None)
    assert states.load(path, moved, first).n_chunk == 9
    horse, half, more = LINES.replace(b"house", b"horse", 1), LINES[: len(LINES) // 2], LINES + b"a"
    for other in (horse, half, more, b""):
        with pytest.raises(AttnvizError, match="of another corpus: its first 60 lines"):
            states.remaining(path, state, corpus(other))
    assert list(states.remaining(path, state, corpus())) == []


def test_a_model_that_changed_on_the_way_is_refused():
    chunk = Chunk((Line(1, "I saw"),), 1, 0, 0, "", 0)
    with pytest.raises(AttnvizError, match="the weights of tagger differ"):
        tally(JOB._replace(sha256="beef"), chunk)


def test_lines_that_the_model_cannot_read_are_counted():
    lines = (Line(3, "good\t早上好"), Line(7, "no tab"), Line(9, "\t"))
    found = tally(Job("phrases", (), 41), Chunk(lines, 9, 5, 1, "", 0))
    assert found.counts.unreadable == 2
    assert (found.counts.lines, found.counts.empty, found.counts.huge) == (9, 5, 1)
    assert found.complaint.line == 7
    assert "SOURCE<TAB>TARGET" in found.complaint.reason
    assert found.counts.texts == 1


def test_a_worker_that_dies_is_told(monkeypatch):
    with (
        pytest.raises(AttnvizError, match="a worker process has died"),
        processes(JOB, 1) as crew,
    ):
        crew.submit(chunk_that_kills()).result()


class chunk_that_kills:
    def __reduce__(self):
        import os

        return os._exit, (9,)
