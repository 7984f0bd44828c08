"""A Dask cluster of real processes: results as on one machine, also when some of it dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("threadpoolctl")

from distributed import CancelledError

from attnviz.errors import AttnvizError
from attnviz.models import PACKAGED
from attnviz.scan.cluster import ATTEMPTS, _Remote
from attnviz.scan.cluster import cluster as connect
from attnviz.scan.corpus import Chunk, Line
from attnviz.scan.tally import Job

WORDS = [
    "I",
    "saw",
    "the",
    "old",
    "man",
    "with",
    "a",
    "dog",
    ",",
    "and",
    "they",
    "were",
    "not",
    "seen",
    "by",
    "us",
    ".",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, folder):
        port = str(free_port())
        self.address = f"tcp://127.0.0.1:{port}"
        self.folder = folder
        self.processes = []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", port)

    def worker(self, name, **environment):
        (self.folder / name).mkdir()
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder / name))
        return self.start("worker", self.address, *options, cwd=name, **environment)

    def start(self, what, *arguments, cwd=".", **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *arguments, "--no-dashboard"],
            cwd=self.folder / cwd,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process


@pytest.fixture
def cluster(tmp_path):
    found = Cluster(tmp_path)
    yield found
    for process in reversed(found.processes):
        process.kill()
        process.wait()


@pytest.fixture
def corpus(tmp_path):
    """A folder with a corpus and a model."""
    draw = np.random.default_rng(20261121)
    lines = [" ".join(draw.choice(WORDS, draw.integers(2, 30))) for _ in range(2999)]
    (tmp_path / "c.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "mine").symlink_to(PACKAGED / "tagger")
    return tmp_path


def scan(folder, *arguments):
    command = [sys.executable, "-m", "attnviz", "scan", "c.txt", "-m", "mine", *arguments]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def test_a_killed_worker_loses_nothing_and_a_lost_scheduler_keeps_the_state(cluster, corpus):
    first, _ = cluster.worker("a"), cluster.worker("b")
    assert finish(scan(corpus, "-o", "local.npz"))[0] == 0
    local = (corpus / "local.npz").read_bytes()

    process = scan(corpus, "-o", "s.npz", "--dask", cluster.address)
    wait_for(corpus / "s.part.npz")
    first.send_signal(signal.SIGKILL)
    assert finish(process) == (0, "wrote s.npz\n")
    assert (corpus / "s.npz").read_bytes() == local

    process = scan(corpus, "-o", "t.npz", "--dask", cluster.address)
    wait_for(corpus / "t.part.npz")
    cluster.scheduler.send_signal(signal.SIGKILL)
    code, told = finish(process)
    assert code == 2
    assert told.startswith(f"error: the Dask scheduler at {cluster.address} is gone")
    code, told = finish(scan(corpus, "-o", "t.npz", "--resume"))
    assert code == 0
    assert re.match(r"\d+ lines were counted before\n", told)
    assert (corpus / "t.npz").read_bytes() == local


class Lost:
    """A future whose result is lost with its worker."""

    def __init__(self, error):
        self.error = error

    def result(self, timeout):
        raise self.error


class Found:
    def result(self, timeout):
        return "counted"


@pytest.mark.parametrize("error", [OSError("gone"), CancelledError("lost")])
def test_a_chunk_whose_result_is_lost_is_sent_again(error):
    well = SimpleNamespace(status="running")
    assert _Remote(Lost(error), Found, well, "tcp://here").result() == "counted"

    sent = []
    lost = _Remote(Lost(error), lambda: sent.append(1) or Lost(error), well, "tcp://here")
    with pytest.raises(AttnvizError, match="scheduler at tcp://here is gone"):
        lost.result()
    assert len(sent) == ATTEMPTS - 1

    closed = SimpleNamespace(status="closed")
    with pytest.raises(AttnvizError, match="scheduler at tcp://here is gone"):
        _Remote(Lost(error), Found, closed, "tcp://here").result()


def test_a_cluster_that_loses_all_workers_is_told(cluster, corpus, monkeypatch):
    monkeypatch.setattr("attnviz.scan.cluster.PATIENCE", 60)
    worker = cluster.worker("a")
    with connect(cluster.address, Job("tagger", (), 512)) as crew:
        monkeypatch.setattr("attnviz.scan.cluster.PATIENCE", 1)
        chunk = Chunk((Line(1, "I saw"),), 1, 0, 0, "", 0)
        assert crew.submit(chunk).result().counts.texts == 1
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        with pytest.raises(AttnvizError, match="has no workers: all were lost") as caught:
            crew.submit(chunk).result()
    assert "--resume" in caught.value.hint


@pytest.mark.parametrize(
    "address", ["nope", "", "127.0.0.1", "tcp://127.0.0.1:x", "tcp://[::1:8786", "foo://x:1"]
)
def test_what_is_not_an_address_is_told_at_once(address, recwarn):
    start = time.monotonic()
    with (
        pytest.raises(AttnvizError, match="no Dask scheduler answers at ") as caught,
        connect(address, Job("tagger", (), 512)),
    ):
        pass
    assert "tcp://HOST:8786" in caught.value.hint
    assert time.monotonic() - start < 8


def test_workers_that_lack_attnviz_are_told(cluster, corpus):
    other = corpus / "other" / "attnviz"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    cluster.worker("a", PYTHONPATH=str(other.parent))
    code, told = finish(scan(corpus, "--dask", cluster.address))
    assert code == 2
    assert told.startswith(f"error: a Dask worker of {cluster.address} cannot run attnviz: ")
    assert "install the same attnviz on every worker" in told


def test_no_scheduler(corpus, monkeypatch):
    address = f"tcp://127.0.0.1:{free_port()}"
    monkeypatch.setattr("attnviz.scan.cluster.PATIENCE", 0.3)
    with (
        pytest.raises(AttnvizError, match=f"no Dask scheduler answers at {address}"),
        connect(address, Job("tagger", (), 512)),
    ):
        pass
