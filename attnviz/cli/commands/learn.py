"""Take a lesson: an idea of attention, live, its claims checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import OutputFiles, Report, emit, show, talk
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError
from attnviz.files import check_writable
from attnviz.language import say

if TYPE_CHECKING:
    from attnviz.lessons import Chosen
    from attnviz.lessons.kit import Lesson
    from attnviz.views.kinds import View

ORDER = 130

app = typer.Typer(add_completion=False)

ALL = "all"
FAILED = 1

MAX_OTHERS = 3
"""How many more lessons are named where a search found several."""


@app.command(cls=Command)
@spread
def learn(
    out: FigureOptions,
    name: Annotated[
        list[str] | None,
        typer.Argument(
            help="A lesson or what it is about (cnn, cross attention), with options of your own: "
            "retrieval:similarities=1,1,8,0,0; a .toml file with them, as in samples/lessons; "
            "or all",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Your own text, for lessons that read one")
    ] = None,
) -> None:
    """Take a lesson: an idea of attention, shown with numbers, its claims checked as it is shown.

    Without a name: list them. Exit code 1 if a claim does not hold.

    attnviz learn scaling
    attnviz learn cross attention
    attnviz learn steps --text "the cat sat"
    attnviz learn samples/lessons/retrieval.toml
    attnviz learn all -o handout.md
    """
    if not name:
        emit([_list()], out)
        return
    lessons = _choose(" ".join(name), text)
    paths = out.output or []
    documents = [path for path in paths if len(lessons) > 1 and path.suffix.lower() == ".md"]
    others = out.to([path for path in paths if path not in documents])
    others.check(len(lessons))
    for folder in map(_pictures, documents):
        if folder.exists():
            check_writable(folder / "picture.png")
    pages = [_page(chosen) for chosen in lessons]
    wanted = others.is_written or out.json or not documents
    reports = [page.report() for page in pages] if wanted else []
    with OutputFiles() as files:
        for path in documents:
            _write_handout(files, path, pages)
        files.write_all(reports, others)
    show(reports, others)
    if any(not claim.holds for page in pages for claim in page.lesson.claims):
        raise typer.Exit(FAILED)


class _Page(NamedTuple):
    """A lesson that was given, and how it is shown."""

    chosen: Chosen
    lesson: Lesson
    views: list[View]

    def report(self) -> Report:
        from attnviz.lessons import LESSONS
        from attnviz.lessons.kit.page import arrays, lesson_words, texts_and_tables

        manifest = {
            "format": "attnviz-lesson",
            "version": 1,
            "lesson": self.chosen.name,
            **lesson_words(LESSONS[self.chosen.name]),
            "options": dict(self.chosen.options),
            "claims": [claim._asdict() for claim in self.lesson.claims],
            "shown": texts_and_tables(self.lesson.views),
        }
        return Report(self.views, manifest, arrays(self.lesson.views))


def _page(chosen: Chosen) -> _Page:
    from attnviz.lessons import LESSONS
    from attnviz.lessons.kit.page import lesson_views

    lesson = chosen.give()
    return _Page(chosen, lesson, lesson_views(LESSONS[chosen.name], lesson))


def _list() -> Report:
    """All lessons: the question of each, in groups."""
    from attnviz.lessons import LESSONS, groups, question, reading_order
    from attnviz.lessons.kit.page import list_views

    grouped = {
        say(heading): {name: say(question(name)) for name in names}
        for heading, names in groups().items()
    }
    manifest = {
        "format": "attnviz-lessons",
        "version": 1,
        "lessons": {name: say(LESSONS[name].TITLE) for name in reading_order()},
        "groups": grouped,
    }
    return Report(list_views(grouped), manifest, {})


def _choose(name: str, text: str | None) -> list[Chosen]:
    """The lesson that is named, with the reader's own input; or all of them."""
    from attnviz.lessons import choose, read_input, reading_order
    from attnviz.registry import parse_spec

    lesson, options = read_input(Path(name)) if name.endswith(".toml") else parse_spec(name)
    if text is not None:
        options["text"] = text
    if lesson != ALL:
        return [choose(_found(lesson), options)]
    if options:
        raise AttnvizError(f"all lessons take no options, got {name!r}", "attnviz learn all")
    return [choose(each, {}) for each in reading_order()]


def _found(wanted: str) -> str:
    """The lesson's name; where the reader gave another, which it is, is said."""
    from attnviz.lessons import question
    from attnviz.lessons.kit.search import find

    name, *others = find(wanted)
    if name != wanted:
        more = f"; see also {', '.join(others[:MAX_OTHERS])}" if others else ""
        talk(f"{wanted}: this is the lesson `{name}` ({question(name)}){more}")
    return name


def _pictures(path: Path) -> Path:
    """The folder of a document's pictures."""
    return path.with_name(f"{path.stem}-pictures")


def _write_handout(files: OutputFiles, path: Path, pages: Sequence[_Page]) -> None:
    """The document, and its pictures in a folder beside it."""
    from attnviz.render.handout import render

    folder = _pictures(path)
    handout = render([(page.chosen.name, page.views) for page in pages], folder.name)
    for warning in handout.warnings:
        talk(f"warning: {warning}")
    files.make_folder(folder)
    for name, content in handout.pictures.items():
        with files.open(folder / name) as file:
            file.write(content)
    with files.open(path) as file:
        file.write(handout.document)
    files.say(f"wrote {path} and {len(handout.pictures)} pictures in {folder}")
