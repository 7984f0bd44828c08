"""`attnviz scan`, as its users call it, and as it is killed."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz import archive
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.values import output_weights

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


def write_lines(path, count, seed=20261121):
    draw = np.random.default_rng(seed)
    lines = [" ".join(draw.choice(WORDS, draw.integers(2, 30))) for _ in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return lines


def test_means_deviations_and_quantiles_over_texts(call, tmp_path):
    lines = write_lines(tmp_path / "c.txt", 29)
    done = call("scan", "c.txt", "-o", "s.npz", "--workers", 1)
    assert (done.code, done.err) == (0, "wrote s.npz\n")
    assert "means over 29 texts" in done.out
    assert sorted(os.listdir(tmp_path)) == ["c.txt", "s.npz"]
    model = attnviz.load_model("tagger")
    outputs = output_weights(model.transformer)
    tables = [
        measure_heads(attnviz.run(line, model=model, stages=("weights", "v")), outputs=outputs)
        for line in lines
    ]
    manifest, arrays = archive.read(tmp_path / "s.npz")
    assert manifest["format"] == "attnviz-scan"
    assert manifest["corpus"]["texts"] == manifest["corpus"]["lines"] == 29
    for name in ("entropy", "previous_token", "punctuation", "induction", "value_norm"):
        values = np.array([table.value[name] for table in tables])
        nulls = np.where(np.isnan(values), np.nan, [table.null[name] for table in tables])
        for kind, right in (
            ("value", np.nanmean(values, 0)),
            ("null", np.nanmean(nulls, 0)),
            ("rows", np.sum([table.rows[name] for table in tables], 0)),
            ("texts", (~np.isnan(values)).sum(0)),
            ("deviation", np.nanstd(values, 0, ddof=1)),
            ("least", np.nanmin(values, 0)),
            ("most", np.nanmax(values, 0)),
        ):
            np.testing.assert_allclose(
                arrays[f"{kind}/{name}"], right, rtol=2e-5, atol=2e-6, err_msg=f"{kind}/{name}"
            )
        assert (np.diff(arrays[f"quantiles/{name}"], axis=1) >= 0).all()


def test_heads_reads_it(call, tmp_path):
    write_lines(tmp_path / "c.txt", 23)
    call("scan", "c.txt", "-o", "s.npz", "--workers", 1)
    done = call("heads", "s.npz", "--columns", "entropy,entropy_deviation,entropy_q50", "-s", "L1")
    assert (done.code, done.err) == (0, "")
    assert "entropy_deviation" in done.out
    assert "L1.H3" in done.out
    assert "L0.H0" not in done.out
    assert json.loads(call("heads", "s.npz", "--json").out)["model"]["name"] == "tagger"


def test_the_screen_shows_the_clearest_heads_of_each_role(call, tmp_path):
    (tmp_path / "c.txt").write_text("KXQWJDKXQMWJDZKXQWBJDMZKXQW\nBDFKQWXZBDFKQWXZFKBD\n" * 3)
    done = call("scan", "c.txt", "-m", "induction", "--workers", 1)
    assert done.code == 0
    assert "previous-token  L0.H2 looks at the previous token" in done.out
    words = " ".join(done.out.split())
    assert re.search(r"induction L1.H\d where .*; also (L1.H\d, ){2}L1.H\d ", words)
    assert sum(line.startswith("L1.H") for line in done.out.splitlines()) == 3


def test_what_is_skipped_and_cut_is_said(call, tmp_path):
    (tmp_path / "c.txt").write_bytes(b"I saw\n\n" + b"a saw " * 50 + b"\n" + b"x" * (3 << 20))
    done = call("scan", "c.txt", "--longest", 32, "--workers", 1, "--json")
    found = json.loads(done.out)
    assert found["corpus"] == {
        "sha256": found["corpus"]["sha256"],
        "lines": 4, "empty": 1, "huge": 1, "unreadable": 0, "windowed": 1, "texts": 5, "broken": 0,
        "tokens": 4 + 100 + 2 * 4, "unknown": 0,
    }  # fmt: skip
    told = " ".join(found["notes"])
    assert "1 line was cut into windows of at most 32 tokens" in told
    assert "1 line was skipped: empty" in told
    assert "1 line was skipped: longer than 1 MiB" in told


def test_the_same_bytes_from_other_formats_and_workers(cli, tmp_path):
    lines = write_lines(tmp_path / "c.txt", 1031)
    entries = "\n".join(json.dumps({"text": line}) for line in lines) + "\n"
    (tmp_path / "c.jsonl").write_text(entries)
    cli("scan", "c.txt", "-o", "one.npz", "--workers", "1")
    stdin = (tmp_path / "c.txt").read_bytes()
    done = cli("scan", "-", "-o", "three.npz", "--workers", "3", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "three.npz").read_bytes()
    cli("scan", "c.jsonl", "-o", "json.npz")
    _, one = archive.read(tmp_path / "one.npz")
    _, other = archive.read(tmp_path / "json.npz")
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in other.items()
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("empty.txt",), "empty.txt is empty"),
        (("blank.txt",), "blank.txt: no line holds a text"),
        (("latin.txt",), "latin.txt, line 3: not UTF-8: byte 1 is 0xe9"),
        (("none.txt",), "cannot read none.txt"),
        (("blank.txt", "-m", "tagger-word"), "tagger-word has no attention"),
        (("text.txt", "-m", "phrases"), "no line could be read; line 1: phrases reads SOURCE"),
        (("text.txt", "--longest", "1"), "--longest: expected 2 or more, got 1"),
        (("text.txt", "-m", "phrases", "--longest", "42"), "expected 2 to 41, which phrases reads"),
        (("text.txt", "--longest", "2"), "no line could be read; line 1: 2 tokens stand around"),
        (("text.txt", "--workers", "0"), "--workers: expected at least 1, got 0"),
        (("text.txt", "--workers", "2", "--dask", "tcp://x:1"), "a cluster has workers of its own"),
        (("text.txt", "--resume"), "--resume needs the -o"),
        (("text.txt", "-o", "no/s.npz"), "the folder no does not exist"),
        (("text.txt", "-o", "s.xyz"), "unknown format '.xyz'"),
    ],
)
def test_faults(call, tmp_path, arguments, told):
    for name, content in (
        ("empty.txt", b""),
        ("blank.txt", b"\n \n"),
        ("latin.txt", b"a\n\nb\xe9\n"),
        ("text.txt", b"I saw a saw\n"),
    ):
        (tmp_path / name).write_bytes(content)
    done = call("scan", *arguments)
    assert done.code == 2
    assert told in done.err
    assert done.err.startswith("error: ")
    assert "hint: " in done.err


def start(folder, *arguments):
    """The command in a session of its own; only its first process is killed later."""
    command = [sys.executable, "-m", "attnviz", "scan", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def living(session):
    """The processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *_, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != "Z":
            found.append(path.parent.name)
    return found


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_killed_in_mid_run_it_goes_on_to_the_same_bytes(cli, tmp_path):
    write_lines(tmp_path / "c.txt", 4099)
    assert cli("scan", "c.txt", "-o", "whole.npz", "--workers", "2").returncode == 0
    kept = tmp_path / "s.part.npz"
    resume = ()
    for _ in range(3):  # killed three times, each time further on
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        process = start(tmp_path, "c.txt", "-o", "s.npz", "--workers", 2, *resume)
        wait_until(lambda before=before: kept.exists() and kept.stat().st_mtime_ns != before)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        wait_until(lambda process=process: not living(process.pid))
        assert not (tmp_path / "s.npz").exists()
        resume = ("--resume",)
    refused = cli("scan", "c.txt", "-o", "s.npz")
    assert (refused.returncode, b"--resume goes on from there" in refused.stderr) == (2, True)
    done = cli("scan", "c.txt", "-o", "s.npz", "--workers", "1", "--resume")
    assert done.returncode == 0
    n_before = int(done.stderr.split()[0])
    assert 0 < n_before < 4099
    assert n_before % 512 == 0
    assert (tmp_path / "s.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not kept.exists()


def test_interrupted_it_keeps_what_was_counted(cli, tmp_path):
    write_lines(tmp_path / "c.txt", 4099)
    process = start(tmp_path, "c.txt", "-o", "s.npz", "--workers", 2)
    wait_until((tmp_path / "s.part.npz").exists)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, b"interrupted\n")
    assert (tmp_path / "s.part.npz").exists()
    assert not (tmp_path / "s.npz").exists()


def test_a_fault_late_in_the_corpus_loses_nothing(cli, tmp_path):
    lines = write_lines(tmp_path / "whole.txt", 1063)
    cli("scan", "whole.txt", "-o", "whole.npz")
    content = (tmp_path / "whole.txt").read_bytes()
    broken = content.replace(lines[1061].encode(), b"\xff")
    (tmp_path / "c.txt").write_bytes(broken)
    done = cli("scan", "c.txt", "-o", "s.npz")
    assert done.returncode == 2
    assert b"line 1062: not UTF-8" in done.stderr
    (tmp_path / "c.txt").write_bytes(content)
    done = cli("scan", "c.txt", "-o", "s.npz", "--resume")
    assert done.stderr.startswith(b"1024 lines were counted before\n")
    assert (tmp_path / "s.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_a_full_disk_leaves_what_was_counted(cli, tmp_path):
    """A limit on the size of files stands for the disk: a state no longer fits."""
    lines = write_lines(tmp_path / "c.txt", 1031)
    cli("scan", "c.txt", "-o", "whole.npz")
    content = (tmp_path / "c.txt").read_bytes()
    (tmp_path / "c.txt").write_bytes(content.replace(lines[700].encode(), b"\xff"))
    cli("scan", "c.txt", "-o", "s.npz")
    kept = (tmp_path / "s.part.npz").read_bytes()
    (tmp_path / "c.txt").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "attnviz", "scan", "c.txt", "-o", "s.npz", "--resume"],
        cwd=tmp_path, capture_output=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 2
    assert b"s.part.npz: File too large\nhint: free some space" in done.stderr
    assert (tmp_path / "s.part.npz").read_bytes() == kept
    assert sorted(os.listdir(tmp_path)) == ["c.txt", "s.part.npz", "whole.npz"]
    assert cli("scan", "c.txt", "-o", "s.npz", "--resume").returncode == 0
    again = cli("scan", "c.txt", "-o", "s.npz", "--resume")
    assert (again.returncode, b"nothing to resume" in again.stderr) == (2, True)
    assert (tmp_path / "s.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_weights_that_are_no_numbers(call, tmp_path):
    """A text with such weights is left out and counted; with all of them it is an error."""
    from safetensors.numpy import load_file, save_file

    from attnviz.models import PACKAGED

    folder = tmp_path / "broken"
    folder.mkdir()
    for path in (PACKAGED / "induction").iterdir():
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            table = tensors["source.tokens"].copy()
            table[2] = np.nan  # the letter a
            tensors["source.tokens"] = table
            save_file(tensors, folder / path.name)
        elif path.name != "card.json":
            (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "c.txt").write_text("bcd\nbad\ndbc\n")
    found = json.loads(call("scan", "c.txt", "-m", "broken", "--json", "--workers", 1).out)
    assert (found["corpus"]["texts"], found["corpus"]["broken"]) == (3, 1)
    assert "1 texts skipped" in " ".join(found["notes"])
    (tmp_path / "c.txt").write_text("bad\n")
    done = call("scan", "c.txt", "-m", "broken", "--workers", 1)
    assert done.code == 2
    assert "holds NaN or infinity" in done.err


@pytest.mark.parametrize(
    ("content", "model"), [(b"", "tagger"), (b"\n \n", "tagger"), (b"no tab\n" * 600, "phrases")]
)
def test_a_corpus_of_nothing_leaves_nothing_in_the_way(call, tmp_path, content, model):
    (tmp_path / "c.txt").write_bytes(content)
    assert call("scan", "c.txt", "-m", model, "-o", "s.npz", "--workers", 1).code == 2
    assert os.listdir(tmp_path) == ["c.txt"]
    (tmp_path / "c.txt").write_text("good\tI saw\n")
    done = call("scan", "c.txt", "-m", model, "-o", "s.npz", "--workers", 1)
    assert (done.code, done.err) == (0, "wrote s.npz\n")


def test_a_name_that_is_almost_too_long(call, tmp_path):
    name = "x" * 250 + ".npz"
    (tmp_path / "c.txt").write_text("I saw\n" * 513 + "\ud800", "utf-8", "surrogatepass")
    assert call("scan", "c.txt", "-o", name, "--workers", 1).code == 2
    (tmp_path / "c.txt").write_text("I saw\n" * 513)
    done = call("scan", "c.txt", "-o", name, "--workers", 1, "--resume")
    assert (done.code, done.err.startswith("512 lines were counted before\n")) == (0, True)
    assert sorted(os.listdir(tmp_path)) == ["c.txt", name]


def test_another_field_is_refused(call, tmp_path):
    lines = [json.dumps({"text": "I saw", "body": "they saw"})] * 513
    (tmp_path / "c.jsonl").write_text("\n".join([*lines, "{"]))
    assert call("scan", "c.jsonl", "-o", "s.npz", "--workers", 1).code == 2
    done = call("scan", "c.jsonl", "-o", "s.npz", "--workers", 1, "--resume", "--field", "body")
    assert (done.code, "made with field = text; now it is body" in done.err) == (2, True)


def test_a_damaged_state_is_refused_with_the_way_out(call, tmp_path):
    lines = write_lines(tmp_path / "c.txt", 601)
    (tmp_path / "c.txt").write_bytes(b"\n".join(map(str.encode, lines)) + b"\n\xff")
    assert call("scan", "c.txt", "-o", "s.npz", "--workers", 1).code == 2
    part = tmp_path / "s.part.npz"
    manifest, arrays = archive.read(part)
    arrays["mean"][0, 0] += 1
    with part.open("wb") as file:
        archive.write(file, ".npz", manifest, arrays)
    write_lines(tmp_path / "c.txt", 601)
    done = call("scan", "c.txt", "-o", "s.npz", "--workers", 1, "--resume")
    assert done.code == 2
    assert done.err == (
        "error: s.part.npz is damaged: its content does not fit its checksum\n"
        "hint: delete the file: the scan then starts anew\n"
    )
    part.unlink()
    assert call("scan", "c.txt", "-o", "s.npz", "--workers", 1, "--resume").code == 0


def test_another_model_or_corpus_is_refused(cli, tmp_path):
    write_lines(tmp_path / "c.txt", 513)
    with (tmp_path / "c.txt").open("ab") as file:
        file.write(b"\xff\n")
    cli("scan", "c.txt", "-o", "s.npz", "-m", "tagger")
    kept = (tmp_path / "s.part.npz").read_bytes()
    write_lines(tmp_path / "d.txt", 513, seed=7)
    for arguments, told in (
        (("c.txt", "-m", "induction"), b"of another model: its weights had the SHA-256"),
        (("d.txt", "-m", "tagger"), b"of another corpus: its first 512 lines"),
        (("c.txt", "-m", "tagger", "--longest", "99"), b"longest = 512; now it is 99"),
        (
            ("c.txt", "-m", "tagger", "--mask", "causal"),
            b"made with changed = None; now it is {'mask'",
        ),
    ):
        done = cli("scan", *arguments, "-o", "s.npz", "--resume")
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert (tmp_path / "s.part.npz").read_bytes() == kept
