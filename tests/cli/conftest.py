"""The command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from attnviz.cli import run_cli


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(capsysbinary, monkeypatch, tmp_path: Path) -> Callable[..., Done]:
    """`call("run", "I saw")` in an empty folder, 80 columns, no colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Done:
        code = run_cli([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Done(code, captured.out.decode(), captured.err.decode())

    return run
