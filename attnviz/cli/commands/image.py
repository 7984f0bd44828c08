"""Show where a vision model looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import run_prepared, usual_summary
from attnviz.cli.loading import load
from attnviz.cli.options import MODEL, LongInputs, ModelInput, Selected, group
from attnviz.cli.progress import progress
from attnviz.cli.spread import spread, whole_numbers
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.tokens import label

if TYPE_CHECKING:
    from attnviz.analysis.patch_maps import Outliers
    from attnviz.models.model import Model
    from attnviz.models.run.prepare import Prepared
    from attnviz.models.vision.images import Pixels
    from attnviz.nn.types import Array
    from attnviz.views.kinds import View

ORDER = 30

app = typer.Typer(add_completion=False)

DEFAULT = "digits"

FEW_NUMBERS = 256
"""Up to so many numbers in an image, the gradient is taken for each."""

AFFORDABLE = 50e9
"""Operations that are done without being asked for: a second or two."""


@group
class VisionInput(ModelInput):
    """A vision model."""

    model: Annotated[
        str | None, typer.Option("-m", "--model", help=f"{MODEL} (default: {DEFAULT})")
    ] = DEFAULT


@app.command(cls=Command)
@spread
def image(
    ctx: typer.Context,
    vision: VisionInput,
    selected: Selected,
    long: LongInputs,
    out: FigureOptions,
    file: Annotated[Path, typer.Argument(help="PNG, JPEG, GIF, …", metavar="FILE")],
    patch: Annotated[
        str,
        typer.Option(help="Where this patch looks, ROW,COLUMN, or [REG0]; not the class token"),
    ] = "",
    text: Annotated[
        list[str] | None,
        typer.Option(help="A text to compare the image with (CLIP); repeat it for a choice"),
    ] = None,
    saliency: Annotated[
        bool | None,
        typer.Option(
            "--saliency/--no-saliency",
            help="What the answer depends on (default: where that is done in a moment)",
        ),
    ] = None,
) -> None:
    """Cut an image into patches and show where the class token looks, head by head; and beside
    it what of the image the answer depends on, so that the two kinds of map can be told apart.

    attnviz image samples/digits/3.png
    attnviz image photo.jpg -m MODEL_FOLDER -s L11
    """
    from attnviz.analysis.patch_maps import outlier_patches
    from attnviz.analysis.saliency import class_probabilities
    from attnviz.models.run.prepare import prepare
    from attnviz.views.image import image_views

    selection = selected.selection
    loaded = load(vision)
    if text:
        from attnviz.models.run.compare import with_texts

        loaded = with_texts(loaded, text)
    elif loaded.vision is not None:
        loaded = loaded.vision.model
    prepared = prepare(
        loaded, image=file, select=selection, memory=long.budget, summaries=usual_summary
    )
    pixels = prepared.pixels
    assert pixels is not None
    query = _query(patch, pixels, prepared)
    prepared = _with_row(prepared, query)
    trace = run_prepared(prepared, logits=True, hidden_states=True, fingerprint=out.wants_data)
    outliers = outlier_patches(trace.hidden_states["encoder"][-1], math.prod(pixels.grid))
    trace = replace(trace, hidden_states={})
    probabilities = class_probabilities(trace)
    reason = _reason(vision.model or DEFAULT, loaded, pixels, probabilities, saliency)
    views = image_views(
        trace,
        selection,
        pixels.shown,
        pixels.grid,
        query=query,
        probabilities=probabilities,
        answer=reason.views,
        covered=_covered(pixels, patch),
        outliers=outliers,
    )
    trace = replace(trace, command=("attnviz", *ctx.obj))
    manifest = trace.manifest()
    answer = {
        **manifest.get("answer", {}),
        **_answer(loaded, probabilities),
        "notes": list(pixels.notes),
        "patches": _patches(pixels, outliers),
    }
    arrays = {**trace.arrays(), "image": pixels.shown}
    if reason.values is not None:
        arrays["saliency"] = reason.values
    emit([Report(views, {**manifest, "answer": answer}, arrays)], out)


class _Reason(NamedTuple):
    """What the answer depends on: to be drawn, and as numbers."""

    views: Sequence[View] = ()
    values: Array | None = None


def _with_row(prepared: Prepared, query: int | None) -> Prepared:
    """The same; where matrices are too large, the weights of this query are kept as they are."""
    import numpy as np

    from attnviz.nn.tile_readers import Block

    plan = prepared.summaries
    if plan is None:
        return prepared
    block = Block(np.array([query or 0]), np.arange(len(prepared.streams["source"])))
    plan = replace(plan, block=lambda _: block)
    return replace(prepared, summaries=plan)


def _covered(pixels: Pixels, patch: str) -> str:
    """Where the patches are in the user's file, and the one that was asked for."""
    from attnviz.views.image import covered_patch_text, covered_text

    window, grid = pixels.window, pixels.grid
    if window is None:
        return ""
    text = covered_text(window[:4], (window.height, window.width), grid)
    if not patch or patch in pixels.first:
        return text
    row, column = whole_numbers("patch", patch)
    return f"{text}; {covered_patch_text(patch, window.cell(row, column, grid)[:4])}"


def _patches(pixels: Pixels, outliers: Outliers) -> dict[str, Any]:
    """The grid, its place in the user's image and its outliers, for programs."""
    _, columns = pixels.grid
    window = None if pixels.window is None else pixels.window._asdict()
    return {
        "grid": list(pixels.grid),
        "size": list(pixels.patch),
        "window": window,
        "outliers": [[i // columns, i % columns] for i in outliers.patches],
    }


def _query(patch: str, pixels: Pixels, prepared: Prepared) -> int | None:
    """The token that is meant by ROW,COLUMN or a name; without them the class token, or None for
    the query that pools the patches. A model that has neither shows the patch in the middle."""
    (rows, columns), names = pixels.grid, pixels.first
    if patch in names:
        return names.index(patch)
    if not patch:
        if any(site.id.kind == "cross" for site in prepared.plan.sites):
            return None
        return 0 if names else (rows // 2) * columns + columns // 2
    cell = whole_numbers("patch", patch)
    if len(cell) != 2 or not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
        raise AttnvizError(
            f"--patch: expected a row below {rows} and a column below {columns}, got {patch!r}",
            f"--patch {rows // 2},{columns // 2}",
        )
    return len(names) + cell[0] * columns + cell[1]


def _reason(
    name: str, model: Model, pixels: Pixels, probabilities: Array | None, wanted: bool | None
) -> _Reason:
    """The gradient by pixel of small images, occlusion by patch of others, if they are cheap or
    asked for."""
    if probabilities is None:
        if wanted:
            raise AttnvizError(
                f"{model.name} has no classifier: there is no answer that could depend on anything",
                "leave out --saliency",
            )
        return _Reason()
    if wanted is False:
        return _Reason()
    best = int(probabilities.argmax())
    answer = label(model.labels[best])
    if pixels.values.size <= FEW_NUMBERS:
        return _slopes(name, pixels, best, answer)
    return _drops(model, pixels, best, answer, asked=wanted is True)


def _slopes(name: str, pixels: Pixels, best: int, answer: str) -> _Reason:
    from attnviz.analysis.saliency import class_logit, gradient
    from attnviz.models import load_model
    from attnviz.views.image import slope_picture

    exact = load_model(name, {"dtype": "float64"})
    slopes = abs(gradient(class_logit(exact.transformer, best), pixels.values)).sum(0)
    return _Reason([slope_picture(pixels.shown, slopes, answer)], slopes)


def _drops(model: Model, pixels: Pixels, best: int, answer: str, asked: bool) -> _Reason:
    from attnviz.analysis.saliency import class_logit, occlusion
    from attnviz.views.image import drop_picture
    from attnviz.views.kinds import Line, Text

    n_token, n_patch = len(pixels.tokens), math.prod(pixels.grid)
    n_operation = n_patch * 2 * model.n_parameter * n_token  # two a parameter, attention aside
    if n_operation > AFFORDABLE and not asked:
        note = say(
            "left out: it takes one pass for each of {n_patch} patches, about "
            "{billions:.0f} billion operations; --saliency asks for it",
            n_patch=n_patch,
            billions=n_operation / 1e9,
        )
        return _Reason([Text((Line(note, say("saliency"), "note"),))])
    with progress("saliency") as bar:
        drops = occlusion(
            class_logit(model.transformer, best),
            pixels.values.astype(model.dtype),
            pixels.patch,
            bar,
        )
    return _Reason([drop_picture(pixels.shown, drops, answer)], drops)


def _answer(model: Model, probabilities: Array | None) -> dict[str, Any]:
    if probabilities is None:
        return {"label": None}
    return {
        "label": model.labels[int(probabilities.argmax())],
        "probabilities": [float(p) for p in probabilities],
    }
