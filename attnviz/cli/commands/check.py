"""Test what holds of all attention weights: sums, signs, masks, q · k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.options import OutputOptions, group
from attnviz.cli.spread import one_of, spread

if TYPE_CHECKING:
    from attnviz.analysis.checks import Finding
    from attnviz.analysis.invariants import Tested
    from attnviz.analysis.recomputation import Again
    from attnviz.nn.types import Array
    from attnviz.trace.attended import How
    from attnviz.trace.parts import Part, Stated

ORDER = 117

app = typer.Typer(add_completion=False)

FAILED = 1

ALIGNMENTS = ("lower_right", "upper_left")

STATED = "What the weights should be"
ARRAYS = "The arrays"


@group
class StatedOptions:
    """What is said of the weights and of how they were computed."""

    mask: Annotated[
        str | None,
        typer.Option(
            help="{masks}; a file or an array of this one: True or 1 = visible, or 0 and -inf; "
            "joined by + (default: the file's own)",
            rich_help_panel=STATED,
        ),
    ] = None
    causal: Annotated[
        bool, typer.Option("--causal", help="The same as --mask causal", rich_help_panel=STATED)
    ] = False
    align: Annotated[
        str,
        typer.Option(
            help="Where there are more keys than queries, the last of both stand together "
            "(lower_right) or the first (upper_left)",
            rich_help_panel=STATED,
        ),
    ] = "lower_right"
    true_is: Annotated[
        str,
        typer.Option(
            help="What True means in the file's own mask: visible or hidden", rich_help_panel=STATED
        ),
    ] = "visible"
    sinks: Annotated[
        bool,
        typer.Option(
            "--sinks", help="A sink takes some of each row: sums up to 1", rich_help_panel=STATED
        ),
    ] = False
    scale: Annotated[
        float | None,
        typer.Option(help="What q · k is multiplied by (default: 1/√d_k)", rich_help_panel=STATED),
    ] = None
    softcap: Annotated[
        float | None, typer.Option(help="c · tanh(score / c)", rich_help_panel=STATED)
    ] = None
    nan: Annotated[
        str,
        typer.Option(help="What NaN means: broken or masked", rich_help_panel=STATED),
    ] = "broken"

    def stated(self, arrays: Mapping[str, Array], array: str | None) -> Stated:
        """The options as the tests take them."""
        from attnviz.cli.masks import mask_of
        from attnviz.nn.masks import CAUSAL, NONE
        from attnviz.trace.arrays import NAN
        from attnviz.trace.parts import Stated

        rules = mask_of(self.mask, arrays) if self.mask else NONE
        if self.causal:
            rules = CAUSAL + rules
        return Stated(
            mask=rules if self.mask or self.causal else None,
            alignment=one_of("align", self.align, ALIGNMENTS),
            array=array,
            nan=one_of("nan", self.nan, NAN),
            sinks=self.sinks,
        )

    def how(self, stated: Stated) -> How:
        """The options as the computation from q, k and v takes them."""
        from attnviz.nn.masks import NONE
        from attnviz.trace.attended import How

        return How(
            scale=self.scale,
            softcap=self.softcap,
            mask=stated.mask or NONE,
            own_mask=stated.mask is None,
            alignment=stated.alignment,
        )


class Content(NamedTuple):
    """What is tested."""

    parts: list[Part]
    again: Again


@app.command(cls=Command)
@spread
def check(
    says: StatedOptions,
    out: OutputOptions,
    file: Annotated[
        Path,
        typer.Argument(help="A trace, or .npy .npz .safetensors .json of weights, or a folder"),
    ],
    array: Annotated[
        str | None, typer.Option(help="Which array holds the weights", rich_help_panel=ARRAYS)
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Of q and k, a letter an axis: bhnd, bnhd; l layer, b batch, h head, n token, d "
            "width",
            rich_help_panel=ARRAYS,
        ),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            help="Heads of q, where they lie side by side in its width", rich_help_panel=ARRAYS
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="How many violations are listed")] = 10,
) -> None:
    """Test what holds of all attention weights: sums, signs, masks, q · k.

    Every layer, item of the batch, head and row is tested; how far rounding may take them follows
    from the type. Exit code 0 if all holds, 1 if not.

    attnviz check trace.npz
    attnviz check weights.npy --causal
    attnviz check weights.safetensors --mask mask.npy --sinks --json
    """
    from attnviz.analysis.invariants import hold
    from attnviz.analysis.symptoms import symptoms
    from attnviz.views.invariants import invariant_views, manifest, untested

    content = _content(file, says, array, layout, heads)
    found = hold(content.parts, content.again.matches)
    notes = [*symptoms(content.parts), *_further(file, found)]
    reasons = untested(found, content.parts, content.again.untested)
    views = invariant_views(found, content.parts, notes, reasons, top)
    emit([Report(views, manifest(file.name, found, notes, reasons), {})], out)
    if not all(each.holds for each in found):
        raise typer.Exit(FAILED)


def _further(file: Path, found: Sequence[Tested]) -> Iterator[Finding]:
    """What finds the mistake, where q, k and v give something else."""
    from attnviz.analysis.checks import Finding
    from attnviz.analysis.invariants import AGAIN
    from attnviz.language import say

    if any(each.name.startswith(AGAIN) and not each.holds for each in found):
        text = say("which mistake makes the difference: {command}",
                   command=f"attnviz diagnose {file}")  # fmt: skip
        yield Finding("note", text)


def _content(
    file: Path, says: StatedOptions, array: str | None, layout: str | None, heads: int | None
) -> Content:
    """The weights of a file, and what its q, k and v give."""
    from attnviz.analysis import recomputation
    from attnviz.errors import AttnvizError
    from attnviz.trace.file import trace_in
    from attnviz.trace.names import has_projections
    from attnviz.trace.parts import parts_of_arrays, parts_of_records, with_masks
    from attnviz.trace.projections import Axes, read_arrays

    source, arrays = read_arrays(file)
    true_is = one_of("true-is", says.true_is, ("visible", "hidden"))
    stated = says.stated(arrays, array)
    how = says.how(stated)
    if source is not None:
        trace = trace_in(file, source, arrays)
        parts = list(parts_of_records(trace.records, stated))
        if not parts and any(record.summary is not None for record in trace.records):
            raise AttnvizError(
                f"{file}: of this long input only summaries were kept, and a check reads weights",
                "attnviz run TEXT --memory 8GB -o FILE keeps them",
            )
        if not parts:
            raise AttnvizError(
                f"{file}: the trace kept no weights", "attnviz run TEXT --keep weights -o FILE"
            )
        return Content(parts, recomputation.of_records(file, trace.records, how))
    arrays = with_masks(arrays, true_is)
    parts = list(parts_of_arrays(file, arrays, stated))
    again = recomputation.Again(())
    if has_projections(arrays):
        axes = Axes(layout=layout, n_head=heads)
        again = recomputation.of_arrays(file, arrays, axes, how, says.sinks)
    return Content(parts, again)
