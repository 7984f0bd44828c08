"""`attnviz image`: the attention of a vision model, over its image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from attnviz.cli.emit import Report, check_outputs, emit, wants_data
from attnviz.cli.options import OutputOptions, spread
from attnviz.selection import parse_selection

app = typer.Typer(add_completion=False)


@app.command()
@spread
def image(
    ctx: typer.Context,
    out: OutputOptions,
    file: Annotated[Path, typer.Argument(help="PNG, JPEG, GIF, …", metavar="FILE")],
    model: Annotated[str, typer.Option("-m", "--model", help="A vision model")] = "digits",
    select: Annotated[
        list[str] | None,
        typer.Option("-s", "--select", help="Layers and heads: L1, L0.H2. Repeatable."),
    ] = None,
) -> None:
    """Cut an image into patches and show where the class token looks, head by head; and beside
    it which pixels the answer hangs on, so that the two kinds of map can be told apart.

    attnviz image samples/digits/3.png
    """
    check_outputs(out)
    from attnviz.analysis.saliency import gradient
    from attnviz.models import load_model
    from attnviz.models.images import patch_grid
    from attnviz.models.vision import class_logit, see
    from attnviz.views.image import image_views

    selection = parse_selection(select or ())
    loaded = load_model(model)
    seen = see(loaded, file, select=selection, fingerprint=wants_data(out))
    selection.check(list(seen.trace))
    label = int(seen.probabilities.argmax())
    exact = load_model(model, {"dtype": "float64"})
    slopes = abs(gradient(class_logit(exact, label), seen.pixels.values))
    assert loaded.image is not None
    views = image_views(
        seen.trace,
        selection,
        seen.pixels.values,
        patch_grid(loaded.image),
        seen.probabilities,
        slopes,
    )
    trace = replace(seen.trace, command=("attnviz", *ctx.obj))
    answer = {
        "label": loaded.labels[label],
        "probabilities": [float(p) for p in seen.probabilities],
        "notes": list(seen.pixels.notes),
    }
    arrays = {
        **trace.arrays(),
        "image": seen.pixels.values,
        "saliency": slopes,
    }
    emit([Report(views, {**trace.manifest(), "answer": answer}, arrays)], out)
