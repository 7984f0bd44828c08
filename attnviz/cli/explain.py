"""`attnviz explain`: every number behind one weight."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from attnviz.cli.emit import Report, check_outputs, emit, wants_data
from attnviz.cli.loading import load
from attnviz.cli.options import OutputOptions, StackOptions, changes, spread, whole_numbers
from attnviz.errors import AttnvizError
from attnviz.trace.selection import parse_selection

app = typer.Typer(add_completion=False)


@app.command()
@spread
def explain(
    stack: StackOptions,
    out: OutputOptions,
    text: Annotated[str, typer.Argument(help="The text; - reads stdin.", show_default=False)] = "",
    cell: Annotated[str, typer.Option(help="QUERY,KEY: positions of two tokens")] = "0,0",
    select: Annotated[str, typer.Option("-s", "--select", help="One head, as L0.H1")] = "L0.H0",
    pair: Annotated[
        str | None, typer.Option(help="A second text, for models that read two.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="What the decoder has so far (default: what it writes)"),
    ] = None,
    ids: Annotated[
        str | None, typer.Option(help="Token ids instead of a text: 101,1045,2387")
    ] = None,
) -> None:
    """Give every number behind one cell: products, scale, bias, mask, softmax, what it moves.

    attnviz explain "I saw a saw" --cell 3,1 -s L0.H1
    """
    import numpy as np

    check_outputs(out)
    places = whole_numbers("cell", cell)
    if len(places) != 2:
        raise AttnvizError(f"--cell: expected QUERY,KEY, got {cell!r}", "--cell 3,1")
    from attnviz.analysis.cell import STAGES, explain_cell
    from attnviz.cli.inputs import first_head, read_inputs, read_pair, record
    from attnviz.views.cell import cell_views

    (given,) = read_inputs([text] if text else None, ids)
    model = load(stack.model, stack.download, changes(stack))
    selection = parse_selection([select])
    trace = record(
        model, given, read_pair(pair, ids), target, STAGES, selection, None, wants_data(out)
    )
    chosen, head = first_head(trace, selection)
    found = explain_cell(chosen, head, *places)
    numbers = asdict(found)
    arrays = {key: value for key, value in numbers.items() if isinstance(value, np.ndarray)}
    manifest = {
        "format": "attnviz-cell",
        "version": 1,
        "model": dict(trace.model),
        "tokens": list(trace.streams[chosen.queries].tokens),
        "key_tokens": list(trace.streams[chosen.keys].tokens),
        **{
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in numbers.items()
            if key not in arrays
        },
    }
    emit([Report(cell_views(trace, chosen, found), manifest, arrays)], out)
