"""Files appear whole or not at all, in real file systems and under real signals."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attnviz.errors import AttnvizError
from attnviz.files import WholeFiles, check_writable, read_file, whole_file


def test_written_and_no_leftovers(tmp_path):
    with whole_file(tmp_path / "a.bin") as file:
        file.write(b"x")
        assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "a.bin").read_bytes() == b"x"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    (tmp_path / "a.bin").write_bytes(b"old")

    def interrupted():
        with whole_file(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_mode_and_link_stay(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640


def test_many_writers_of_one_path_in_one_process(tmp_path):
    """All succeed, and what is there at the end is whole, and one of theirs."""
    problems = []

    def save(number):
        try:
            with whole_file(tmp_path / "a.bin") as file:
                for _ in range(20):
                    file.write(bytes([number]) * 1000)
                    time.sleep(0.0005)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=save, args=(n,)) for n in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    content = (tmp_path / "a.bin").read_bytes()
    assert len(content) == 20_000
    assert len(set(content)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path):
    """Also where every process has the same number, as in containers."""
    left = tmp_path / f".a.bin.{os.getpid()}.part"
    left.write_bytes(b"half")
    with whole_file(tmp_path / "a.bin") as file:
        file.write(b"x")
    assert (tmp_path / "a.bin").read_bytes() == b"x"
    assert left.read_bytes() == b"half"


@pytest.mark.parametrize("name", ["a" * 249 + ".npz", "é" * 126 + ".x", "\udcff" * 200 + ".png"])
def test_the_longest_names_there_are(tmp_path, name):
    with whole_file(tmp_path / name) as file:
        file.write(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a" * 300 + ".npz", "a\0.npz", "x" * 5000])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(AttnvizError, match=r"cannot write .*(too long|null byte)"):
        check_writable(tmp_path / name)
    with pytest.raises(AttnvizError, match=r"cannot read .*(too long|null byte)"):
        read_file(tmp_path / name)


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    (tmp_path / "a.npz").symlink_to("b.npz")
    (tmp_path / "b.npz").symlink_to("a.npz")
    for name in ("loop.npz", "a.npz"):
        with pytest.raises(
            AttnvizError, match=f"cannot write .*{name}: it is a link that leads to itself"
        ):
            check_writable(tmp_path / name)
        with pytest.raises(AttnvizError, match="it is a link that leads to itself"):
            read_file(tmp_path / name)
    (tmp_path / "c.npz").symlink_to("missing/d.npz")
    with pytest.raises(AttnvizError, match=r"the folder .*missing does not exist"):
        check_writable(tmp_path / "c.npz")
    (tmp_path / "e.npz").symlink_to("new.npz")
    with whole_file(tmp_path / "e.npz") as file:
        file.write(b"x")
    assert (tmp_path / "new.npz").read_bytes() == b"x"


def test_several_files_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with WholeFiles() as files:
        for name in "ab":
            with files.open(tmp_path / name) as file:
                file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"new",
        "b": b"new",
    }

    def second_fails():
        with WholeFiles() as files:
            with files.open(tmp_path / "a") as file:
                file.write(b"newer")
            with files.open(tmp_path / "missing" / "c"):
                pass

    with pytest.raises(AttnvizError, match="does not exist"):
        second_fails()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"new",
        "b": b"new",
    }


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/zero", "is not a file, but a device"),
        ("pipe", "is not a file, but a pipe"),
        (".", "is not a file, but a folder"),
        ("missing", "cannot read .*missing: No such file"),
        ("/proc/self/status", "has more bytes than its size says"),
        ("large", "has 2,000 bytes; expected at most 1,000"),
    ],
)
def test_only_files_are_read(tmp_path, path, reason):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(2000))
    with pytest.raises(AttnvizError, match=reason) as error:
        read_file(tmp_path / path, maximum=1000)
    assert error.value.hint


def test_a_device_is_written_to_not_replaced():
    with whole_file(Path("/dev/null")) as file:
        file.write(b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.png", "the folder .*missing does not exist"),
        (".", "it is a folder"),
        ("file/a.png", "is not a folder|Not a directory"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, path, message):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AttnvizError, match=message):
        check_writable(tmp_path / path)


@pytest.fixture
def nobody():
    """Root may write anywhere: be somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_folder_without_permission(tmp_path, nobody):
    for folder in ("/", "/usr"):
        with pytest.raises(AttnvizError, match="no permission to write"):
            check_writable(Path(folder) / "a.png")


def run_child(arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "attnviz", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_a_full_disk(tmp_path):
    """The kernel refuses to let a file grow beyond a limit, as it does on a full disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    for name in ("t.npz", "t.json", "t.png", "t.csv"):
        child = run_child(["run", "I saw a saw", "-o", name], tmp_path, preexec_fn=limit)
        _, talk = child.communicate(timeout=60)
        assert child.returncode == 2, talk
        assert f"cannot write {tmp_path / name}: File too large".encode() in talk
        assert b"hint: free some space" in talk
    assert list(tmp_path.iterdir()) == []


OUTPUTS = {
    "run": (("run", "I saw a saw", "-o", "a.json", "-o", "b.csv"), 8000),
    "heads": (("heads", "I saw a saw", "-o", "a.csv", "-o", "b.json"), 9000),
    "several": (("run", "I saw a saw", "a dog", "-o", "a.json", "-o", "b.csv"), 8000),
    "a document with pictures": (("learn", "all", "-o", "a.md"), 80_000),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_a_later_file_does_not_fit_on_the_disk(tmp_path, case):
    """Then the first is not there either, nor a folder for pictures."""
    arguments, n_byte = OUTPUTS[case]

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_byte, n_byte))

    child = run_child(arguments, tmp_path, preexec_fn=limit)
    _, talk = child.communicate(timeout=60)
    assert child.returncode == 2, talk
    assert b"File too large" in talk
    assert b"wrote" not in talk
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("run", "I saw", "a dog", "-o", "x.md"), "x-1.md"),
        (("learn", "all", "-o", "x.csv"), "x-3.csv"),
        (("learn", "all", "-o", "x.md"), "x-pictures"),
    ],
)
def test_numbered_files_are_checked_before_the_work(cli, tmp_path, arguments, name):
    if name.endswith("pictures"):
        (tmp_path / name).write_text("a file of somebody's")
    else:
        (tmp_path / name).mkdir()
    done = cli(*arguments)
    assert done.returncode == 2
    assert f"error: cannot write {name}" in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_interrupt_in_the_middle_of_a_write(tmp_path):
    """Ctrl-C while a large file is being written: exit code 130, nothing left."""
    text = " ".join(f"w{i}" for i in range(2500))
    child = run_child(["run", text, "-o", "t.json"], tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".t.json.*")) and time.monotonic() < deadline:
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, talk = child.communicate(timeout=60)
    assert child.returncode == 130, talk
    assert b"Traceback" not in talk
    assert list(tmp_path.iterdir()) == []
