"""The only place that writes what a command found: to the terminal, to stdout as JSON, to files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.options import OutputOptions
from attnviz.cli.quiet import is_said
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, WholeFiles
from attnviz.render import render
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.tokens import label

if TYPE_CHECKING:
    from attnviz.nn.types import Array
    from attnviz.render.terminal.screen import Screen
    from attnviz.trace.record import Trace
    from attnviz.views.kinds import View

NARROWEST, WIDEST = 40, 200

BLOCKS = "▀░▒▓█╱…"


class Report(NamedTuple):
    """What one run of a command found: to be drawn, and as data."""

    views: Sequence[View]
    manifest: Mapping[str, Any]
    arrays: Mapping[str, Array]
    picture: Sequence[View] = ()
    """What `--plot` draws; if empty, the first of the views that is a picture."""
    name: str = ""
    """What its file is called; if empty, by what it holds."""
    about: str = ""
    """What tells one of several reports from the others: its text."""
    next: tuple[str, ...] = ()
    """Commands to try after it."""


def trace_report(trace: Trace, views: Sequence[View], picture: Sequence[View] = ()) -> Report:
    return Report(views, trace.manifest(), trace.arrays(), picture)


class OutputFiles(WholeFiles):
    """The files of a command: all appear when all are complete, and then it is said."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[str] = []
        self._warned: set[str] = set()
        self._paths: list[Path] = []
        """Of files that had no name given: these are what the command says on stdout."""

    def __exit__(self, kind: object, *rest: object) -> None:
        super().__exit__(kind, *rest)
        for message in self._messages if kind is None else ():
            talk(message)
        for path in self._paths if kind is None else ():
            print_bytes(os.fsencode(path) + b"\n")

    def write(self, report: Report, path: Path, style: FigureStyle = PLAIN) -> None:
        """One file, in the format of its suffix."""
        suffix = path.suffix.lower()
        if suffix in DATA_FORMATS:
            from attnviz import archive

            with self.open(path) as file:
                archive.write(file, suffix, dict(report.manifest), report.arrays)
        else:
            self._write(path, *_rendered(report.views, suffix, style))
        self.say(f"wrote {path}")

    def write_all(self, reports: Sequence[Report], out: OutputOptions) -> None:
        """Every report in every format that is asked for."""
        style = out.look if isinstance(out, FigureOptions) else PLAIN
        for number, (report, about) in enumerate(zip(reports, _about(reports), strict=True)):
            for path in out.paths(number, len(reports), about):
                self.write(report, path, style=style)
        for pattern in out.folders:
            self.write_pictures(reports, pattern, style)
        if isinstance(out, FigureOptions) and out.plot is not None:
            self.plot(reports, out, out.plot)

    def write_pictures(self, reports: Sequence[Report], pattern: Path, style: FigureStyle) -> None:
        """Every picture as a file of its own, named by what it holds: `folder/*.png`."""
        from attnviz.views.naming import distinct, picture_name, pictures

        abouts = _about(reports) if len(reports) > 1 else [""]
        found = [
            (f"{about}-{picture_name(view)}".strip("-"), view)
            for report, about in zip(reports, abouts, strict=True)
            for view in pictures(report.views)
        ]
        if not found:
            raise AttnvizError(
                f"-o {pattern.parent}/: this output has no picture",
                f"-o FILE{pattern.suffix} draws its text and tables",
            )
        self.make_folder(pattern.parent)
        names = distinct([name for name, _ in found])
        for name, (_, view) in zip(names, found, strict=True):
            path = pattern.with_name(name + pattern.suffix)
            self._write(path, *_rendered([view], pattern.suffix, style))
            self.say(f"wrote {path}")

    def plot(self, reports: Sequence[Report], out: FigureOptions, target: str) -> None:
        """The one picture of every report: to the file of that name, or to one in this folder that
        is named by what it holds; the path of that goes to stdout."""
        from attnviz.views.naming import distinct, picture_name, pictures

        drawn = [report.picture or pictures(report.views)[:1] for report in reports]
        if not all(drawn):
            raise AttnvizError("--plot: this output has no picture", "-o FILE.png draws its text")
        abouts = _about(reports) if len(reports) > 1 else [""]
        here = not Path(target).suffix  # empty, or a suffix alone: .pdf
        names = [
            f"{about}-{report.name or picture_name(pictures(views)[0])}".strip("-")
            if here
            else f"{Path(target).stem}-{about}".strip("-")
            for report, about, views in zip(reports, abouts, drawn, strict=True)
        ]
        suffix = (target or ".png") if here else Path(target).suffix
        folder = Path.cwd() if here else Path(target).parent
        for name, views in zip(distinct(names), drawn, strict=True):
            path = folder / (name + suffix)
            self._write(path, *_rendered(views, suffix.lower(), out.look))
            if here and not out.json:
                self._paths.append(path)
            else:
                self.say(f"wrote {path}")

    def _write(self, path: Path, content: bytes, warnings: Sequence[str]) -> None:
        for warning in warnings:
            if warning not in self._warned:
                talk(f"warning: {warning}")
            self._warned.add(warning)
        with self.open(path) as file:
            file.write(content)

    def say(self, message: str) -> None:
        """What is said when the files are there."""
        self._messages.append(message)


def _about(reports: Sequence[Report]) -> list[str]:
    """What tells the reports apart, in letters that can be in names of files."""
    from attnviz.views.naming import ABOUT, distinct, file_name

    return distinct([file_name(report.about, ABOUT) for report in reports])


def _rendered(
    views: Sequence[View], suffix: str, style: FigureStyle
) -> tuple[bytes, tuple[str, ...]]:
    import logging

    # what Matplotlib says of its own cache is not about the figure
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    return render(views, suffix, style)


def emit(reports: Sequence[Report], out: OutputOptions) -> None:
    """Write every report everywhere it is to go."""
    with OutputFiles() as files:
        files.write_all(reports, out)
    show(reports, out)


def show(reports: Sequence[Report], out: OutputOptions) -> None:
    """Every report on stdout: as JSON, or where no file is written for the terminal."""
    for number, report in enumerate(reports):
        if out.json:
            from attnviz.archive import json_text

            print_bytes("".join(json_text(dict(report.manifest), report.arrays)).encode() + b"\n")
        elif not out.is_written:
            from attnviz.render.terminal import render as draw

            text = draw(report.views, screen(out)).decode()
            print_text(f"\n{text}" if number else text)
    if reports and reports[-1].next and not out.json and not out.is_written:
        _suggest(reports[-1].next, screen(out))


def _suggest(commands: Sequence[str], screen: Screen) -> None:
    """What to try next, to those who read it on a terminal."""
    from attnviz.cli.hints import hint_line, is_wanted

    if is_wanted() and (line := hint_line(commands, screen.width)):
        line = screen.text(line)
        talk(f"\x1b[2m{line}\x1b[0m" if screen.depth else line, styled=True)


def print_bytes(content: bytes) -> None:
    """To stdout, as data."""
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:  # a test's or a notebook's stand-in
        print_text(content.decode())
        return
    with _to_stdout():
        sys.stdout.flush()
        stream.write(content)
        stream.flush()


def print_text(text: str) -> None:
    """To stdout, for a reader."""
    with _to_stdout():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextlib.contextmanager
def _to_stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AttnvizError(
            f"cannot write to stdout: {error.strerror}", "-o FILE writes to a file instead"
        ) from error


def talk(text: str, styled: bool = False) -> None:
    """To stderr: what is said about the work; a name in it may hold anything, unless it is text
    of our own that is `styled`."""
    if is_said(text):
        print(text if styled else label(text), file=sys.stderr)


def screen(out: OutputOptions) -> Screen:
    """What the terminal can show."""
    from attnviz.cli.terminal import background, colour_depth
    from attnviz.render.terminal.screen import Screen

    width = out.width or shutil.get_terminal_size((80, 24)).columns
    width = max(NARROWEST, min(width, WIDEST))
    encoding = sys.stdout.encoding or "ascii"
    depth = colour_depth(out.color)
    ground = background(out.background, depth)
    return Screen(width, depth, _has_blocks(encoding), encoding, ground)


def _has_blocks(encoding: str) -> bool:
    """Whether blocks can be written and are as wide as a letter, which they are not where a
    terminal is Chinese or Japanese by its encoding."""
    try:
        BLOCKS.encode(encoding)
    except UnicodeEncodeError:
        return False
    return "utf" in encoding.lower()
