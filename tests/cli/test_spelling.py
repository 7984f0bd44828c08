"""What people type for an option before they know its name."""

from __future__ import annotations

import pytest

from attnviz.cli.commands import COMMANDS
from attnviz.cli.spelling import FLAGS, MEANT, Speller
from attnviz.errors import AttnvizError


def respelled(command: str, *words: str) -> list[str]:
    import typer

    parameters = typer.main.get_command(COMMANDS[command].app).params
    return Speller(parameters).respell(words)


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [
        ("run", "hi --layer 1 --head 2", "--select L1.H2 hi"),
        ("run", "hi -l 1", "--select L1 hi"),
        ("run", "hi --layer 0-2 --head 1,3", "--select L0-2.H1,H3 hi"),
        ("run", "hi --layer 0,2 --head 1", "--select L0.H1 --select L2.H1 hi"),
        ("run", "hi --head 3", "--select H3 hi"),
        ("run", "hi --head=L1.H3", "--select L1.H3 hi"),
        ("run", "hi --layer all", "hi"),
        ("run", "hi --heads 4 --layers 2", "hi --heads 4 --layers 2"),
        ("decode", "hi --heads 1 --layers 0", "--select L0.H1 hi"),
        ("flow", "hi --layer 0", "hi --layer 0"),
        ("run", "hi --n-heads 4 --d_model 64", "hi --heads 4 --d-model 64"),
        ("run", "hi --png out.png", "hi --output out.png"),
        ("run", "hi --png out", "hi --output out.png"),
        ("run", "hi --svg=a", "hi --output a.svg"),
        ("run", "--png out.png hi", "--output out.png hi"),
        ("run", "hi --json x.json", "hi --output x.json"),
        ("run", "hi --json", "hi --json"),
        ("run", "--json hi", "--json hi"),
        ("run", "hi --out x.png", "hi --output x.png"),
        ("run", "hi --no-color", "hi --color never"),
        ("run", "hi --causal", "hi --mask causal"),
        ("decode", "hi --causal", "hi --causal"),
        ("run", "--text hi", "hi"),
        ("compare", "dot cosine --text hi", "dot cosine --text hi"),
        ("decode", "hi --max-new-tokens 4", "hi -n 4"),
        ("heads", "hi --sort -entropy --head 1", "--select H1 hi --sort -entropy"),
        ("run", "hi --keep --head", "hi --keep --head"),
        ("run", "hi -- --head 1", "hi -- --head 1"),
        ("run", "hi --nope 3", "hi --nope 3"),
        ("run", "-5 -3,2", "-5 -3,2"),
    ],
)
def test_natural_spellings(command, typed, meant):
    assert respelled(command, *typed.split()) == meant.split()


def test_a_mask_that_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.npy").touch()
    assert respelled("run", "--mask", "m.npy") == ["--mask-file", "m.npy"]
    assert respelled("run", "--mask", "n.npy") == ["--mask", "n.npy"]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["hi", "--head"], "--head needs a value"), (["hi", "--csv"], "--csv: there is no file")],
)
def test_what_lacks_its_value(words, message):
    with pytest.raises(AttnvizError, match=message):
        respelled("run", *words)


def test_every_option_that_is_meant_is_one():
    import typer

    encode = typer.main.get_command(COMMANDS["encode"].app)
    commands = [typer.main.get_command(COMMANDS[name].app) for name in COMMANDS if name != "encode"]
    commands += encode.commands.values()
    known = {name for command in commands for p in command.params for name in p.opts}
    coming = {"--plot", "--cmap", "--background", "--quiet"}
    assert {*MEANT, *(name for name, _ in FLAGS.values())} <= known | coming
