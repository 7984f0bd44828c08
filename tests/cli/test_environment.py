"""What a process may be started with: closed streams, encodings, variables, folders, limits."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

ATTNVIZ = f'"{sys.executable}" -m attnviz'

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "cp1251", "gbk", "gb18030", "shift_jis", "euc_kr",
             "big5", "iso2022_jp", "utf-16", "utf-8")  # fmt: skip


@pytest.fixture
def shell(tmp_path):
    """Run a line of bash, `{attnviz}` being the command, in an empty folder."""

    def call(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["bash", "-c", "set -o pipefail; " + line.format(attnviz=ATTNVIZ)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80", **environment},
            timeout=120,
            check=False,
        )

    return call


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_in_any_encoding(cli, encoding):
    done = cli("run", "--help-all", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert "d_model" in text
    assert "\\u" not in text
    if encoding == "latin-1":
        assert "sqrt d_model" in text
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tokens_in_any_encoding(cli, encoding):
    """A character that the encoding has is written as it is, one that it lacks as its escape."""
    words = "é 早 ж 한 😀"
    done = cli("run", words, "-m", "random", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    for char in words.split():
        try:
            char.encode(encoding)
        except UnicodeEncodeError:
            assert char.encode("ascii", "backslashreplace").decode() in text
        else:
            assert f"{char} " in text


def test_the_c_locale(cli):
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    done = cli("run", "--help-all", **plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"sqrt d_model" in done.stdout
    done = cli("run", "hi", "-m", "早", **plain)
    assert done.returncode == 2
    assert done.stderr.isascii()


def test_an_error_in_any_encoding(cli):
    done = cli("run", "hi", "-m", "早é", PYTHONIOENCODING="cp1252")
    assert done.stderr.splitlines()[0].decode("cp1252") == "error: no such model: '\\u65e9é'"


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("{attnviz} run - <&-", 2, b"error: cannot read stdin: Bad file descriptor"),
        ("{attnviz} scan - <&-", 2, b"error: cannot read"),
        ("{attnviz} run hi <&-", 0, b""),
        ("{attnviz} run hi >&-", 2, b"error: cannot write to stdout: Bad file descriptor"),
        ("{attnviz} run hi --json >&-", 2, b"error: cannot write to stdout: Bad file descriptor"),
        ("{attnviz} --help >&-", 2, b"error: cannot read or write: Bad file descriptor"),
        ("{attnviz} --version >&-", 2, b"error: cannot read or write: Bad file descriptor"),
        ("{attnviz} run hi -o x.npz >&-", 0, b"wrote x.npz"),
        ("{attnviz} run hi -o x.npz 2>&-", 0, b""),
        ("{attnviz} run hi -o x.npz <&- >&- 2>&-", 0, b""),
        ("{attnviz} runn 2>&-", 2, b""),
        ("{attnviz} runn 2>/dev/full", 2, b""),
        ("{attnviz} run --help >/dev/full", 2, b"No space left"),
        ("{attnviz} --version >/dev/full", 2, b"No space left"),
    ],
)
def test_closed_and_full_streams(shell, tmp_path, line, code, error):
    done = shell(line)
    assert done.returncode == code
    assert error in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert b"internal" not in done.stderr
    if "2>&-" in line:
        assert done.stdout == done.stderr == b"" or "-o" not in line
    if "-o" in line and code == 0:
        check = shell("{attnviz} show x.npz")
        assert (check.returncode, check.stderr) == (0, b"")


@pytest.mark.parametrize(
    "line",
    [
        "{attnviz} --version | true",
        "{attnviz} --help | true",
        "{attnviz} run --help | true",
        "{attnviz} run hi | true",
        "{attnviz} run hi --json | true",
        "{attnviz} runn 2>&1 | true",
        "{attnviz} run hi -o x.npz 2>&1 | true",
        "{attnviz} learn all | head -1",
    ],
)
def test_a_broken_pipe_is_no_failed_check(shell, line):
    done = shell(line)
    assert (done.returncode, done.stderr) == (141, b"")


def test_sizes_of_the_terminal_that_are_none(cli):
    usual = cli("run", "--help", COLUMNS="80")
    for columns in ("1" * 24, "²", "abc", "-5", "0", "", "1", "9" * 5000):
        odd = dict.fromkeys(("COLUMNS", "LINES", "TERMINAL_WIDTH"), columns)
        found = cli("run", "--help", **odd)
        assert (found.returncode, found.stderr, found.stdout) == (0, b"", usual.stdout), columns
        assert cli("run", "hi", **odd).returncode == 0, columns


def test_matplotlib_is_told_of_no_window(cli, tmp_path):
    """Nor does it speak of its own cache where it finds no place for one."""
    done = cli(
        "run", "hi", "-o", "x.png", MPLBACKEND="nope", MPLCONFIGDIR="/proc/none", HOME="/proc/none"
    )
    assert (done.returncode, done.stderr) == (0, b"wrote x.png\n")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_whose_name_is_not_utf8(shell, tmp_path):
    folder = os.fsencode(tmp_path) + b"/n\xff"
    os.mkdir(folder)
    done = shell("cd n* && {attnviz} encode positions --plot")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(folder + b"/positions-sinusoidal.png\n")
    done = shell(
        "d=$(echo n*); {attnviz} run hi -o $d/x.npz && {attnviz} show $d/x.npz && {attnviz} models $d"
    )
    assert (done.returncode, done.stderr) == (0, b"wrote n\\udcff/x.npz\n")


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("image",), ("heads", "--json", "-m"), ("scan",), ("learn",), ("models",),
     ("ablate", "--data"), ("diff", "a.npz"), ("run", "hi", "-m"), ("run", "hi", "-o"),
     ("run", "hi", "--mask-file"), ("encode", "positions", "--scheme")],
    ids=" ".join,
)  # fmt: skip
def test_names_that_are_not_utf8(cli, arguments):
    done = cli(*arguments, b"\xff".decode(errors="surrogateescape"))
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert b"internal" not in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_byte_order_mark(cli, tmp_path):
    bom = b"\xef\xbb\xbf"
    assert cli("run", "-", stdin=bom + b"hi").stdout == cli("run", "-", stdin=b"hi").stdout
    (tmp_path / "t.txt").write_bytes(bom + b"one\ntwo\n")
    (tmp_path / "plain.txt").write_bytes(b"one\ntwo\n")
    np.save(tmp_path / "w.npy", np.full((2, 2), 0.5))
    marked, plain = (cli("show", "w.npy", "--tokens", name) for name in ("t.txt", "plain.txt"))
    assert (marked.returncode, marked.stdout) == (0, plain.stdout)
    marked, plain = (cli("scan", "-", stdin=text) for text in (bom + b"hi\n", b"hi\n"))
    assert (marked.returncode, marked.stdout) == (0, plain.stdout)
    (tmp_path / "s.toml").write_bytes(bom + b"layers = 1\n")
    assert cli("run", "hi", "-m", "s.toml").returncode == 0
    marked, plain = (
        cli("ablate", "a dog", "--kind", "mean", "--reference", name, "--trials", "one", "--json")
        for name in ("t.txt", "plain.txt")
    )
    assert marked.returncode == 0
    assert marked.stdout.replace(b"t.txt", b"plain.txt") == plain.stdout


def test_little_address_space(shell):
    """Under `ulimit -v`: done, or refused in a line."""
    done = shell("ulimit -v 1200000; OPENBLAS_NUM_THREADS=1 {attnviz} run hi")
    assert done.returncode == 0
    done = shell("ulimit -v 1200000; OPENBLAS_NUM_THREADS=1 {attnviz} run hi --d-model 8192")
    assert done.returncode == 2
    assert b"of memory" in done.stderr or b"not enough memory" in done.stderr
