"""Measure every head, and say what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.inputs import load_file, named_file, read_inputs, record_source
from attnviz.cli.loading import load
from attnviz.cli.options import FileInput, OutputOptions, Selected, StackOptions, TextInput
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, refuse, set_options, spread
from attnviz.errors import AttnvizError
from attnviz.trace.selection import Selection

if TYPE_CHECKING:
    from attnviz.analysis.metrics.table import HeadTable
    from attnviz.trace.record import ModelFacts, Trace
    from attnviz.views.kinds import View

ORDER = 100

app = typer.Typer(add_completion=False)

ORDERS = ("like", "layer")


class Source(NamedTuple):
    """What was measured; without a trace, it was measured before."""

    table: HeadTable
    model: ModelFacts
    trace: Trace | None


@app.command(cls=Command)
@spread
def heads(
    texts: TextInput,
    plain: FileInput,
    selected: Selected,
    stack: StackOptions,
    out: OutputOptions,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A text, or a file: a trace, weights as `attnviz show` reads them, what this "
            "command or `attnviz scan` wrote, an image for a vision model; - reads a text from "
            "stdin.",
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
    from attnviz.views.heads import chosen_view, explain_view, full_table

    if top is not None and top < 0:
        raise AttnvizError(f"--top: expected a number from 0, got {top}", "--top 10")
    one_of("order", order, ORDERS)
    if explain and source is None and texts.ids is None:
        emit([Report([explain_view()], {"format": "attnviz-explanation", "version": 1}, {})], out)
        return
    selection = selected.selection
    file = named_file(source)
    if file is None:
        refuse(set_options(plain), "files")
        found = _of_text(source, texts, stack, selection, out.wants_data)
    else:
        refuse(set_options(texts, stack), "texts")
        found = _of_file(file, selection, plain)
    shown, roles, said = _chosen(found.table, where, sort, top)
    views: list[View] = _header(found)
    if said and (map_ is not None or similarity):
        views.append(chosen_view(said))
    if map_ is not None:
        views += _map(shown, map_)
    if similarity:
        views += _similarity(found, shown, order)
    full = None
    if map_ is None and not similarity:
        full = full_table(shown, roles)
        views += _tables(found, shown, roles, columns, said, selection)
    if explain:
        views.append(explain_view())
    manifest = {**shown.manifest(found.model), "roles": roles}
    _emit(Report(views, manifest, shown.arrays()), full, out)


def _of_text(
    text: str | None,
    texts: TextInput,
    stack: StackOptions,
    selection: Selection,
    fingerprint: bool,
) -> Source:
    from attnviz.analysis.metrics.measure import measure_heads
    from attnviz.analysis.metrics.values import output_weights

    (given,) = read_inputs(None if text is None else [text], texts.ids)
    model = load(stack)
    stages = ("weights", "v")
    trace = record_source(model, given, texts, stages, selection, fingerprint=fingerprint)
    with progress("heads") as bar:
        table = measure_heads(trace, selection, output_weights(model.transformer), bar)
    return Source(table, trace.model, trace)


def _of_file(file: Path, selection: Selection, options: FileInput) -> Source:
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
                "leave out --tokens, --key-tokens, --batch and --array",
            )
        table = table_from_arrays(file, manifest, arrays)
        return Source(table.select(selection), model_in(file, manifest), None)
    trace = load_file(file, options)
    with progress("heads") as bar:
        table = measure_heads(trace, selection, progress=bar)
    return Source(table, trace.model, trace)


def _header(found: Source) -> list[View]:
    from attnviz.trace.record import Trace
    from attnviz.views.attention import header

    return [header(found.trace or Trace(found.model, {}, ()))]


def _chosen(
    table: HeadTable, where: str | None, sort: str | None, top: int | None
) -> tuple[HeadTable, list[str], list[str]]:
    """The rows that are wanted in the order that is wanted, their roles, and what was left out."""
    import numpy as np

    from attnviz.analysis.conditions import fulfil, parse_conditions
    from attnviz.analysis.roles import NAMES, roles
    from attnviz.registry import nearest

    own = np.array(roles(table), dtype=object)
    columns = table.columns()
    numbers = tuple(dict.fromkeys((*table.value, *columns)))  # metrics first, to be offered
    which = np.arange(len(table))
    said = []
    if where is not None:
        every = {name: columns[name] for name in numbers} | {"role": own}
        which = which[fulfil(parse_conditions(where, every, {"role": NAMES}), every)]
        said.append(f"{len(which)} of {len(table)} heads fulfil {where}")
    if sort is not None:
        name = sort.removeprefix("-")
        if name not in columns:
            hint = nearest(name, numbers)
            raise AttnvizError(f"--sort: there is no column of numbers {name!r}", hint)
        keys = columns[name][which] * (1.0 if sort.startswith("-") else -1.0)
        which = which[np.argsort(keys, kind="stable")]
        said.append(f"sorted by {name}, {'smallest' if sort.startswith('-') else 'largest'} first")
    if top is not None and top < len(which):
        said.append(f"the first {top} of {len(which)} heads shown")
        which = which[:top]
    return table.take(which.tolist()), own[which].tolist(), said


def _tables(
    found: Source,
    shown: HeadTable,
    roles: Sequence[str],
    columns: str | None,
    said: Sequence[str],
    selection: Selection,
) -> list[View]:
    from attnviz.views.attention import findings_text
    from attnviz.views.heads import head_table_view, roles_view, usual_columns

    if columns is None:
        names = usual_columns(shown)
    elif columns == "all":
        names = shown.defined()
    else:
        names = [
            one_of("columns", name.strip(), tuple(dict.fromkeys((*shown.value, *shown.columns()))))
            for name in columns.split(",")
        ]
    views: list[View] = [head_table_view(shown, roles, names, said), roles_view(shown, roles)]
    if found.trace is not None and (text := findings_text(found.trace, selection)):
        views.append(text)
    return views


def _map(shown: HeadTable, metric: str) -> list[View]:
    from attnviz.views.heads import map_views

    return map_views(shown, _metric("map", metric, shown))


def _similarity(found: Source, shown: HeadTable, order: str) -> list[View]:
    import numpy as np

    from attnviz.analysis.similarity import comparable, head_distances, leaf_order
    from attnviz.views.heads import head_names, similarity_view

    if found.trace is None:
        raise AttnvizError(
            "--similarity compares weights, and this file holds only what was measured of them",
            "give the text, or the trace",
        )
    names = head_names(shown)
    views: list[View] = []
    for group in comparable(found.trace, list(zip(shown.ids, shown.heads.tolist(), strict=True))):
        with progress("pairs of heads") as bar:
            distances = head_distances(group.weights, group.rows, bar)
        layers, numbers = (of[list(group.places)] for of in (shown.layers, shown.heads))
        by_layer = np.lexsort((numbers, layers)).tolist()
        places = leaf_order(distances) if order == "like" else by_layer
        views.append(
            similarity_view(
                [names[group.places[place]] for place in places],
                distances[places][:, places],
                liked=order == "like",
            )
        )
    return views


def _metric(option: str, name: str, table: HeadTable) -> str:
    return one_of(option, name, tuple(table.value))


def _emit(report: Report, full: View | None, out: OutputOptions) -> None:
    """The report; where a table goes to CSV, `full`, with all that is known, in its place."""
    tables = [path for path in out.output or () if path.suffix.lower() == ".csv" and full]
    others = [path for path in out.output or () if path not in tables]
    if tables and full is not None:
        emit([report._replace(views=[full])], replace(out, output=tables, json=False))
    if others or out.json or not tables:
        emit([report], replace(out, output=others))
