"""`attnviz` itself: no words, a text, a wrong command, an option in the wrong place."""

from __future__ import annotations

import pytest

from attnviz.cli.start import MORE, TRY, YOURS


def test_alone_it_says_what_to_try(call):
    done = call()
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) <= 20
    assert max(map(len, done.out.splitlines())) <= 80
    for command, _ in (*TRY, *YOURS, *MORE):
        assert command in done.out


@pytest.mark.parametrize("command", [command for command, _ in TRY])
def test_what_it_says_to_try_works(call, command):
    import shlex

    assert call(*shlex.split(command)[1:]).code == 0


def test_a_text_alone_is_run(call):
    assert call("I saw a saw").out == call("run", "I saw a saw").out
    assert call("I saw a saw", "-s", "L0.H1").out == call("run", "I saw a saw", "-s", "L0.H1").out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu", "hi"], "did you mean `run`? "),
        (["I", "saw", "--top", "1"], 'of a text: attnviz run "I saw"; commands: run, '),
        (["generate"], "did you mean `decode`? attnviz decode --help"),
        (["w.npz"], "attnviz show w.npz"),
        (["w.png"], "attnviz image w.png"),
        (["-m", "random", "run", "hi"], "options come after the command: attnviz run … -m"),
        (["run", "hi", "--cell", "1,1"], "attnviz explain has it; attnviz run --help"),
        (["show"], "attnviz show trace.npz"),
        (["run", "hi", "--model"], "attnviz run --help"),
        (["run", "hi", "--tpo", "1"], "did you mean `--top`? attnviz run --help"),
    ],
)
def test_hints_for_wrong_words(call, tmp_path, words, hint):
    for name in ("w.npz", "w.png"):
        (tmp_path / name).touch()
    done = call(*words)
    assert done.code == 2
    assert done.err.splitlines()[1].startswith(f"hint: {hint}")


def test_a_text_behind_encode_is_about_its_tokens(call):
    assert call("encode", "I saw").out == call("encode", "tokens", "I saw").out
