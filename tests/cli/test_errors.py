"""Bad input: one `error:` line, a hint, exit code 2, nothing written, never a traceback."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from attnviz.models import load_model
from attnviz.models.run.memory import plan_run
from tests.conftest import GOLDEN

BAD = [
    (("run",), "there is no text"),
    (("run", ""), "the text is empty"),
    (("run", " \n"), "the text is empty"),
    (("run", "hi", "--ids", "1"), "give a text or --ids, not both"),
    (("run", "--ids", "1,x"), "--ids: expected whole numbers"),
    (("run", "--ids", "1,-2"), "has no token -2"),
    (("run", "--ids", "1", "--pair", "x"), "--pair: expected whole numbers"),
    (("runn", "hi"), "no such command 'runn'"),
    (("run", "hi", "--nope"), "no such option: --nope"),
    (("run", "hi", "--layers", "two"), "invalid value for '--layers'"),
    (("run", "hi", "-o", "x.bmp"), "-o x.bmp: unknown format '.bmp'"),
    (("run", "hi", "-o", "no/such/x.png"), "the folder no/such does not exist"),
    (("run", "hi", "-o", "x.png", "-o", "no/x.png"), "the folder no does not exist"),
    (("run", "hi", "-m", "ranom"), "no such model: 'ranom'"),
    (("run", "hi", "-m", "./nope"), "no such model, file or folder"),
    (("run", "hi", "-m", "org/nope.gguf"), "no such model, file or folder"),
    (("run", "hi", "-m", "x" * 5000), "(5000 characters): File name too long"),
    (("run", "hi", "-m", "."), "is not a checkpoint: it has no config.json"),
    (("run", "hi", "-m", "weights.npy"), "is not a model"),
    (("run", "hi", "-m", "random:layer=2"), "unknown field 'layer'"),
    (("run", "hi", "-m", "random:2"), "expected key=value"),
    (("run", "hi", "--heads", "5", "--d-model", "32"), "5 heads do not divide d_model = 32"),
    (("run", "hi", "--mask", "causl"), "unknown mask: 'causl'"),
    (("run", "hi", "--mask", "window:size=x"), "mask window: size: expected a whole number"),
    (("run", "hi", "--score", "adiitve"), "unknown score: 'adiitve'"),
    (("run", "hi", "--positions", "rop"), "unknown position scheme: 'rop'"),
    (("run", "hi", "--activation", "rlu"), "unknown activation: 'rlu'"),
    (("run", "hi", "--temperature", "0"), "temperature: expected a number above 0"),
    (("run", "hi", "--stage", "weight"), "--stage: unknown value 'weight'"),
    (("run", "hi", "--scale", "rows"), "--scale: unknown value 'rows'"),
    (("run", "hi", "--color", "yes"), "--color: unknown value 'yes'"),
    (("run", "hi", "--keep", "qq"), "--keep: unknown value 'qq'"),
    (("run", "hi", "-s", "L9"), "-s L9: there is no such layer"),
    (("run", "hi", "-s", "L0.H9"), "-s L0.H9: there is no head 9"),
    (("run", "hi", "-s", "first"), "cannot read the selection 'first'"),
    (("run", "hi", "--mask-effect"), "has no mask"),
    (("run", "hi", "--mask-effect", "--steps"), "are two views"),
    (("run", "hi", "--target", "x"), "is not an encoder-decoder"),
    (("run", "hi", "--mask-file", "weights.npy"), "weights.npy is no mask: it holds float"),
    (("run", "hi", "--mask-file", "nope.npy"), "no such file"),
    (("run", "hi", "-m", "random", "--mask-file", "mask3.npy"), "the custom mask has the shape [3, 3]"),
    (("run", "one two three", "--positions", "learned:length=2"), "learned positions for 2 only"),
    (("run", "hi", "-m", GOLDEN / "bert-tiny"), "has no tokenizer.json"),
    (("run", "--ids", "1", "-m", GOLDEN / "bert-tiny", "--layers", "3"), "its layers cannot be changed"),
    (("run", "--ids", "99", "-m", GOLDEN / "bert-tiny"), "has no token 99"),
    (("show",), "missing argument 'file'"),
    (("show", "nope.npz"), "no such file: nope.npz"),
    (("show", "text.npz"), "is damaged or not a .npz file"),
    (("show", "weights.npy", "--tokens", "a"), "2 queries, but 1 tokens"),
    (("show", "weights.npy", "--tokens", "latin.txt"), "not UTF-8"),
    (("show", "weights.npy", "--stage", "scores"), "was not kept"),
    (("show", "."), "is a folder"),
    (("compare", "dot"), "there is nothing to compare"),
    (("compare",), "missing argument"),
    (("compare", "dot", "causal"), "cannot be compared with each other"),
    (("compare", "dot", "additve"), "unknown score or mask: 'additve'"),
    (("compare", "dot", "cosine", "--widths", "0"), "--widths: expected widths from 1"),
    (("compare", "dot", "cosine", "--text", ""), "the text is empty"),
    (("encode", "positions", "--scheme", "sine"), "unknown position scheme: 'sine'"),
    (("encode", "positions", "--d-model", "31"), "an even width, got 31"),
    (("encode", "positions", "-n", "0"), "--count: expected 1 to 4096"),
    (("encode", "positions", "--dims", "40"), "--dims: dimensions go from 0 to 31"),
    (("encode", "positions", "--scheme", "rope", "--dims", "20"), "--dims: dimensions go from 0 to 15"),
    (("encode", "tokens", ""), "the text is empty"),
    (("encode", "tokens", "hi", "--where", "middle"), "--where: unknown value 'middle'"),
    (("encode", "nothing"), "no such command 'nothing'"),
    (("explain", "hi", "--cell", "1"), "--cell: expected QUERY,KEY"),
    (("run", "hi", "--top", "-1"), "--top: expected a number from 0"),
    (("run", "hi", "--width", "0"), "--width: expected columns"),
    (("explain", "hi", "-m", "random", "--cell", "1,0"), "--cell: there is no query 1"),
    (("explain", "hi", "--cell", "0,5"), "--cell: there is no key 5"),
    (("explain", "--cell", "0,0"), "there is no text"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "weights.npy", np.full((2, 2), 0.5))
    np.save(tmp_path / "mask3.npy", np.ones((3, 3), bool))
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\nx")
    return {p.name for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    BAD,
    ids=lambda v: None if isinstance(v, str) else " ".join(map(str, v))[:60],
)
def test_bad_input(call, files, tmp_path, arguments, message):
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    error, hint, *more = done.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert re.fullmatch("hint: .+", hint)
    assert more == []
    assert {p.name for p in tmp_path.iterdir()} == files


def test_hostile_text_in_an_error_moves_no_cursor(call):
    done = call("run", "hi", "-m", "\x1b[31m\n[red]\udc80")
    assert done.code == 2
    assert len(done.err.splitlines()) == 2
    assert "\x1b" not in done.err


def test_a_hostile_name_within_a_file_moves_no_cursor(call, tmp_path):
    np.savez(tmp_path / "two.npz", **{"\x1b[2Ja": np.ones((2, 2)), "\x1b[2Jb": np.ones((3, 3))})
    done = call("show", "two.npz", "--array", "c")
    assert done.code == 2
    assert "\x1b" not in done.err


def test_the_output_is_checked_before_the_work(call, monkeypatch):
    monkeypatch.setattr("attnviz.models.load_model", lambda *a: pytest.fail("worked first"))
    assert call("run", "hi", "-o", "no/x.png").code == 2


def test_a_tokenizer_that_knows_none_of_the_characters(call, minilm):
    done = call("run", "😀 🎉", "-m", minilm)
    assert done.code == 2
    assert "knows none of this text: every token is [UNK]" in done.err


def test_longer_than_the_model_reads(call, minilm):
    done = call("run", "saw " * 600, "-m", minilm)
    assert done.code == 2
    assert "602 tokens" in done.err
    assert "reads at most 512" in done.err


def test_more_memory_than_there_is(call, monkeypatch):
    monkeypatch.setattr("attnviz.models.run.memory.available_memory", lambda: 100)
    done = call("run", "I saw a saw")
    assert done.code == 2
    assert "of memory" in done.err
    assert "-s L0" in done.err


@pytest.mark.parametrize(
    "command",
    [("compare", "dot", "scaled_dot", "--text"), ("diff", "--with", "seed=1")],
)
def test_what_a_command_takes_in_all_is_checked_before_the_work(call, monkeypatch, command):
    text = "a b c d e f g " * 20
    plan = "attnviz.models.run.memory.available_memory"
    n_byte = plan_run(load_model("random"), {"source": range(140)}, ("weights",)).n_byte
    monkeypatch.setattr(plan, lambda: int(1.4 * n_byte))
    assert call("run", text, "-m", "random", "--top", "0").code == 0
    done = call(*command, text, "-m", "random")
    assert done.code == 2
    assert "of memory" in done.err


def test_memory_is_announced(call, monkeypatch):
    monkeypatch.setattr("attnviz.cli.inputs.LARGE", 100)
    done = call("run", "-m", "random", "I saw a saw", "-o", "x.txt")
    assert "4 tokens: this needs about 0.0 MB of memory" in done.err


def test_a_missing_extra(call, minilm, monkeypatch):
    import builtins

    original = builtins.__import__

    def without(name, *rest):
        if name == "tokenizers":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    done = call("run", "hi", "-m", minilm)
    assert "needs the package `tokenizers`" in done.err
    assert "hint: pip install 'attnviz[models]'" in done.err


def test_a_bug_of_ours_is_one_line_too(call, monkeypatch):
    def broken(*arguments, **given):
        raise RuntimeError("oops")

    monkeypatch.setattr("attnviz.models.load_model", broken)
    done = call("run", "hi")
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: internal: RuntimeError: oops",
        "hint: this is a bug in attnviz; ATTNVIZ_DEBUG=1 shows where",
    ]
    monkeypatch.setenv("ATTNVIZ_DEBUG", "1")
    with pytest.raises(RuntimeError):
        call("run", "hi")


def test_interrupt(call, monkeypatch):
    def interrupted(*arguments, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr("attnviz.models.load_model", interrupted)
    done = call("run", "hi")
    assert (done.code, done.err) == (130, "interrupted\n")


def test_not_enough_memory(call, monkeypatch):
    def hungry(*arguments, **given):
        raise MemoryError

    monkeypatch.setattr("attnviz.models.load_model", hungry)
    assert "error: not enough memory" in call("run", "hi").err


def test_stdin_that_is_not_utf8(cli):
    done = cli("run", "-", stdin=b"caf\xe9")
    assert done.returncode == 2
    assert b"stdin is not UTF-8: byte 3 is 0xe9" in done.stderr


def test_arguments_that_are_not_utf8(cli):
    done = cli("run", "-m", "random", b"caf\xe9".decode(errors="surrogateescape"))
    assert done.returncode == 0
    assert b"0 caf  1 \\udce9" in done.stdout


def test_a_full_disk():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "attnviz", "run", "I saw"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"bug" not in done.stderr
