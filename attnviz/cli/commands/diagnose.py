"""Which known mistake explains your output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit
from attnviz.cli.figure_options import FigureOptions
from attnviz.cli.options import group
from attnviz.cli.ports import PortOptions, port_report
from attnviz.cli.progress import progress
from attnviz.cli.spread import one_of, spread
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.case import Request

ORDER = 116

app = typer.Typer(add_completion=False)

DIFFERS = 1

ALIGNMENTS = ("lower_right", "upper_left")

WANTED = "What the attention should be"
ARRAYS = "The arrays"


@group
class WantedOptions:
    """What the attention should compute, where the dump does not say it."""

    spec: Annotated[
        str | None,
        typer.Option(
            help="Whose conventions: {specs} (default: those of `attnviz attend`)",
            rich_help_panel=WANTED,
        ),
    ] = None
    params: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json",
            help="Parameters of --spec: a JSON file, or JSON as it is, '{\"is_causal\": true}'",
            rich_help_panel=WANTED,
        ),
    ] = None
    causal: Annotated[
        bool | None,
        typer.Option("--causal/--no-causal", help="A causal mask", rich_help_panel=WANTED),
    ] = None
    align: Annotated[
        str | None,
        typer.Option(
            help="Among more keys than queries: lower_right (the last of both stand together) or "
            "upper_left (the first)",
            rich_help_panel=WANTED,
        ),
    ] = None
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only keys less than so many positions away",
            rich_help_panel=WANTED,
        ),
    ] = None
    scale: Annotated[
        str | None,
        typer.Option(
            help="What q · k is multiplied by: 0.125, 1/8 (default: 1/√d_k)", rich_help_panel=WANTED
        ),
    ] = None
    softcap: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="X", help="c · tanh(score / c); 0: no cap", rich_help_panel=WANTED
        ),
    ] = None
    d_model: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="The width of the model, where it is not heads times the head width",
            rich_help_panel=WANTED,
        ),
    ] = None


@group
class DumpOptions:
    """What the arrays of the dump are."""

    layout: Annotated[
        str | None,
        typer.Option(
            help="A letter an axis, as bhnd or bnhd: b batch, h head, n token, d width (default: "
            "all that fit are tried)",
            rich_help_panel=ARRAYS,
        ),
    ] = None
    heads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Heads of q, where they lie side by side in its width",
            rich_help_panel=ARRAYS,
        ),
    ] = None
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ARRAY=]TYPE",
            help="What the bits of an array, or of all, stand for: q=bfloat16. Repeatable.",
            rich_help_panel=ARRAYS,
        ),
    ] = None

    def dtypes(self) -> dict[str, str]:
        """Name of an array, or `*` -> type."""
        pairs = [each.rpartition("=") for each in self.dtype or ()]
        return {name or "*": kind for name, _, kind in pairs}


@app.command(cls=Command)
@spread
def diagnose(
    wanted: WantedOptions,
    arrays: DumpOptions,
    port: PortOptions,
    out: FigureOptions,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A .npz or .safetensors, a folder of .npy, or several files: q, k, v, the mask, "
            "and what your code made of them: out, weights, scores",
            metavar="DUMP...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Which known mistake explains the output of your attention.

    The dump's q, k and v are computed anew; where the result is not what the dump holds, the known
    mistakes are tried, alone and two at once. Of several layers, layers.0.q and so on, the first
    that differs is shown. Exit code 1 if it differs.

    attnviz diagnose dump.npz
    attnviz diagnose dump.npz --causal --align upper_left
    attnviz diagnose q.npy k.npy v.npy out.npy --layout bnhd
    attnviz diagnose --model FOLDER --dump dump.npz
    """
    from attnviz.analysis.diagnose.layers import first_that_differs
    from attnviz.trace.dump import read_dumps
    from attnviz.views.diagnosis import diagnosis_picture, diagnosis_views

    paths = [*(files or ()), *(port.dump or ())]
    if port.model is not None:
        report, matches = port_report(port, paths)
        emit([report], out)
        if not matches:
            raise typer.Exit(DIFFERS)
        return
    port.check()
    if not paths:
        raise AttnvizError("there is no dump", "attnviz diagnose dump.npz; attnviz probe makes one")
    dumps = read_dumps(paths, arrays.dtypes())
    with progress("hypotheses") as bar:
        found = first_that_differs(dumps, _request(wanted, arrays), _counted(bar))
    views, picture = diagnosis_views(found), diagnosis_picture(found)
    emit([Report(views, found.manifest(), {}, picture)], out)
    if found.verdict == "differs":
        raise typer.Exit(DIFFERS)


def _request(wanted: WantedOptions, arrays: DumpOptions) -> Request:
    from attnviz.analysis.diagnose.case import Request
    from attnviz.analysis.diagnose.specs import DEFAULT, conventions
    from attnviz.analysis.diagnose.specs.params import read_params
    from attnviz.parse import parse_factor

    scale, spec = wanted.scale, wanted.spec
    params = None if wanted.params is None else read_params(wanted.params)
    if params is not None and spec is None:
        raise AttnvizError("--params: whose they are is not said", "--spec atb, for example")
    if scale is not None:
        factor = parse_factor(scale, "--scale: expected a number", "--scale 0.125, or --scale 1/8")
    return Request(
        layout=arrays.layout,
        n_head=arrays.heads,
        scale=None if scale is None else factor,
        causal=wanted.causal,
        alignment=None if wanted.align is None else one_of("align", wanted.align, ALIGNMENTS),
        window=wanted.window,
        softcap=wanted.softcap,
        d_model=wanted.d_model,
        dtypes=arrays.dtypes(),
        conventions=DEFAULT if spec is None else conventions(spec, params),
    )


def _counted(bar: Callable[[int, int], None] | None) -> Callable[[], None]:
    """What is called after each hypothesis."""
    if bar is None:
        return lambda: None
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        bar(done, 0)

    return step
