"""Give every number behind one weight."""

from __future__ import annotations

from typing import Annotated

import typer

from attnviz.cli.cells import check_cell, parse_cell
from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load
from attnviz.cli.options import SelectedHead, StackOptions, TextInput, TextWords
from attnviz.cli.spread import spread

ORDER = 70

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def explain(
    texts: TextInput,
    selected: SelectedHead,
    stack: StackOptions,
    out: FigureOptions,
    text: TextWords = None,
    cell: Annotated[
        str | None,
        typer.Option(
            metavar="QUERY,KEY",
            help="Two tokens, by position or name: 3,1 or saw,a (default: the strongest)",
        ),
    ] = None,
) -> None:
    """Give every number behind one cell: products, scale, bias, mask, softmax, what it moves.

    attnviz explain "I saw a saw"
    attnviz explain "I saw a saw" --cell 3,1 -s L0.H1
    attnviz explain "the dog ate" --cell ate,dog
    """
    if cell is not None:
        check_cell(cell)
    from attnviz.analysis.cell import explain_cell, strongest_cell
    from attnviz.analysis.steps import STAGES
    from attnviz.cli.inputs import best_head, read_input, record
    from attnviz.trace.selection import parse_selection
    from attnviz.views.cell import cell_views, choice_text
    from attnviz.views.figure import head_pictures

    content = read_input(text, texts.ids, only_texts=True)
    model = load(stack)
    selection = selected.selection
    trace = record(model, content, texts, STAGES, selection, fingerprint=out.wants_data)
    chosen, head, is_best = best_head(trace, selection)
    queries, keys = trace.streams[chosen.queries], trace.streams[chosen.keys]
    if cell is None:
        place = strongest_cell(chosen, head, queries.special, keys.special)
    else:
        place = parse_cell(cell, queries, keys)
    explained = explain_cell(chosen, head, *place)
    views = cell_views(trace, chosen, explained)
    if is_best or cell is None:
        views.insert(1, choice_text(is_best, cell is None))
    drawn = head_pictures(trace, parse_selection([f"{chosen.id}.H{head}"]))
    emit([Report(views, explained.manifest(trace), explained.arrays(), drawn)], out)
