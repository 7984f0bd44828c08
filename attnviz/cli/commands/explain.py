"""Give every number behind one weight."""

from __future__ import annotations

from typing import Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.loading import load
from attnviz.cli.options import OutputOptions, SelectedHead, StackOptions, TextInput, TextWords
from attnviz.cli.spread import spread, whole_numbers
from attnviz.errors import AttnvizError

ORDER = 70

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def explain(
    texts: TextInput,
    selected: SelectedHead,
    stack: StackOptions,
    out: OutputOptions,
    text: TextWords = None,
    cell: Annotated[str, typer.Option(help="QUERY,KEY: positions of two tokens")] = "0,0",
) -> None:
    """Give every number behind one cell: products, scale, bias, mask, softmax, what it moves.

    attnviz explain "I saw a saw" --cell 3,1 -s L0.H1
    """
    positions = whole_numbers("cell", cell)
    if len(positions) != 2:
        raise AttnvizError(f"--cell: expected QUERY,KEY, got {cell!r}", "--cell 3,1")
    from attnviz.analysis.cell import explain_cell
    from attnviz.analysis.steps import STAGES
    from attnviz.cli.inputs import first_head, read_input, record
    from attnviz.views.cell import cell_views

    content = read_input(text, texts.ids)
    model = load(stack)
    selection = selected.selection
    trace = record(model, content, texts, STAGES, selection, fingerprint=out.wants_data)
    chosen, head = first_head(trace, selection)
    explained = explain_cell(chosen, head, *positions)
    views = cell_views(trace, chosen, explained)
    emit([Report(views, explained.manifest(trace), explained.arrays())], out)
