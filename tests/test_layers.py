"""Imports point one way, and what costs time is imported where it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import attnviz

ROOT = Path(attnviz.__file__).parent

LEAVES = {"attnviz", "attnviz.errors", "attnviz.language", "attnviz.registry"}
NN = LEAVES | {"attnviz.nn"}
INPUT = {"attnviz.files", "attnviz.parse", "attnviz.memory"}
ARCHIVE = NN | INPUT | {"attnviz.tokens", "attnviz.archive"}
TRACE = ARCHIVE | {"attnviz.trace"}

MAY_IMPORT = {
    "errors": set(),
    "language": {"attnviz.errors"},
    "registry": {"attnviz.errors"},
    "tokens": set(),
    "files": {"attnviz.errors"},
    "memory": {"attnviz.errors"},
    "parse": {"attnviz.errors", "attnviz.files"},
    "nn": NN,
    "archive": ARCHIVE,
    "trace": TRACE | {"attnviz.plotting"},  # trace.plot, a way to write attnviz.plot(trace)
    "plotting": TRACE | {"attnviz.views", "attnviz.render"},
    "models": TRACE | {"attnviz.models"},
    "analysis": TRACE | {"attnviz.models", "attnviz.analysis"},
    "running": TRACE | {"attnviz.models", "attnviz.analysis"},
    "views": TRACE | {"attnviz.analysis", "attnviz.views"},
    "lessons": TRACE
    | {f"attnviz.{part}" for part in ("models", "analysis", "running", "views", "lessons")},
    "render": NN | {"attnviz.tokens", "attnviz.views", "attnviz.render"},
    "scan": TRACE | {f"attnviz.{part}" for part in ("models", "analysis", "scan")},
    "cli": None,
    "testing": NN | {"attnviz.analysis"},
    "display": TRACE | {"attnviz.analysis", "attnviz.views", "attnviz.render"},
}
"""What each part may import of attnviz; None: anything."""

SHOWN = dict.fromkeys(
    (
        "trace/record.py",
        "nn/attention.py",
        "analysis/metrics/table.py",
        "analysis/diagnose/diagnosis.py",
    ),
    "attnviz.display",
)
"""What knows how it is shown: at that moment, and from above."""

OUTSIDE = {"typer": {"cli"}, "rich": {"render", "cli"}, "matplotlib": {"render", "plotting"},
           "tokenizers": {"models"}, "sentencepiece": {"models"}, "safetensors": {"models", "archive"},
           "huggingface_hub": {"models"}, "gguf": {"models"}, "distributed": {"scan"},
           "threadpoolctl": {"nn", "scan"}}  # fmt: skip


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere, also inside functions and for types."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names |= {f"{node.module}.{a.name}" for a in node.names if node.module == "attnviz"}
    return names


FILES = [p for p in sorted(ROOT.rglob("*.py")) if part_of(p) not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_direction(path):
    allowed = MAY_IMPORT[part_of(path)]
    ours = {
        n for n in imported(path) if n.split(".")[0] == "attnviz" and n != "attnviz.__version__"
    }
    if allowed is None:
        return
    ours.discard(SHOWN.get(path.relative_to(ROOT).as_posix(), ""))
    wrong = {
        n
        for n in ours
        if not any(n == a or (n.startswith(a + ".") and a != "attnviz") for a in allowed)
    }
    assert not wrong - {"attnviz"}, f"{part_of(path)} may not import these"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_outside_packages_stay_in_their_place(path):
    for name in imported(path):
        places = OUTSIDE.get(name.split(".")[0])
        assert places is None or part_of(path) in places, f"{name} is imported by {part_of(path)}"


def test_no_part_is_forgotten():
    assert {part_of(path) for path in FILES} == set(MAY_IMPORT)


def modules_after(code: str) -> set[str]:
    code = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"matplotlib", "PIL", "tokenizers", "scipy", "pydantic", "torch"}


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from attnviz.cli import run_cli; run_cli(['--version'])", {"numpy", "rich"}),
        (
            "from attnviz.cli import run_cli; run_cli(['run', 'I saw'])",
            {"rich.console", "zipfile", "attnviz.models.gguf.file", "attnviz.models.vision.images"},
        ),
        ("from attnviz.cli import run_cli; run_cli(['--help'])", {"numpy"}),
        ("import attnviz", {"numpy"}),
    ],
    ids=["version", "run", "help", "import"],
)
def test_start_imports_nothing_heavy(code, extra):
    found = modules_after(code)
    assert not found & (HEAVY | extra)


def test_the_public_names_are_there():
    for name in attnviz.__all__:
        assert getattr(attnviz, name) is not None
    assert set(dir(attnviz)) == set(attnviz.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        attnviz.nothing  # noqa: B018
