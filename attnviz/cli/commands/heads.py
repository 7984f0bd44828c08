"""Measure every head, and say what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.current import is_stopped
from attnviz.cli.emit import OutputFiles, Report, emit, show
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import (
    load_file,
    named_file,
    one_source,
    prepare_source,
    read_input,
    run_prepared,
)
from attnviz.cli.loading import load
from attnviz.cli.options import FileInput, LongInputs, Selected, StackOptions, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, refuse, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.trace.selection import Selection

if TYPE_CHECKING:
    from attnviz.analysis.metrics.query import Answer, Query
    from attnviz.analysis.metrics.table import HeadTable
    from attnviz.nn.site import RecordId
    from attnviz.tokens import Tokens
    from attnviz.trace.record import ModelFacts, Trace
    from attnviz.trace.summary import SummaryPlan
    from attnviz.views.kinds import Text, View

ORDER = 100

app = typer.Typer(add_completion=False)

DRAWN = "entropy"
"""The metric that is drawn where none is named."""

ORDERS = ("like", "layer")

KEPT = 1 << 26
"""Bytes from which a record is not kept though there is room: nothing looks at it again."""

PICTURES = (".png", ".svg", ".pdf", ".html", ".md", ".txt")

MANY, SHOWN = 24, 12
"""More heads than `MANY` are too many to look through: so many are shown unasked."""


class Measured(NamedTuple):
    """What was measured; without a trace, it was measured before."""

    table: HeadTable
    model: ModelFacts
    trace: Trace | None


class Asked(NamedTuple):
    """What is to be shown of the heads."""

    query: Query
    columns: str | None
    map: str | None
    similarity: bool

    @property
    def is_table(self) -> bool:
        return self.map is None and not self.similarity

    def metrics(self, out: FigureOptions) -> list[str]:
        """What has to be measured for it; files of data hold everything."""
        from attnviz.analysis.metrics import METRICS
        from attnviz.analysis.metrics.query import metrics_for
        from attnviz.analysis.roles import METRICS_OF_ROLES

        columns = [] if self.columns in (None, "all") else str(self.columns).split(",")
        named = [("--columns", column.strip()) for column in columns]
        if self.map is not None:
            named.append(("--map", self.map))
        metrics = metrics_for(self.query, named)
        is_data = out.json or any(path.suffix.lower() not in PICTURES for path in out.output or ())
        if is_data or (self.is_table and (not columns or out.is_written)):
            return list(METRICS)
        return list(dict.fromkeys([*metrics, *(METRICS_OF_ROLES if self.is_table else ())]))


@app.command(cls=Command)
@spread
def heads(
    texts: TextInput,
    plain: FileInput,
    selected: Selected,
    stack: StackOptions,
    long: LongInputs,
    out: FigureOptions,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="A text, or a file: a trace, weights as `attnviz show` reads them, what this "
            "command or `attnviz scan` wrote, an image for a vision model; - reads a text from "
            "stdin.",
            metavar="[TEXT|FILE]",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Which metrics: entropy,induction,…, or all")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="By a column, largest first; -COLUMN smallest first")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Only such heads: 'induction > 0.5 and layer >= 2'")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Only the first so many")] = None,
    map_: Annotated[
        str | None, typer.Option("--map", metavar="METRIC", help="A metric by layer and head")
    ] = None,
    similarity: Annotated[
        bool, typer.Option("--similarity", help="How far heads are apart, head by head")
    ] = False,
    order: Annotated[
        str, typer.Option(help="Of --similarity: like (like heads side by side) or layer")
    ] = "like",
    explain: Annotated[
        bool, typer.Option("--explain", help="What the metrics and roles are; needs no SOURCE")
    ] = False,
) -> None:
    """Measure every head, beside what a head would have that spreads evenly; name what it does.

    attnviz heads "I saw a saw"
    attnviz heads "BDFKQWXZBDFKQWXZBDFK" -m induction --where "induction > 0.5"
    attnviz heads trace.npz --map entropy -o entropy.png
    attnviz heads --explain
    """
    from attnviz.analysis.metrics.columns import find_column
    from attnviz.analysis.metrics.query import Query, ask
    from attnviz.trace.record import Trace
    from attnviz.views.attention import attention_views, header
    from attnviz.views.heads import chosen_view, explain_view, full_table, map_views
    from attnviz.views.naming import pictures

    if top is not None and top < 0:
        raise AttnvizError(f"--top: expected a number from 0, got {top}", "--top 10")
    one_of("order", order, ORDERS)
    source = one_source(words)
    if explain and source is None and texts.ids is None:
        emit([Report([explain_view()], {"format": "attnviz-explanation", "version": 1}, {})], out)
        return
    asked = Asked(Query(where, sort, top), columns, map_, similarity)
    is_table = asked.is_table
    measured = _measured(source, texts, plain, stack, long, selected.selection, out, asked)
    answer = ask(measured.table, asked.query)
    above = header(measured.trace or Trace(measured.model, {}, ()))
    views: list[View] = [] if is_table else [above]
    if answer.notes and (map_ is not None or similarity):
        views.append(chosen_view(answer.notes))
    if map_ is not None:
        views += map_views(answer.table, find_column(map_, answer.table.value, "--map"))
    if similarity:
        views += _similarity(measured.trace, answer.table, order)
    full = None
    if is_table:
        full = full_table(answer.table, answer.roles)
        shortened = not (where or sort or top is not None or out.output)
        views += _tables(measured.trace, answer, columns, selected.selection, above, shortened)
        if out.has_page and measured.trace is not None:
            views += attention_views(measured.trace, selected.selection, every_head=out.has_page)[
                1:
            ]
    if explain:
        views.append(explain_view())
    manifest = answer.table.manifest(measured.model, answer.roles)
    drawn: list[View] = list(pictures(views))
    if out.plot is not None and not drawn:
        drawn = map_views(answer.table, _mapped(answer))
    _emit(Report(views, manifest, answer.table.arrays(), drawn), full, out)


def _measured(
    source: str | None,
    texts: TextInput,
    plain: FileInput,
    stack: StackOptions,
    long: LongInputs,
    selection: Selection,
    out: FigureOptions,
    asked: Asked,
) -> Measured:
    """Every head of a text, or of a file: a table that was saved, a trace, plain weights."""
    file = None if texts.is_chat else named_file(source)
    if file is None:
        refuse(set_options(plain), "files")
        return _of_text(source, texts, stack, long, selection, out, asked)
    refuse(set_options(texts, stack), "texts")
    return _of_file(file, selection, plain, out, asked)


def _of_text(
    text: str | None,
    texts: TextInput,
    stack: StackOptions,
    long: LongInputs,
    selection: Selection,
    out: FigureOptions,
    asked: Asked,
) -> Measured:
    from attnviz.analysis.metrics.measure import measure_heads
    from attnviz.analysis.metrics.statistics import head_statistics
    from attnviz.analysis.metrics.values import output_weights
    from attnviz.analysis.similarity import sampled_rows
    from attnviz.trace.summary import SummaryPlan

    metrics = asked.metrics(out)
    read = read_input(None if text is None else [text], texts.ids, texts)
    model = load(stack)
    stages = ("scores", "weights", "v") if out.has_page else ("weights", "v")
    outputs = output_weights(model.transformer)

    def plan(streams: Mapping[str, Tokens]) -> SummaryPlan:
        statistics = head_statistics(
            streams, outputs, metrics, information=out.has_page, findings=asked.is_table
        )
        if out.has_page:
            return SummaryPlan(statistics=statistics)
        block = sampled_rows(streams, model.transformer.sites(), selection)
        return SummaryPlan(1, 0, block if asked.similarity else None, statistics)

    prepared = prepare_source(
        model, read, texts, stages, selection, memory=long.budget, summaries=plan
    )
    if prepared.plan.n_byte > KEPT and not (out.has_page or asked.similarity):
        prepared = replace(prepared, summaries=plan(prepared.streams))
    trace = run_prepared(prepared, fingerprint=out.wants_data, may_stop=True)
    selection = selection.within(trace) if is_stopped() else selection
    with progress("heads") as bar:
        table = measure_heads(trace, selection, outputs, bar, metrics)
    return Measured(table, trace.model, trace)


def _of_file(
    file: Path, selection: Selection, options: FileInput, out: FigureOptions, asked: Asked
) -> Measured:
    """A table that was saved, a trace, or plain weights."""
    from attnviz import archive
    from attnviz.analysis.metrics.measure import measure_heads
    from attnviz.analysis.metrics.table import FORMAT, SCAN, table_from_arrays
    from attnviz.trace.file import model_in

    manifest, arrays = archive.read(file)
    if manifest is not None and manifest.get("format") in (FORMAT, SCAN):
        if set_options(options):
            raise AttnvizError(
                f"{file} holds what was measured of heads, no weights",
                "leave out --tokens, --key-tokens, --batch, --array and --nan",
            )
        table = table_from_arrays(file, manifest, arrays)
        return Measured(table.select(selection), model_in(file, manifest), None)
    trace = load_file(file, options)
    with progress("heads") as bar:
        table = measure_heads(trace, selection, progress=bar, metrics=asked.metrics(out))
    return Measured(table, trace.model, trace)


def _tables(
    trace: Trace | None,
    answer: Answer,
    columns: str | None,
    selection: Selection,
    above: Text,
    shortened: bool,
) -> list[View]:
    """What heads of each role look at, and the table; of very many heads, unless they were asked
    for, those that have a role most clearly."""
    from attnviz.analysis.roles import leading
    from attnviz.views.attention import findings_text
    from attnviz.views.heads import head_sentences, head_table_view, roles_view, usual_columns

    table, roles = answer.table, answer.roles
    sentences = head_sentences(table, [_keys(trace, id) for id in table.ids])
    rows, notes = list(range(len(table))), list(answer.notes)
    if shortened and len(table) > MANY:
        rows = leading(table, SHOWN)
        notes.append(
            say("{n} of {total} heads shown, those that have a role most clearly; --top {total} or "
                "-o table.csv has all",
                n=len(rows), total=len(table))
        )  # fmt: skip
    names = (
        usual_columns(table, roles, answer.columns) if columns is None else _named(columns, table)
    )
    views: list[View] = [
        roles_view(table, roles, sentences, above),
        head_table_view(
            table.take(rows),
            [roles[row] for row in rows],
            names,
            notes,
            [sentences[row] for row in rows] if columns is None else None,
        ),
    ]
    if trace is not None and (text := findings_text(trace, selection)):
        views.append(text)
    return views


def _mapped(answer: Answer) -> str:
    """The metric that is drawn where none is named: what heads are sorted by, or entropy."""
    defined = answer.table.defined()
    wanted = (*reversed(answer.columns), DRAWN, *defined)
    return next((name for name in wanted if name in defined), DRAWN)


def _named(columns: str, table: HeadTable) -> list[str]:
    """The columns of `--columns`: `all`, or names joined by commas."""
    from attnviz.analysis.metrics.columns import find_column

    if columns == "all":
        return table.defined()
    known = tuple(dict.fromkeys((*table.value, *table.columns())))
    return [find_column(name.strip(), known, "--columns") for name in columns.split(",")]


def _keys(trace: Trace | None, id: RecordId) -> Tokens | None:
    """The tokens that the heads of a record look at."""
    return None if trace is None else trace.streams.get(trace[str(id)].keys)


def _similarity(trace: Trace | None, table: HeadTable, order: str) -> list[View]:
    from attnviz.analysis.similarity import similarities
    from attnviz.views.heads import head_names, similarity_view

    if trace is None:
        raise AttnvizError(
            "--similarity compares weights, and this file holds only what was measured of them",
            "give the text, or the trace",
        )
    names, like = head_names(table), order == "like"
    with progress("pairs of heads") as bar:
        return [
            similarity_view(
                [names[row] for row in each.heads], each.distances, liked=like, sample=each.sample
            )
            for each in similarities(trace, table, like=like, progress=bar)
        ]


def _emit(report: Report, full: View | None, out: FigureOptions) -> None:
    """The report; where a table goes to CSV, `full`, with all that is known, in its place."""
    tables = [path for path in out.output or () if path.suffix.lower() == ".csv" and full]
    others = [path for path in out.output or () if path not in tables]
    with OutputFiles() as files:
        if tables and full is not None:
            files.write_all([report._replace(views=[full])], out.to(tables, plot=None))
        files.write_all([report], out.to(others))
    show([report], out)
