"""Give every number behind one weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.cells import check_cell, parse_cell
from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.loading import load
from attnviz.cli.options import LongInputs, SelectedHead, StackOptions, TextInput, TextWords
from attnviz.cli.spread import spread

if TYPE_CHECKING:
    from attnviz.analysis.cell import StrongestCells
    from attnviz.nn.site import Site
    from attnviz.nn.streaming import Inputs
    from attnviz.tokens import Tokens
    from attnviz.trace.summary import SummaryPlan

ORDER = 70

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def explain(
    texts: TextInput,
    selected: SelectedHead,
    stack: StackOptions,
    long: LongInputs,
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
    from attnviz.analysis.cell import explain_cell, explain_cell_of_summary, strongest_cell
    from attnviz.analysis.steps import STAGES
    from attnviz.cli.inputs import best_head, check_known, read_input, run_prepared, suggest_chat
    from attnviz.models.run.prepare import prepare
    from attnviz.trace.selection import parse_selection
    from attnviz.views.cell import cell_views, choice_text
    from attnviz.views.figure import head_pictures

    content = read_input(text, texts.ids, texts, only_texts=True)
    model = load(stack)
    selection = selected.selection
    prepared = prepare(
        model,
        content,
        pair=texts.second,
        target=texts.target,
        stages=STAGES,
        select=selection,
        memory=long.budget,
        summaries=_with_strongest_cells,
    )
    check_known(model, prepared.streams["source"])
    suggest_chat(model, content)
    trace = run_prepared(prepared, fingerprint=out.wants_data)
    chosen, head, is_best = best_head(trace, selection)
    queries, keys = trace.streams[chosen.queries], trace.streams[chosen.keys]
    if cell is None:
        place = strongest_cell(chosen, head, queries.special, keys.special)
    else:
        place = parse_cell(cell, queries, keys)
    if chosen.summary is None:
        explained = explain_cell(chosen, head, *place)
    else:
        attention = model.transformer.attention(chosen.id)
        mask = prepared.inputs[chosen.keys].mask
        explained = explain_cell_of_summary(attention, mask, chosen, head, *place)
    views = cell_views(trace, chosen, explained)
    if is_best or cell is None:
        views.insert(1, choice_text(is_best, cell is None))
    one = parse_selection([f"{chosen.id}.H{head}"])
    drawn = () if out.plot is None else head_pictures(trace, one)
    emit([Report(views, explained.manifest(trace), explained.arrays(), drawn)], out)


def _with_strongest_cells(streams: Mapping[str, Tokens]) -> SummaryPlan:
    """What is kept of a long text: also each head's largest weight."""
    from attnviz.analysis.cell import StrongestCells
    from attnviz.cli.inputs import usual_summary
    from attnviz.trace.summary import with_statistics

    def strongest(site: Site, inputs: Inputs, heads: Sequence[int]) -> StrongestCells:
        return StrongestCells(heads, streams[site.queries].special, streams[site.keys].special)

    return with_statistics(usual_summary(streams), strongest)
