"""`attnviz learn`: lessons, each an idea of attention with its claims checked as they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.emit import Report, check_outputs, emit, talk
from attnviz.cli.options import OutputOptions, spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.lessons import Chosen, Lesson
    from attnviz.lessons.language import Say

app = typer.Typer(add_completion=False)

ALL = "all"
FAILED = 1


@app.command()
@spread
def learn(
    out: OutputOptions,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A lesson, with options of your own: scaling, retrieval:similarities=1,1,8,0,0; "
            "or all",
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
    attnviz learn all -o handout.md
    """
    check_outputs(out)
    from attnviz.lessons import LESSONS, choose
    from attnviz.lessons.language import speak
    from attnviz.lessons.pages import lesson_views, list_views
    from attnviz.registry import parse_spec

    say = speak(lang)
    if name is None:
        titles = [say(choose(each, {}).title) for each in LESSONS]
        manifest = {
            "format": "attnviz-lessons",
            "version": 1,
            "lessons": dict(zip(LESSONS, titles, strict=True)),
        }
        emit([Report(list_views(titles, say), manifest, {})], out)
        return
    word, options = parse_spec(name)
    if text is not None:
        options["text"] = text
    if word == ALL:
        if options:
            raise AttnvizError(f"all lessons take no options, got {name!r}", "attnviz learn all")
        chosen = [choose(each, {}) for each in LESSONS]
    else:
        chosen = [choose(word, options)]
    given = [lesson.give(say) for lesson in chosen]
    pages = [
        lesson_views(say(each.title), lesson, say)
        for each, lesson in zip(chosen, given, strict=True)
    ]
    documents = [path for path in out.output or () if path.suffix.lower() == ".md"]
    if word == ALL and documents:
        for path in documents:
            _write_handout(path, list(zip(LESSONS, pages, strict=True)))
    else:
        reports = [
            Report(page, _manifest(each, lesson, say), _arrays(lesson))
            for page, each, lesson in zip(pages, chosen, given, strict=True)
        ]
        emit(reports, out)
    if any(not claim.holds for lesson in given for claim in lesson.claims):
        raise typer.Exit(FAILED)


def _manifest(chosen: Chosen, lesson: Lesson, say: Say) -> dict[str, Any]:
    return {
        "format": "attnviz-lesson",
        "version": 1,
        "lesson": chosen.name,
        "title": say(chosen.title),
        "options": dict(chosen.options),
        "claims": [claim._asdict() for claim in lesson.claims],
    }


def _arrays(lesson: Lesson) -> dict[str, Any]:
    """The numbers of the lesson's matrices, by their place and title."""
    from attnviz.views.kinds import Heatmap

    return {
        f"{place} {view.title}": view.values
        for place, view in enumerate(lesson.views)
        if isinstance(view, Heatmap)
    }


def _write_handout(path: Path, chapters: list[tuple[str, Any]]) -> None:
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
