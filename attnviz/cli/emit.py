"""The only place that writes what a command found: to the terminal, to stdout as JSON, to files."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.cli.options import OutputOptions
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, WholeFiles
from attnviz.render import render
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


def trace_report(trace: Trace, views: Sequence[View]) -> Report:
    return Report(views, trace.manifest(), trace.arrays())


class OutputFiles(WholeFiles):
    """The files of a command: all appear when all are complete, and then it is said."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[str] = []

    def __exit__(self, kind: object, *rest: object) -> None:
        super().__exit__(kind, *rest)
        for message in self._messages if kind is None else ():
            talk(message)

    def write(self, report: Report, path: Path, quiet: bool = False) -> None:
        """One file, in the format of its suffix."""
        suffix = path.suffix.lower()
        if suffix in DATA_FORMATS:
            from attnviz import archive

            with self.open(path) as file:
                archive.write(file, suffix, dict(report.manifest), report.arrays)
        else:
            import logging

            # what Matplotlib says of its own cache is not about the figure
            logging.getLogger("matplotlib").setLevel(logging.ERROR)
            content, warnings = render(report.views, suffix)
            for warning in warnings:
                talk(f"warning: {warning}")
            with self.open(path) as file:
                file.write(content)
        if not quiet:
            self.say(f"wrote {path}")

    def write_all(self, reports: Sequence[Report], out: OutputOptions) -> None:
        """Every report in every format that is asked for."""
        for number, report in enumerate(reports):
            for path in out.paths(number, len(reports)):
                self.write(report, path)

    def say(self, message: str) -> None:
        """What is said when the files are there."""
        self._messages.append(message)


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
        elif not out.output:
            from attnviz.render.terminal import render as draw

            text = draw(report.views, screen(out)).decode()
            print_text(f"\n{text}" if number else text)


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


def talk(text: str) -> None:
    """To stderr: what is said about the work; a name in it may hold anything."""
    print(label(text), file=sys.stderr)


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
