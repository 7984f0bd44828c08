"""What holds of every lesson."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import shlex
import string
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.cells import cell_len

import attnviz.lessons
from attnviz.cli import run_cli
from attnviz.language import speaking
from attnviz.lessons import LESSONS, choose, groups, read_input, reading_order
from attnviz.lessons.kit.page import arrays, lesson_views, lesson_words, texts_and_tables
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.views.kinds import Curves, Grid, Heatmap, Links, Table, Text
from tests.conftest import HERE

FOLDER = Path(attnviz.lessons.__file__).parent
SAMPLES = HERE.parent / "samples" / "lessons"
SECONDS = 2.0
START = 0.5
"""What it takes of these to start a process, which no lesson has a part in."""

every = pytest.mark.parametrize("name", LESSONS)


@pytest.fixture(scope="module")
def default(take):
    """`default("steps")`: the lesson with its defaults, given once."""
    return functools.cache(take)


def page(lesson, name):
    return lesson_views(LESSONS[name], lesson)


def test_every_file_with_a_lesson_is_listed():
    files = [path.stem for path in FOLDER.glob("*.py") if "\ndef lesson(" in path.read_text()]
    assert sorted(files) == sorted(LESSONS)


def test_the_reading_order():
    assert reading_order() == [
        *("context", "retrieval", "steps", "scaling", "masks", "heads"),
        *("pooling", "scores", "positions", "embedding", "norms", "block"),
        *("three", "cost", "sequence", "image"),
        *("cache", "caveats", "mistakes"),
    ]
    assert [name for names in groups().values() for name in names] == reading_order()


def test_lessons_from_outside_find_their_place(monkeypatch):
    added = {
        name: SimpleNamespace(AFTER=after)
        for name, after in [("zebra", "steps"), ("stray", "nowhere"), ("yak", "zebra")]
    }
    monkeypatch.setattr(LESSONS, "_added", added)
    order = reading_order()
    assert sorted(order) == sorted(LESSONS)
    assert order.index("yak") == order.index("zebra") + 1
    assert order.index("steps") < order.index("zebra")
    assert order[-1] == "stray"


READ = ["question", "intuition", "try this", "next"]

written = pytest.mark.parametrize("name", [n for n in LESSONS if hasattr(LESSONS[n], "INTUITION")])


@written
def test_has_all_parts(name):
    """The question, what a newcomer takes from the answer, something to change, and what next."""
    lesson = LESSONS[name]
    assert re.search(r"[.!?]", lesson.QUESTION).group() == "?", "a single question"
    assert 2 <= len(re.findall(r"[.!?](?= |$)", lesson.INTUITION)) <= 5
    assert len(lesson.INTUITION) <= 560
    assert 1 <= len(lesson.TRY) <= 2
    order = reading_order()
    if name != order[-1]:
        assert lesson.NEXT[0] == order[order.index(name) + 1]
    assert lesson.NEXT


@written
def test_stands_in_its_file_as_it_is_read(name):
    names = [
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node.targets[0])
        for node in ast.parse((FOLDER / f"{name}.py").read_text()).body
        if isinstance(node, ast.Assign | ast.FunctionDef)
    ]
    parts = ["TITLE", "QUESTION", "INTUITION", "lesson", "TRY", "NEXT"]
    assert [part for part in names if part in parts] == parts


def commands(name):
    words = lesson_words(LESSONS[name])
    return [each["command"] for part in ("try", "next") for each in words[part]]


@every
def test_what_is_to_be_tried_works(capsysbinary, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    assert run_cli(["learn", name]) == 0
    usual = capsysbinary.readouterr().out
    for command in commands(name):
        program, *arguments = shlex.split(command)
        assert program == "attnviz"
        assert run_cli(arguments) == 0, command
        assert capsysbinary.readouterr().out != usual, f"{command} changes nothing"


@written
def test_a_page_reads_from_the_question_to_what_comes_next(default, name):
    shown = [view for view in page(default(name), name) if isinstance(view, Text)]
    terms = [line.term for view in shown for line in view.lines if line.term]
    assert [term for term in terms if term in READ] == READ
    last = shown[-1].lines
    assert last[0].text == "$ " + lesson_words(LESSONS[name])["next"][0]["command"]


@every
def test_shows_something_and_its_claims_hold(default, name):
    lesson = default(name)
    assert lesson.views
    assert lesson.claims
    for claim in lesson.claims:
        assert claim.holds is True, claim
        assert claim.text
        assert any(char.isdigit() for char in claim.measured), "no value was measured"


@every
def test_the_same_twice(take, default, name):
    pages = (page(lesson, name) for lesson in (take(name), default(name)))
    assert len({render(views, Screen(80)) for views in pages}) == 1


@every
def test_takes_less_than_two_seconds(name):
    """Of a processor: what else the machine does at the time is no fault of the lesson's."""
    before = time.process_time()
    assert run_cli(["learn", name]) == 0
    assert time.process_time() - before < SECONDS - START


@every
@pytest.mark.parametrize("width", [40, 80, 120])
def test_fits_the_screen(default, name, width):
    for line in render(page(default(name), name), Screen(width)).decode().splitlines():
        assert cell_len(line) <= width, line


@written
def test_a_command_is_whole_on_a_narrow_screen(default, name):
    shown = "".join(render(page(default(name), name), Screen(40)).decode().split())
    for part in ("try", "next"):
        for each in lesson_words(LESSONS[name])[part]:
            assert "".join(each["command"].split()) in shown


@every
def test_the_sample_holds_the_defaults(name):
    lesson, given = read_input(SAMPLES / f"{name}.toml")
    chosen = choose(lesson, given)
    parameters = inspect.signature(chosen.function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert (lesson, dict(chosen.options)) == (name, defaults)


def test_no_sample_without_a_lesson():
    assert sorted(path.stem for path in SAMPLES.iterdir()) == sorted(LESSONS)


@every
def test_goes_to_every_format(default, tmp_path, name):
    kinds = (".md", ".txt", ".csv", ".png", ".svg", ".json", ".npz")
    files = {kind: tmp_path / f"lesson{kind}" for kind in kinds}
    assert run_cli(["learn", name, *(f"-o{path}" for path in files.values())]) == 0
    views = default(name).views
    for kind in (".md", ".txt"):
        text = flat(files[kind].read_text("utf-8").replace("\\", ""))
        for view in views:
            for part in (
                [line.text for line in view.lines] if isinstance(view, Text) else [view.title]
            ):
                assert flat(part) in text
    csv = files[".csv"].read_text("utf-8")
    for view in views:
        for part in csv_names(view):
            assert part in csv.replace('""', '"')
    assert files[".png"].read_bytes().startswith(b"\x89PNG")
    assert files[".svg"].read_bytes().startswith(b"<?xml")
    content = json.loads(files[".json"].read_text("utf-8"))
    assert (content["format"], content["lesson"]) == ("attnviz-lesson", name)
    assert all(claim["holds"] for claim in content["claims"])
    words = lesson_words(LESSONS[name])
    assert {key: content[key] for key in words} == words
    assert content["shown"] == json.loads(json.dumps(texts_and_tables(views)))
    with np.load(files[".npz"]) as archive:
        for key, array in arrays(views).items():
            np.testing.assert_array_equal(archive[key], array)
            assert np.shape(content["arrays"][key]) == array.shape


def flat(text):
    """Without line breaks and what Markdown puts round words."""
    return " ".join(text.replace("|", " ").replace("`", " ").split())


def csv_names(view):
    if isinstance(view, Grid):
        return [panel.title for panel in view.present()]
    return [view.title] if isinstance(view, Heatmap | Links | Curves | Table) else []


def say_calls(path):
    """Every call of `say` in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
            yield node


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_messages_are_literals_with_their_fields(path):
    for call in say_calls(path):
        (message,) = call.args
        if path.name == "page.py" and not isinstance(message, ast.Constant):
            continue  # a module's constants, which the catalogue knows
        where = f"{path.name}, line {call.lineno}"
        assert isinstance(message, ast.Constant), f"{where}: only a literal can be translated"
        fields = {name for _, name, _, _ in string.Formatter().parse(message.value) if name}
        given = {keyword.arg for keyword in call.keywords}
        assert None in given or fields == given, where  # None: **fields, seen when it is said


@every
def test_all_that_is_shown_goes_through_say(name):
    """With each message replaced by a mark, no English is left where prose stands."""
    with speaking(lambda message: f"⟨{len(message)}⟩"):
        lesson = LESSONS[name].lesson()
    for view in lesson.views:
        for text in [line.text for line in view.lines] if isinstance(view, Text) else [view.title]:
            assert text.startswith("⟨"), text
        for column in view.columns if isinstance(view, Table) else ():
            assert not re.search("[a-z]{3,} [a-z]{3,}", column), column
    for claim in lesson.claims:
        assert claim.text.startswith("⟨")


def test_no_two_lessons_are_asked_for_by_one_name():
    names = [name for module in LESSONS.values() for name in module.ALSO]
    assert sorted(set(names)) == sorted(names)
    assert not set(names) & set(LESSONS)
    assert all(re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", name) for name in names)
