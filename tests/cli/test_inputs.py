"""Texts, ids and files off the command line, and the run that they are for."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attnviz
from attnviz.cli import inputs
from attnviz.cli.inputs import (
    announce,
    as_shown,
    first_head,
    joined,
    load_file,
    named_file,
    read_inputs,
    record_source,
)
from attnviz.cli.options import FileInput, LookOptions, TextInput
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.memory import Plan
from attnviz.trace.selection import Selection, parse_selection


@pytest.fixture
def stdin(monkeypatch):
    def give(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def test_texts_ids_and_stdin(stdin):
    assert read_inputs(["I saw", "a saw"], None) == ["I saw", "a saw"]
    assert read_inputs(None, "1,2,3") == [[1, 2, 3]]
    stdin("a säw\r\n".encode())
    assert read_inputs(["first", "-"], None) == ["first", "a säw"]


@pytest.mark.parametrize(
    ("texts", "ids", "content", "message"),
    [
        (["a"], "1", b"", "not both"),
        (None, None, b"", "there is no text"),
        ([], None, b"", "there is no text"),
        (["a", " "], None, b"", "the text is empty"),
        (["-"], None, b"\n", "the text is empty"),
        (["-"], None, b"", "there is no text: stdin is empty"),
        (["-"], None, b"ab\xff", "stdin is not UTF-8: byte 2 is 0xff"),
    ],
)
def test_texts_that_are_none(stdin, texts, ids, content, message):
    stdin(content)
    with pytest.raises(AttnvizError, match=message):
        read_inputs(texts, ids)


@pytest.mark.parametrize(
    ("words", "texts", "said"),
    [
        (["saw"], ["saw"], ""),
        (["I", "saw", "a", "saw"], ["I saw a saw"], 'reading one text: "I saw a saw"\n'),
        (["I saw", "a saw"], ["I saw", "a saw"], ""),
        (["I saw", "-"], ["I saw", "-"], ""),
        (["I saw", "saw"], ["I saw", "saw"], 'reading 2 texts: "I saw", "saw"; '),
        (["saw "] * 5, ["saw "] * 5, ""),
    ],
)
def test_bare_words_are_one_text(capsys, words, texts, said):
    assert joined(words) == texts
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert bool(err) == bool(said)


TEXTS = ["run", "heads", "explain", "flow", "ablate", "encode tokens"]


@pytest.mark.parametrize("command", TEXTS)
def test_every_command_reads_bare_words_and_what_is_piped_in(cli, call, command):
    quoted = call(*command.split(), "I saw a saw")
    bare = call(*command.split(), *["I", "saw", "a", "saw"])
    piped = cli(*command.split(), stdin=b"I saw a saw\n")
    assert quoted.code == bare.code == piped.returncode == 0
    assert quoted.out == bare.out == piped.stdout.decode()
    assert (bare.err, piped.stderr) == ('reading one text: "I saw a saw"\n', b"")


@pytest.mark.parametrize("command", ["heads", "explain", "flow", "ablate", "decode"])
def test_one_text_is_expected(call, command):
    done = call(command, "I saw", "a saw")
    assert done.code == 2
    assert "expected one text" in done.err


def test_nothing_is_piped_in(cli):
    done = cli("run")
    assert done.stderr.startswith(b"error: there is no text: stdin is empty\nhint: ")
    with open("/dev/null", "rb") as nothing:
        done = subprocess.run(
            [sys.executable, "-m", "attnviz", "run"],
            stdin=nothing,
            capture_output=True,
            check=False,
        )
    assert done.stderr.startswith(b"error: there is no text\nhint: ")


def test_both_sides_of_a_difference_may_need_what_is_piped_in(cli):
    piped = cli("diff", "--with", "mask=causal", stdin=b"I saw a saw")
    assert piped.stdout == cli("diff", "I saw a saw", "--with", "mask=causal").stdout
    assert b"mask causal" in piped.stdout


def test_a_pipe_that_nobody_writes_to_is_announced(monkeypatch):
    said = []
    monkeypatch.setattr(inputs, "talk", said.append)
    monkeypatch.setattr(inputs, "PATIENCE", 0.01)
    read, write = os.pipe()
    with open(read) as stdin, open(write, "w") as writer:
        monkeypatch.setattr("sys.stdin", stdin)
        inputs._announce_waiting()
        assert said == ["reading the text from stdin; Ctrl-D ends it"]
        writer.write("hi")
        writer.flush()
        inputs._announce_waiting()
        assert len(said) == 1


def test_a_file_is_known_by_its_suffix_and_by_being_there_or_one_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("two words.npz").touch()
    for source in ("missing.npz", "a.NPY", "two words.npz", "a/b.json"):
        assert named_file(source) == Path(source)
    for source in (None, "a text", "I saved it as weights.npz", "a.png", "npz"):
        assert named_file(source) is None


def test_tokens_are_words_or_the_lines_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("w.npy", np.full((2, 3), 1 / 3))
    Path("keys.txt").write_text("a b\nc\nd\n")
    trace = load_file(Path("w.npy"), FileInput(tokens="I saw", key_tokens="keys.txt"))
    (record,) = trace
    assert trace.streams[record.queries].tokens == ("I", "saw")
    assert trace.streams[record.keys].tokens == ("a b", "c", "d")
    Path("keys.txt").write_bytes(b"\xff\n")
    with pytest.raises(AttnvizError, match=r"--key-tokens keys\.txt: not UTF-8"):
        load_file(Path("w.npy"), FileInput(key_tokens="keys.txt"))


def test_a_model_of_images_reads_the_file_of_one():
    digits = load_model("digits")
    with pytest.raises(AttnvizError, match="digits reads images, not ids or a second text"):
        record_source(digits, "3.png", TextInput(pair="x"), ("weights",), Selection())
    with pytest.raises(AttnvizError, match="digits reads images"):
        record_source(digits, [1, 2], TextInput(), ("weights",), Selection())


def test_much_memory_is_announced(monkeypatch):
    said = []
    monkeypatch.setattr(inputs, "talk", said.append)
    plan = attnviz.models.run.prepare.prepare(load_model("tagger"), "I saw").plan
    assert isinstance(plan, Plan)
    announce(plan, "2 tokens")
    assert said == []
    monkeypatch.setattr(inputs, "LARGE", 0)
    announce(plan, "2 tokens")
    assert said[0].startswith("2 tokens: this needs about ")


def test_the_first_selected_head_or_the_first_that_has_a_mask(saw):
    record, head = first_head(saw, parse_selection(["L1.H2,H3"]))
    assert (record.layer, head) == (1, 2)
    translated = attnviz.run("good\n", model="phrases", target="早上好")
    assert first_head(translated, Selection())[0].id == "encoder.0.self"
    assert first_head(translated, Selection(), masked=True)[0].id == "decoder.0.self"
    with pytest.raises(AttnvizError):
        first_head(saw, parse_selection(["L9"]))


def test_words_only_where_they_are_asked_for():
    trace = attnviz.run("I saw", model="tagger")
    assert as_shown(trace, LookOptions()) is trace
    with pytest.raises(AttnvizError, match="no pieces to merge"):
        as_shown(trace, LookOptions(words=True))


@pytest.mark.parametrize(
    "command", ["decode", "run", "heads", "explain", "ablate", "encode tokens"]
)
def test_a_text_that_a_model_cannot_read(call, command):
    done = call(*command.split(), "hello", "-m", "phrases")
    assert (done.code, done.out) == (2, "")
    assert "phrases knows none of this text: it reads short Chinese phrases" in done.err


def test_a_text_that_is_mostly_unknown(call):
    done = call("run", "hello 早", "-m", "phrases")
    assert done.code == 0
    assert done.err.startswith("warning: phrases knows 1 of these 6 tokens; it reads short Chinese")
    assert call("run", "早上 a", "-m", "phrases").err == ""
    assert call("run", "zebra gnu", "-m", "tagger").err == ""  # which reads endings


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("w.npz", "attnviz show w.npz"),
        (
            "m.json",
            "attnviz show m.json; if it holds messages: attnviz explain --chat m.json -m MODEL",
        ),
        ("p.PNG", "attnviz image p.PNG"),
        ("t.txt", "attnviz explain - < t.txt reads what is in it"),
    ],
)
def test_the_name_of_a_file_is_no_text(call, tmp_path, name, hint):
    assert call("explain", name).code == 0  # there is no such file: it is a text
    (tmp_path / name).write_text("I saw")
    done = call("explain", name)
    assert done.code == 2
    assert done.err.splitlines() == [
        f"error: {name} is a file, and attnviz explain reads a text", f"hint: {hint}",
    ]  # fmt: skip
    assert call("explain", f"{name} is a file").code == 0
