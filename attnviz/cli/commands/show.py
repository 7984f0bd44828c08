"""Draw a saved trace, or your own arrays of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import emit, trace_report
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import as_shown, load_file
from attnviz.cli.options import FileInput, LongInputs, ShowOptions, Zoomed
from attnviz.cli.spread import one_of, spread

ORDER = 120

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def show(
    plain: FileInput,
    look: ShowOptions,
    zoomed: Zoomed,
    long: LongInputs,
    out: FigureOptions,
    file: Annotated[
        Path, typer.Argument(help="A trace, or a .npy .npz .safetensors .json of weights.")
    ],
    mask: Annotated[
        str | None,
        typer.Option(
            help="Plain files: {masks}, joined by +; or a file: True or 1 = visible, or 0 and -inf"
        ),
    ] = None,
) -> None:
    """Draw a trace that was saved, or your own attention weights.

    The last two axes of plain arrays are queries and keys, before them heads, before them layers.

    attnviz show trace.npz -s L1.H3
    attnviz show weights.npy --tokens "I saw a saw" -o weights.png
    attnviz show weights.npy --mask causal
    """
    from attnviz.analysis.summaries import plan_summary
    from attnviz.cli.masks import mask_of
    from attnviz.views.attention import SCALES, attention_views
    from attnviz.views.figure import head_pictures

    rules = None if mask is None else mask_of(mask)
    kept = plan_summary(zoomed.zoom)
    trace = as_shown(load_file(file, plain, rules, long.budget, kept, look.selection), look)
    by: Any = one_of("scale", look.scale, SCALES)
    views = attention_views(
        trace,
        look.selection,
        top=look.heads(out),
        stage=look.stage,
        by=by,
        stats=look.stats,
        every_head=out.has_page,
        zoom=zoomed.zoom,
    )
    drawn = (
        ()
        if out.plot is None
        else head_pictures(trace, look.selection, look.stage, by, zoomed.zoom)
    )
    emit([trace_report(trace, views, drawn)], out)
