"""`attnviz diagnose --model`: a dump of one's own port of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attnviz.cli.emit import Report
from attnviz.cli.options import MODEL, group
from attnviz.cli.progress import progress
from attnviz.cli.spread import whole_numbers
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.diagnosis import Diagnosis
    from attnviz.analysis.diagnose.port import PortDiagnosis
    from attnviz.nn.types import Array
    from attnviz.views.kinds import View

PORT = "A port of a checkpoint"


@group
class PortOptions:
    """A dump of a whole model, beside the checkpoint that it is a port of."""

    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help=f"The checkpoint: {MODEL[0].lower()}{MODEL[1:]}. Then the dump holds hidden "
            "states, attentions, q, k, v of its layers",
            rich_help_panel=PORT,
        ),
    ] = None
    dump: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="The same as DUMP; `attnviz probe` makes it", rich_help_panel=PORT
        ),
    ] = None
    ids: Annotated[
        str | None,
        typer.Option(
            help="The tokens that were read (default: `input_ids` of the dump)",
            rich_help_panel=PORT,
        ),
    ] = None
    text: Annotated[
        str | None, typer.Option(help="The text that was read, instead", rich_help_panel=PORT)
    ] = None
    item: Annotated[
        int, typer.Option(min=0, help="Of the batch, counted from 0", rich_help_panel=PORT)
    ] = 0

    def check(self) -> None:
        """Raise AttnvizError for an option that only goes with a model."""
        for name in ("ids", "text"):
            if getattr(self, name) is not None:
                raise AttnvizError(f"--{name} is what a model read", f"--model FOLDER --{name} …")


def port_report(options: PortOptions, files: Sequence[Path]) -> tuple[Report, bool]:
    """What is found of a port, and whether it matches.

    Raises:
        AttnvizError: no such model or file; a dump without stages or tokens.
    """
    from attnviz.analysis.diagnose.port import diagnose_port
    from attnviz.cli.loading import load_named
    from attnviz.views.port import port_views

    if not files:
        raise AttnvizError(
            "there is no dump of the port",
            "--dump dump.npz; `attnviz probe transformers` prints the lines that make one",
        )
    arrays = _read(files)
    model = load_named(options.model)
    with progress("blocks") as bar:
        found = diagnose_port(
            model,
            arrays,
            ids=None if options.ids is None else whole_numbers("ids", options.ids),
            text=options.text,
            item=options.item,
            progress=bar,
        )
    within = _within(found)
    views: list[View] = port_views(found, explained=within is not None)
    manifest = {"format": "attnviz-port", "version": 1, **found.manifest()}
    if within is not None:
        views = [views[0], *_cause_views(within), *views[1:]]
        attention = within.manifest()
        manifest |= {"causes": attention["causes"], "attention": attention}
    return Report(views, manifest, {}), found.verdict == "match"


def _cause_views(within: Diagnosis) -> list[View]:
    """The diagnosis of the attention without its verdict: that of the port stands above it."""
    from attnviz.views.diagnosis import diagnosis_views
    from attnviz.views.kinds import Text

    first, *rest = diagnosis_views(within)
    return [Text(first.lines[1:]) if isinstance(first, Text) else first, *rest]


def _read(files: Sequence[Path]) -> dict[str, Array]:
    from attnviz.trace.projections import read_arrays

    arrays: dict[str, Array] = {}
    for file in files:
        arrays |= read_arrays(file)[1]
    return arrays


def _within(found: PortDiagnosis) -> Diagnosis | None:
    """The diagnosis of the attention that deviates, where one mistake in it explains what is
    found, and no mistake outside it does."""
    if found.case is None:
        return None
    from attnviz.analysis.diagnose.diagnosis import diagnose

    within = diagnose([found.case])
    causes: Mapping[str, bool] = {cause.id: cause.explains for cause in within.causes}
    ids = {cause.id for cause in found.causes}
    if not any(causes.values()) or (ids and not ids & set(causes)):
        return None
    return within
