"""Defaults: what is typed, then a variable, then the project, then the user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnviz.cli.settings import KEYS, settings
from attnviz.errors import AttnvizError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Write the user's file, the project's and a variable; the process is two folders below."""
    home, project = tmp_path / "home", tmp_path / "project"
    below = project / "a" / "b"
    below.mkdir(parents=True)
    (home / "attnviz").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))

    def write(user: str = "", in_project: str = "", **variables: str) -> Path:
        monkeypatch.chdir(below)
        if user:
            (home / "attnviz" / "config.toml").write_text(user)
        if in_project:
            (project / "pyproject.toml").write_text(f"[tool.attnviz]\n{in_project}\n")
        for name, value in variables.items():
            monkeypatch.setenv(f"ATTNVIZ_{name.upper()}", value)
        return project / "pyproject.toml"

    return write


def values() -> dict[str, object]:
    return {name: setting.value for name, setting in settings().items()}


def test_nothing_is_set(places):
    places()
    assert settings() == {}


def test_the_nearer_wins(places):
    path = places("width = 60\nlang = 'zh'\nramp = 'Greys'", "width = 70\nmodel = 'tagger'")
    assert values() == {"width": 70, "lang": "zh", "cmap": "Greys", "model": "tagger"}
    assert settings()["width"].source == str(path)
    places(width="80")
    assert settings()["width"] == (80, "ATTNVIZ_WIDTH")


def test_a_project_without_our_table_is_passed_over(places):
    path = places("", "width = 70")
    (path.parent / "a" / "pyproject.toml").write_text("[project]\nname = 'attnviz-fan'\n")
    assert values() == {"width": 70}
    (path.parent / "a" / "pyproject.toml").write_text("[project\nname = 'other'\n")
    assert values() == {"width": 70}


def test_the_path_of_a_model_is_from_its_file(places):
    path = places("", "model = 'mine.toml'")
    assert values() == {"model": "mine.toml"}
    (path.parent / "mine.toml").write_text("layers = 1\n")
    assert values() == {"model": str(path.parent / "mine.toml")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "there is no setting 'modle'"),
        ("width = 'x'", "width: expected a whole number from 1, got 'x'"),
        ("width = 0", "width: expected a whole number from 1, got 0"),
        ("width = true", "got True"),
        ("model = 3", "model: expected the name or path of a model, got 3"),
        ("background = 'blue'", "background: expected dark, light or auto, got 'blue'"),
        ("lang = 'xx'", "lang: expected en or zh, got 'xx'"),
        ("memory = 'much'", "memory: expected a size, as 500MB or 2GiB, got 'much'"),
        ("memory = 0", "got 0"),
        ("width = [", "is not a TOML file"),
    ],
)
def test_wrong_settings_name_their_file(places, text, message):
    path = places("", text)
    with pytest.raises(AttnvizError) as caught:
        settings()
    assert message in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", "x"), ("width", "-3"), ("lang", "xx"), ("background", "b"), ("memory", "-1")],
)
def test_wrong_variables_are_named(places, name, value):
    places(**{name: value})
    with pytest.raises(AttnvizError, match=f"ATTNVIZ_{name.upper()}: expected"):
        settings()


def test_commands_follow_them(cli):
    plain = cli("run", "I saw a saw", "-m", "random:layers=1", "--width", "60")
    found = cli("run", "I saw a saw", ATTNVIZ_MODEL="random:layers=1", ATTNVIZ_WIDTH="60")
    assert found.stdout == plain.stdout
    typed = cli(
        "run", "I saw", "-m", "tagger", "--width", "80", ATTNVIZ_MODEL="x", ATTNVIZ_WIDTH="60"
    )
    assert typed.stdout == cli("run", "I saw", "-m", "tagger").stdout
    trace = cli("run", "I saw", "--json", ATTNVIZ_MODEL="random:layers=1", ATTNVIZ_LANG="zh")
    assert json.loads(trace.stdout)["model"]["name"] == "random:layers=1"
    assert "词元" in cli("run", "I saw", ATTNVIZ_LANG="zh").stdout.decode()


def test_a_default_never_stands_in_the_way(cli, tmp_path):
    """Flags of the stack ask for random weights; files and images need no model of texts."""
    assert b"random" in cli("run", "I saw", "--layers", "1", ATTNVIZ_MODEL="tagger").stdout
    cli("run", "I saw", "-o", "t.npz")
    assert cli("heads", "t.npz", ATTNVIZ_MODEL="random").returncode == 0
    done = cli("decode", "早", ATTNVIZ_MODEL="tagger")
    assert done.returncode == 0
    assert done.stderr.startswith(b"tagger, set by ATTNVIZ_MODEL, writes no text")
    wrong = cli("run", "hi", ATTNVIZ_MODEL="nope")
    assert wrong.stderr.startswith(b"error: ATTNVIZ_MODEL: no such model: 'nope'")


def test_what_is_in_force_is_listed(cli):
    done = cli("config", "--json", ATTNVIZ_WIDTH="60")
    found = json.loads(done.stdout)["settings"]
    assert found == {"width": {"value": 60, "source": "ATTNVIZ_WIDTH"}}
    shown = cli("config", ATTNVIZ_WIDTH="60").stdout.decode()
    assert all(name in shown for name in KEYS)
    assert "ATTNVIZ_WIDTH" in shown
