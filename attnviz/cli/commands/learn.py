"""Take a lesson: an idea of attention, live, its claims checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.options import OutputOptions
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.lessons import Chosen, Lesson
    from attnviz.lessons.language import Say
    from attnviz.views.kinds import View

ORDER = 130

app = typer.Typer(add_completion=False)

ALL = "all"
FAILED = 1


@app.command(cls=Command)
@spread
def learn(
    out: OutputOptions,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A lesson, with options of your own: scaling, retrieval:similarities=1,1,8,0,0; "
            "a .toml file with them, as in samples/lessons; or all",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Your own text, for lessons that read one")
    ] = None,
    lang: Annotated[str, typer.Option(help="en, or zh for Chinese")] = "en",
) -> None:
    """Take a lesson: an idea of attention, shown with numbers, its claims checked as it is shown.

    Without a name: list them. Exit code 1 if a claim does not hold.

    attnviz learn scaling
    attnviz learn steps --text "the cat sat"
    attnviz learn samples/lessons/retrieval.toml
    attnviz learn all -o handout.md
    """
    from attnviz.lessons.language import speak
    from attnviz.lessons.pages import lesson_views

    say = speak(lang)
    if name is None:
        emit([_list(say)], out)
        return
    chosen = _choose(name, text)
    given = [lesson.give(say) for lesson in chosen]
    pages = [
        lesson_views(say(each.title), lesson, say)
        for each, lesson in zip(chosen, given, strict=True)
    ]
    files = out.output or []
    documents = [path for path in files if len(chosen) > 1 and path.suffix.lower() == ".md"]
    for path in documents:
        _write_handout(path, [(each.name, page) for each, page in zip(chosen, pages, strict=True)])
    others = [path for path in files if path not in documents]
    if others or out.json or not documents:
        reports = [
            _report(page, each, lesson, say)
            for page, each, lesson in zip(pages, chosen, given, strict=True)
        ]
        emit(reports, replace(out, output=others))
    if any(not claim.holds for lesson in given for claim in lesson.claims):
        raise typer.Exit(FAILED)


def _list(say: Say) -> Report:
    """All lessons, by name and title."""
    from attnviz.lessons import LESSONS, choose
    from attnviz.lessons.pages import list_views

    titles = [say(choose(each, {}).title) for each in LESSONS]
    lessons = dict(zip(LESSONS, titles, strict=True))
    manifest = {"format": "attnviz-lessons", "version": 1, "lessons": lessons}
    return Report(list_views(titles, say), manifest, {})


def _choose(name: str, text: str | None) -> list[Chosen]:
    """The lesson that is named, with the reader's own input; or all of them."""
    from attnviz.lessons import LESSONS, choose
    from attnviz.lessons.inputs import read_input
    from attnviz.registry import parse_spec

    word, options = read_input(Path(name)) if name.endswith(".toml") else parse_spec(name)
    if text is not None:
        options["text"] = text
    if word != ALL:
        return [choose(word, options)]
    if options:
        raise AttnvizError(f"all lessons take no options, got {name!r}", "attnviz learn all")
    return [choose(each, {}) for each in LESSONS]


def _report(page: Sequence[View], chosen: Chosen, lesson: Lesson, say: Say) -> Report:
    from attnviz.lessons.data import arrays, words

    manifest = {
        "format": "attnviz-lesson",
        "version": 1,
        "lesson": chosen.name,
        "title": say(chosen.title),
        "options": dict(chosen.options),
        "claims": [claim._asdict() for claim in lesson.claims],
        "shown": words(lesson.views),
    }
    return Report(page, manifest, arrays(lesson.views))


def _write_handout(path: Path, chapters: Sequence[tuple[str, Sequence[View]]]) -> None:
    """The document, and its pictures in a folder beside it."""
    from attnviz.files import whole_file
    from attnviz.render.handout import render

    folder = path.with_name(f"{path.stem}-pictures")
    handout = render(chapters, folder.name)
    for warning in handout.warnings:
        talk(f"warning: {warning}")
    folder.mkdir(exist_ok=True)
    for name, content in handout.pictures.items():
        with whole_file(folder / name) as file:
            file.write(content)
    with whole_file(path) as file:
        file.write(handout.document)
    talk(f"wrote {path} and {len(handout.pictures)} pictures in {folder}")
