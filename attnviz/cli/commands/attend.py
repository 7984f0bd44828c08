"""Attention of your own q, k and v: scores, mask, weights, context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import emit, trace_report
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.inputs import as_shown, first_head, token_words
from attnviz.cli.options import LongInputs, LookOptions, Stats, Zoomed, group
from attnviz.cli.spread import one_of, spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.analysis.given import Match
    from attnviz.nn.types import Array
    from attnviz.trace.attended import How
    from attnviz.trace.projections import Reading
    from attnviz.trace.record import Trace
    from attnviz.trace.spans import Zoom
    from attnviz.views.kinds import View

ORDER = 115

app = typer.Typer(add_completion=False)

FAILED = 1

ALIGNMENTS = ("lower_right", "upper_left")

HOW = "The attention"
ARRAYS = "The arrays"


@group
class AttendLook(LookOptions):
    """What of the attention is shown."""

    stats: Stats = False


@group
class AttentionOptions:
    """How q, k and v are put together."""

    mask: Annotated[
        str | None,
        typer.Option(
            help="{masks}; a file or an array of this one: True or 1 = visible, or 0 and -inf; "
            "joined by + (default: the file's own `mask`, if it has one)",
            rich_help_panel=HOW,
        ),
    ] = None
    causal: Annotated[
        bool, typer.Option("--causal", help="The same as --mask causal", rich_help_panel=HOW)
    ] = False
    align: Annotated[
        str,
        typer.Option(
            help="Where there are more keys than queries, the last of both stand together "
            "(lower_right) or the first (upper_left)",
            rich_help_panel=HOW,
        ),
    ] = "lower_right"
    window: Annotated[
        int | None,
        typer.Option(help="Only keys less than so many positions away", rich_help_panel=HOW),
    ] = None
    score: Annotated[
        str, typer.Option(help="{scores}, as gaussian:sigma=2", rich_help_panel=HOW)
    ] = "scaled_dot"
    scale: Annotated[
        str | None,
        typer.Option(
            help="What q · k is multiplied by: 0.125, 1/8 (default: 1/√d_k); or of the colours: "
            "all, row, head, log",
            rich_help_panel=HOW,
        ),
    ] = None
    softcap: Annotated[
        float | None, typer.Option(help="c · tanh(score / c)", rich_help_panel=HOW)
    ] = None
    bias: Annotated[
        str | None,
        typer.Option(
            help="A file, or an array of this one, that is added to the scores (default: the "
            "file's own `bias`, if it has one)",
            rich_help_panel=HOW,
        ),
    ] = None

    def how(self, arrays: Mapping[str, Array]) -> How:
        """The options as the computation takes them."""
        from attnviz.cli.masks import mask_of
        from attnviz.nn.masks import CAUSAL, NONE, parse
        from attnviz.trace.attended import How
        from attnviz.views.attention import SCALES

        rules = mask_of(self.mask, arrays) if self.mask else NONE
        rules = (CAUSAL if self.causal else NONE) + rules
        if self.window is not None:
            rules += parse(f"window:size={self.window}")
        return How(
            score=self.score,
            scale=None if self.scale is None or self.scale in SCALES else _factor(self.scale),
            mask=rules,
            own_mask=self.mask is None,
            alignment=one_of("align", self.align, ALIGNMENTS),
            softcap=self.softcap,
            bias=None if self.bias is None else _bias(self.bias, arrays),
        )


@group
class ArrayOptions:
    """What the arrays of the file are."""

    layout: Annotated[
        str | None,
        typer.Option(
            help="A letter an axis, as bhnd or bnhd: l layer, b batch, h head, n token, d width",
            rich_help_panel=ARRAYS,
        ),
    ] = None
    heads: Annotated[
        int | None,
        typer.Option(
            help="Heads of q, where they lie side by side in its width", rich_help_panel=ARRAYS
        ),
    ] = None
    batch: Annotated[
        str | None,
        typer.Option(help="The batch axis: 0; or 0:3 for its item 3", rich_help_panel=ARRAYS),
    ] = None
    arrays: Annotated[
        str | None, typer.Option(help="The names of q, k and v: A,B,C", rich_help_panel=ARRAYS)
    ] = None
    tokens: Annotated[
        str | None,
        typer.Option(
            help="Of the queries: words between spaces, or a file with one a line",
            rich_help_panel=ARRAYS,
        ),
    ] = None
    key_tokens: Annotated[
        str | None,
        typer.Option(help="Of the keys, where they are others", rich_help_panel=ARRAYS),
    ] = None


@app.command(cls=Command)
@spread
def attend(
    ctx: typer.Context,
    look: AttendLook,
    attention: AttentionOptions,
    arrays: ArrayOptions,
    zoomed: Zoomed,
    long: LongInputs,
    out: FigureOptions,
    file: Annotated[
        Path,
        typer.Argument(help="A .npz .safetensors .json of q, k and v, or a folder of .npy files"),
    ],
    steps: Annotated[
        bool, typer.Option("--steps", help="Walk through one head: q, k, v, … context")
    ] = False,
) -> None:
    """Attention of your own q, k and v: scores, mask, weights, context.

    Weights, scores or outputs that the file has too are compared with what its q, k and v give;
    exit code 1 if they are not the same.

    attnviz attend qkv.npz --causal
    attnviz attend qkv.npz --causal -s L0.H1 --steps
    attnviz attend qkv.npz --layout bnhd -o trace.npz
    """
    from attnviz.analysis.summaries import plan_summary
    from attnviz.trace.attended import trace_of_reading
    from attnviz.trace.projections import Axes, read_arrays, read_projections

    content = read_arrays(file)[1]
    names = tuple(each.strip() for each in (arrays.arrays or "").split(",") if each.strip())
    axes = Axes(arrays.layout, arrays.batch, arrays.heads, names)
    queries = token_words("tokens", arrays.tokens)
    keys = token_words("key-tokens", arrays.key_tokens)
    reading = read_projections(file, content, axes, queries=queries, keys=keys)
    how = attention.how(content)
    trace = trace_of_reading(
        *(file, reading, how, queries, keys),
        memory=long.budget,
        summaries=plan_summary(zoomed.zoom),
        select=look.selection,
    )
    trace = as_shown(replace(trace, command=("attnviz", *ctx.obj)), look)
    found, compared = _compared(file, trace, reading, how)
    views, drawn = _views(trace, look, zoomed.zoom, out, attention.scale, steps)
    report = trace_report(trace, [*views, *compared], drawn)
    matches = [match.manifest() for match in found]
    manifest = {**report.manifest, **({"compared": matches} if matches else {})}
    emit([report._replace(manifest=manifest)], out)
    if not all(match.holds for match in found):
        raise typer.Exit(FAILED)


def _views(
    trace: Trace,
    look: AttendLook,
    zoom: Zoom,
    out: FigureOptions,
    scale: str | None,
    steps: bool,
) -> tuple[Sequence[View], Sequence[View]]:
    """What is shown, and what is drawn as a figure."""
    from attnviz.views.attention import SCALES, attention_views
    from attnviz.views.figure import head_pictures
    from attnviz.views.naming import pictures
    from attnviz.views.steps import step_views

    if steps:
        walk = step_views(trace, *first_head(trace, look.selection))
        return walk, pictures(walk)
    by: Any = scale if scale in SCALES else "auto"
    drawn = () if out.plot is None else head_pictures(trace, look.selection, look.stage, by, zoom)
    views = attention_views(
        trace,
        look.selection,
        top=look.heads(out),
        stage=look.stage,
        by=by,
        stats=look.stats,
        every_head=out.has_page,
        zoom=zoom,
    )
    return views, drawn


def _compared(
    file: Path, trace: Trace, reading: Reading, how: How
) -> tuple[Sequence[Match], list[View]]:
    """What the file has beside q, k and v, next to what these give."""
    from attnviz.analysis.given import matches, remedy
    from attnviz.views.given import match_views

    found = [
        match
        for record, layer in zip(trace, reading.layers, strict=True)
        for match in matches(file, layer, how, record)
    ]
    options = "" if all(match.holds for match in found) else remedy(file, reading, found, how)
    return found, match_views(found, options)


def _factor(text: str) -> float:
    from attnviz.parse import parse_factor

    expected = "--scale: expected a number, or all, row, head or log for the colours"
    return parse_factor(text, expected, "--scale 0.125, or --scale 1/8")


def _bias(name: str, arrays: Mapping[str, Array]) -> Array:
    from attnviz.cli.masks import named_array

    array = named_array(name, arrays)
    if array is None:
        raise AttnvizError(f"--bias {name}: no file and no array of this name", "--bias bias.npy")
    while array.ndim > 3 and len(array) == 1:
        array = array[0]
    return array
