"""Put scoring functions or masks side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.loading import load
from attnviz.cli.options import OutputOptions, SelectedHead, StackOptions, TextInput
from attnviz.cli.spread import spread, whole_numbers
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.nn.scores import Score
    from attnviz.nn.types import Array

ORDER = 40

app = typer.Typer(add_completion=False)

WIDTHS = "4,16,64,256"
SEED = 0


@app.command(cls=Command)
@spread
def compare(
    selected: SelectedHead,
    stack: StackOptions,
    out: OutputOptions,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Scores ({scores}) or masks (none, {masks}, also joined by +), two or more."
        ),
    ],
    text: Annotated[str, typer.Option(help="The text")] = "I saw a saw",
    widths: Annotated[
        str, typer.Option(help="Widths d_k at which the scores are compared; none for none")
    ] = WIDTHS,
) -> None:
    """Put scoring functions side by side on the same text, or masks.

    attnviz compare additive dot scaled_dot
    attnviz compare causal window:size=3
    """
    if len(names) < 2:
        raise AttnvizError("there is nothing to compare", "name two or more")
    from attnviz.analysis.comparison import compare_masks, compare_scores, sharpness_by_width
    from attnviz.cli.inputs import first_head, read_inputs, record
    from attnviz.nn import masks
    from attnviz.nn.scores import SCORES
    from attnviz.views.comparison import comparison_views, sharpness_views

    scores = what_is_compared(names) == "scores"
    (given,) = read_inputs([text], None)
    model = load(stack)
    selection = selected.selection
    stages = ("q", "k", "v", "weights")
    trace = record(model, given, TextInput(), stages, selection, fingerprint=out.wants_data)
    chosen, head = first_head(trace, selection)
    q, k, v = (chosen.stage(stage) for stage in ("q", "k", "v"))
    views: list[Any] = []
    if scores:
        d_k = q.shape[-1]
        mask = masks.custom(chosen.stage("mask")) if chosen.site.mask else masks.NONE
        variants = compare_scores(q, k, v, mask, {name: seeded_score(name, d_k) for name in names})
    else:
        named = {name: masks.parse(name) for name in names}
        variants = compare_masks(q, k, v, SCORES["scaled_dot"].function, named)
    views += comparison_views(trace, chosen, head, variants, with_scores=scores)
    arrays = {f"{v.name}/{s}": getattr(v, s) for v in variants for s in ("scores", "weights")}
    manifest: dict[str, Any] = {
        "format": "attnviz-comparison",
        "version": 1,
        "model": dict(trace.model),
        "record": chosen.id,
        "tokens": list(trace.streams[chosen.queries].tokens),
        "variants": [
            {"name": v.name, "entropy": v.entropy, "most": v.most, "largest": v.largest}
            for v in variants
        ],
    }
    if scores and widths != "none":
        found = sharpness_by_width(seeded_score, names, _widths(widths), SEED)
        views += sharpness_views(found)
        manifest["widths"] = [vars(each) for each in found]
    emit([Report(views, manifest, arrays)], out)


def what_is_compared(names: list[str]) -> str:
    """`scores` or `masks`, whichever all names belong to."""
    from attnviz.nn.masks import MASKS
    from attnviz.nn.scores import SCORES
    from attnviz.registry import nearest

    heads = [[part.partition(":")[0] for part in name.split("+")] for name in names]
    if all(len(parts) == 1 and parts[0] in SCORES for parts in heads):
        return "scores"
    if all(part in MASKS or part == "none" for parts in heads for part in parts):
        return "masks"
    known = [*SCORES, "none", *MASKS]
    for parts in heads:
        for part in parts:
            if part not in known:
                hint = "a text goes behind --text" if " " in part else nearest(part, known)
                raise AttnvizError(f"unknown score or mask: {part!r}", hint)
    raise AttnvizError(
        "scores and masks cannot be compared with each other",
        "attnviz compare additive dot, or attnviz compare causal window:size=3",
    )


def seeded_score(spec: str, d_k: int) -> Score:
    """A scoring function; its learned arrays, if it has any, are drawn from a fixed seed."""
    from attnviz.models.build.stack_parts import build_score
    from attnviz.nn.seeded import normal

    def draw(key: str, shape: tuple[int, ...]) -> Array:
        return normal(shape, SEED, key, d_k) / math.sqrt(shape[-1])

    return build_score(spec, d_k, draw)[1]


def _widths(text: str) -> list[int]:
    widths = whole_numbers("widths", text)
    if any(not 0 < width <= 4096 for width in widths):
        raise AttnvizError(
            f"--widths: expected widths from 1 to 4096, got {text}", "--widths 4,16,64,256"
        )
    return widths
