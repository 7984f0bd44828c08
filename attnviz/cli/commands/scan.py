"""Measure every head over a whole corpus."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.loading import load
from attnviz.cli.options import OutputOptions, StackOptions
from attnviz.cli.progress import progress
from attnviz.cli.spread import spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.analysis.metrics.table import HeadTable
    from attnviz.models.model import Model
    from attnviz.scan.corpus import Chunk, Corpus
    from attnviz.scan.state import State
    from attnviz.scan.tally import Job
    from attnviz.scan.workers import Crew
    from attnviz.trace.record import ModelFacts
    from attnviz.views.kinds import View

ORDER = 110

app = typer.Typer(add_completion=False)

LONGEST = 512
"""Tokens of a window, where the model reads so many."""

SHOWN = 3
"""Heads of each role on the screen."""


@app.command(cls=Command)
@spread
def scan(
    stack: StackOptions,
    out: OutputOptions,
    corpus: Annotated[
        str,
        typer.Argument(
            help="A file with one text a line, plain or .jsonl, gzip or not; - reads stdin. For an "
            "encoder-decoder, SOURCE<TAB>TARGET.",
            show_default=False,
        ),
    ],
    field: Annotated[
        str | None,
        typer.Option(help="Lines are JSON; the field with the text (default in .jsonl: text)"),
    ] = None,
    longest: Annotated[
        int | None,
        typer.Option(
            help="Longer lines are cut into windows of so many tokens (default: what the model "
            f"reads, at most {LONGEST})"
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
    if workers is not None and dask is not None:
        raise AttnvizError("--workers: a cluster has workers of its own", "leave it out")
    kept = _state_file(out, resume)
    model = load(stack)
    if not model.transformer.sites():
        raise AttnvizError(f"{model.name} has no attention", "try `-m tagger`")
    window = _window(model, longest)

    from attnviz.models.run.forward import describe
    from attnviz.scan import state as states
    from attnviz.scan.corpus import open_corpus
    from attnviz.scan.measure import heads_of
    from attnviz.scan.result import check_result, scan_arrays, scan_manifest, scan_table
    from attnviz.scan.tally import Job, registered_metrics

    facts = describe(model, True, 0)
    of = states.identity(facts, window)
    ids, heads = heads_of(model.transformer)
    state = states.beginning(len(ids), window)
    if resume and kept is not None and kept.exists():
        state = states.load(kept, of)
    job = Job(
        _absolute(stack.model), tuple(stack.changes.items()), window, metrics=registered_metrics()
    )
    with open_corpus(corpus, field) as opened:
        name = opened.name
        state = _counted(state, opened, job, of, kept, workers, dask)
    check_result(state, name, model)
    table = scan_table(state, ids, heads, window)
    report = Report(
        _views(table, facts),
        scan_manifest(state, table, facts, window),
        scan_arrays(state, table),
    )
    emit([report], out)
    if out.output and not out.json:
        emit([report], replace(out, output=None))
    if kept is not None:
        kept.unlink(missing_ok=True)


def _state_file(out: OutputOptions, resume: bool) -> Path | None:
    """Where the state is kept: beside the first output that holds data."""
    data = out.data_files
    if not data:
        if resume:
            raise AttnvizError("--resume needs the -o of the scan that was ended", "-o stats.npz")
        return None
    kept = data[0].with_suffix(".part.npz")
    if kept.exists() and not resume:
        raise AttnvizError(
            f"{kept} holds what a scan had counted before it was ended",
            "--resume goes on from there; to start anew, delete the file",
        )
    if resume and not kept.exists() and data[0].exists():
        raise AttnvizError(
            f"{data[0]} is the result of a scan that came to its end: there is nothing to resume",
            "without --resume it is made anew",
        )
    return kept


def _window(model: Model, longest: int | None) -> int:
    """Tokens that are read at once."""
    most = model.max_tokens
    if longest is None:
        return LONGEST if most is None else min(most, LONGEST)
    if longest < 2 or (most is not None and longest > most):
        reads = "" if most is None else f" to {most}, which {model.name} reads"
        raise AttnvizError(f"--longest: expected 2{reads} or more, got {longest}", "--longest 128")
    return longest


def _absolute(model: str | None) -> str | None:
    """The model's name, with a path that holds in other processes."""
    from attnviz.models import is_packaged

    if model is None or is_packaged(model) or not Path(model).exists():
        return model
    return str(Path(model).resolve())


def _counted(
    state: State,
    corpus: Corpus,
    job: Job,
    of: dict[str, Any],
    kept: Path | None,
    workers: int | None,
    dask: str | None,
) -> State:
    """The state with all that was not yet counted."""
    from attnviz.scan.corpus import chunks
    from attnviz.scan.run import run
    from attnviz.scan.state import remaining, save

    start = state.tally.counts.texts
    rest = chunks(corpus) if kept is None else remaining(kept, state, chunks(corpus))
    if state.n_chunk:
        talk(f"{state.tally.counts.lines} lines were counted before")

    def keep(state: State) -> None:
        if kept is not None:
            save(kept, state, of)

    with progress("texts", unit="texts") as bar:

        def told(state: State, chunk: Chunk) -> None:
            if bar is not None:
                texts = state.tally.counts.texts
                total = texts * corpus.size // chunk.position if chunk.position else 0
                bar(texts - start, max(0, total - start))

        with _crew(job, of["model"]["sha256"], workers, dask) as crew:
            return run(state, rest, crew, keep, told)


@contextlib.contextmanager
def _crew(job: Job, sha256: str | None, workers: int | None, dask: str | None) -> Iterator[Crew]:
    if dask is not None:
        from attnviz.scan.cluster import cluster

        with cluster(dask, job._replace(sha256=sha256)) as crew:
            yield crew
        return
    from attnviz.scan.workers import processes

    with processes(job, workers or os.cpu_count() or 1) as crew:
        yield crew


def _views(table: HeadTable, model: ModelFacts) -> list[View]:
    """The heads that have a role most clearly, and how many have which."""
    from attnviz.analysis.roles import leading, roles
    from attnviz.trace.record import Trace
    from attnviz.views.attention import header
    from attnviz.views.heads import head_table_view, roles_view, usual_columns

    found = roles(table)
    shown = leading(table, SHOWN)
    said = [f"of each role the {SHOWN} clearest heads; attnviz heads shows all {len(table)}"]
    taken = table.take(shown)
    return [
        header(Trace(model, {}, ())),
        head_table_view(taken, [found[row] for row in shown], usual_columns(table), said),
        roles_view(table, found),
    ]
