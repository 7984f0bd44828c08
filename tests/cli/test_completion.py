"""What the Tab key offers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from attnviz.cli.commands import COMMANDS
from attnviz.cli.completion import OF_COMMAND, OFFERS


@pytest.fixture
def complete(monkeypatch, capsys, tmp_path):
    """What bash is told for a line."""
    from attnviz.cli import run_cli

    monkeypatch.chdir(tmp_path)

    def offered(line: str) -> list[str]:
        words = shlex.split(line)
        number = len(words) if line.endswith(" ") else len(words) - 1
        monkeypatch.setenv("_ATTNVIZ_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(number))
        with pytest.raises(SystemExit) as left:
            run_cli([])
        assert left.value.code == 0
        return capsys.readouterr().out.split()

    return offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("attnviz ru", ["run"]),
        ("attnviz run --mask-", ["--mask-file", "--mask-effect"]),
        ("attnviz run -m ta", ["tagger", "tagger-window", "tagger-word"]),
        ("attnviz run hi --mask cau", ["causal"]),
        ("attnviz run hi --mask causal+pre", ["causal+prefix:length="]),
        ("attnviz run hi --score add", ["additive"]),
        ("attnviz run hi -s ", ["L0", "L1"]),
        ("attnviz run hi -m tagger -s L1.", ["L1.H0", "L1.H1", "L1.H2", "L1.H3"]),
        ("attnviz run hi -s L0.H1,L1.H3", ["L0.H1,L1.H3"]),
        ("attnviz run hi -o x.pn", ["x.png"]),
        ("attnviz run hi --color n", ["never"]),
        ("attnviz learn sca", ["scaling"]),
        ("attnviz compare additive co", ["cosine"]),
        ("attnviz encode po", ["positions"]),
        ("attnviz encode positions --scheme si", ["sinusoidal"]),
        ("attnviz ablate hi --kind z", ["zero"]),
        ("attnviz nope x", []),
        ("attnviz run some wo", []),
    ],
)
def test_values(complete, line, offered):
    assert complete(line) == offered


def test_the_heads_of_a_checkpoint(complete, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"n_layer": 3, "n_head": 2}')
    assert complete("attnviz heads hi -m mine -s L") == ["L0", "L1", "L2"]
    (tmp_path / "mine" / "config.json").write_text("[")
    assert complete("attnviz heads hi -m mine -s L") == ["L0", "L1"]


def test_whatever_is_offered_for_is_a_parameter():
    import typer

    found = [typer.main.get_command(COMMANDS[name].app) for name in COMMANDS]
    found += [inner for each in found for inner in getattr(each, "commands", {}).values()]
    known = {parameter.name for each in found for parameter in each.params}
    assert set(OFFERS) | {name for _, name in OF_COMMAND} <= known


def test_numpy_is_not_imported_for_names_of_models(tmp_path):
    code = (
        "import sys, attnviz.cli\n"
        "try: attnviz.cli.run_cli([])\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    line = {
        "_ATTNVIZ_COMPLETE": "complete_bash",
        "COMP_WORDS": "attnviz run -m t",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | line,
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_in_bash_itself(tmp_path):
    """The script that --show-completion prints, sourced, completes a line."""
    script = f"""
    attnviz() {{ "{sys.executable}" -m attnviz "$@"; }}
    export -f attnviz
    mkdir bin; printf '#!/bin/sh\\nexec "{sys.executable}" -m attnviz "$@"\\n' > bin/attnviz
    chmod +x bin/attnviz; PATH=$PWD/bin:$PATH
    source <(attnviz --show-completion)
    COMP_WORDS=(attnviz run -m tagger-); COMP_CWORD=3
    _attnviz_completion attnviz
    echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False,
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": ""},
    )  # fmt: skip
    assert done.stdout.split() == ["tagger-window", "tagger-word"], done.stderr
