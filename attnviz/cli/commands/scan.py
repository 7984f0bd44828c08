"""Measure every head over a whole corpus."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.current import current
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.inputs import STDIN, is_piped
from attnviz.cli.loading import load, model_setting
from attnviz.cli.options import LongInputs, OutputOptions, StackOptions
from attnviz.cli.progress import progress
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.memory import check_available

if TYPE_CHECKING:
    from attnviz.analysis.metrics.table import HeadTable
    from attnviz.models.model import Model
    from attnviz.trace.record import ModelFacts
    from attnviz.views.kinds import View

ORDER = 110

app = typer.Typer(add_completion=False)

MAX_WINDOW = 512
"""Tokens of a window, where the model reads so many."""

PART = ".part.npz"
MAX_NAME_BYTES = 255
"""Of a file's name; a longer one of a state becomes its checksum."""

MAX_WORKERS = 1024
WORKER_BYTES = 1 << 26
"""What a process takes before it has read anything."""

SHOWN = 12
"""Heads on the screen."""


@app.command(cls=Command)
@spread
def scan(
    stack: StackOptions,
    long: LongInputs,
    out: OutputOptions,
    corpus: Annotated[
        str | None,
        typer.Argument(
            help="A file with one text a line, plain or .jsonl, gzip or not; - reads stdin. For an "
            "encoder-decoder, SOURCE<TAB>TARGET.",
            metavar="CORPUS",
            show_default=False,
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(help="Lines are JSON; the field with the text (default in .jsonl: text)"),
    ] = None,
    longest: Annotated[
        int | None,
        typer.Option(
            help="Longer lines are cut into windows of so many tokens (default: what the model "
            f"reads, at most {MAX_WINDOW})"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes (default: one for each core)")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a scan with the same -o was ended")
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the workers of the Dask scheduler at ADDRESS"),
    ] = None,
) -> None:
    """Measure every head on each text of a corpus: means, deviations and quantiles over texts.

    attnviz scan corpus.txt -m tagger -o stats.npz
    attnviz scan corpus.jsonl.gz --field body -m ./minilm -o stats.npz --resume
    attnviz heads stats.npz --where "previous_token > 0.5"
    """
    if workers is not None and workers < 1:
        raise AttnvizError(f"--workers: expected at least 1, got {workers}", "--workers 2")
    if workers is not None and workers > MAX_WORKERS:
        raise AttnvizError(
            f"--workers: expected at most {MAX_WORKERS}, got {workers}",
            "as many as there are cores",
        )
    if workers is not None:
        check_available(workers * WORKER_BYTES, f"--workers {workers}", "fewer workers")
    if workers is not None and dask is not None:
        raise AttnvizError("--workers: a cluster has workers of its own", "leave it out")
    if corpus is None:
        if not is_piped():
            raise AttnvizError("there is no corpus", current().example)
        corpus = STDIN
    state_file = _state_file(out, resume)
    model = load(stack)
    if not model.transformer.sites():
        raise AttnvizError(f"{model.name} has no attention", "try `-m tagger`")
    window = _window(model, longest)

    from attnviz.models.run.forward import describe
    from attnviz.scan.corpus import open_corpus
    from attnviz.scan.run import Scan, crew_of
    from attnviz.scan.tally import Job, registered_metrics

    options = tuple(stack.changes.items())
    setting = None if stack.model else model_setting(stack.changes)
    name = stack.model if setting is None else str(setting.value)
    job = Job(_absolute(name), options, window, metrics=registered_metrics(), memory=long.budget)
    scanning = Scan(model, describe(model, True, 0), job, state_file)
    with open_corpus(corpus, field) as opened:
        state = scanning.begin(resume, opened)
        remaining = scanning.remaining(state, opened)
        if state.n_chunk:
            talk(f"{state.tally.counts.lines} lines were counted before")
        with progress("texts", unit="texts") as bar, crew_of(scanning, workers, dask) as crew:
            state = scanning.count(state, opened, remaining, crew, bar)
    result = scanning.result(state, opened.name)
    report = Report(_views(result.table, result.model), result.manifest(), result.arrays())
    emit([report], out)
    if out.output and not out.json:
        emit([report], replace(out, output=None))
    if state_file is not None:
        state_file.unlink(missing_ok=True)


def _state_file(out: OutputOptions, resume: bool) -> Path | None:
    """Where the state is state_file: beside the first output that holds data."""
    data = out.data_files
    if not data:
        if resume:
            raise AttnvizError("--resume needs the -o of the scan that was ended", "-o stats.npz")
        return None
    state_file = data[0].with_suffix(PART)
    if len(os.fsencode(state_file.name)) > MAX_NAME_BYTES:
        import hashlib

        name = hashlib.sha256(os.fsencode(data[0].name)).hexdigest()
        state_file = data[0].with_name(f"{name}{PART}")
    if state_file.exists() and not resume:
        raise AttnvizError(
            f"{state_file} holds what a scan had counted before it was ended",
            "--resume goes on from there; to start anew, delete the file",
        )
    if resume and not state_file.exists() and data[0].exists():
        raise AttnvizError(
            f"{data[0]} is the result of a scan that came to its end: there is nothing to resume",
            "without --resume it is made anew",
        )
    return state_file


def _window(model: Model, longest: int | None) -> int:
    """Tokens that are read at once."""
    limit = model.max_tokens
    if longest is None:
        return MAX_WINDOW if limit is None else min(limit, MAX_WINDOW)
    if longest < 2 or (limit is not None and longest > limit):
        reads = "" if limit is None else f" to {limit}, which {model.name} reads"
        raise AttnvizError(f"--longest: expected 2{reads} or more, got {longest}", "--longest 128")
    return longest


def _absolute(model: str | None) -> str | None:
    """The model's name, with a path that holds in other processes."""
    from attnviz.models import is_packaged

    if model is None or is_packaged(model) or not Path(model).exists():
        return model
    return str(Path(model).resolve())


def _views(table: HeadTable, model: ModelFacts) -> list[View]:
    """The heads that have a role most clearly, and how many have which."""
    from attnviz.analysis.roles import leading, roles
    from attnviz.trace.record import Trace
    from attnviz.views.attention import header
    from attnviz.views.heads import head_sentences, head_table_view, roles_view, usual_columns

    names = roles(table)
    sentences = head_sentences(table, [None] * len(table))
    rows = leading(table, SHOWN)
    notes = [
        say("{n} of {total} heads shown, those that have a role most clearly; attnviz heads FILE "
            "shows more",
            n=len(rows), total=len(table))
    ]  # fmt: skip
    return [
        roles_view(table, names, sentences, header(Trace(model, {}, ()))),
        head_table_view(
            table.take(rows),
            [names[row] for row in rows],
            usual_columns(table, names),
            notes,
            [sentences[row] for row in rows],
        ),
    ]
