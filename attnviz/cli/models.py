"""`attnviz models`: which models are here, and what one of them is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from attnviz.cli.emit import Report, check_outputs, emit
from attnviz.cli.options import OutputOptions, spread

app = typer.Typer(add_completion=False)


@app.command()
@spread
def models(
    out: OutputOptions,
    name: Annotated[
        str | None,
        typer.Argument(help="A model, or a folder to look for models in", show_default=False),
    ] = None,
) -> None:
    """List the packaged models and the checkpoints on this machine, or describe one model.

    attnviz models
    attnviz models tagger
    """
    check_outputs(out)
    from attnviz.errors import AttnvizError
    from attnviz.models import is_packaged

    if name == "":
        raise AttnvizError("there is no name", "attnviz models tagger")
    is_folder = name is not None and not is_packaged(name) and Path(name).is_dir()
    if name is None or (is_folder and not (Path(name) / "config.json").exists()):
        emit([_list(None if name is None else Path(name))], out)
    else:
        emit([_describe(name)], out)


def _list(folder: Path | None) -> Report:
    from attnviz.models.catalogue import cached_entries, entries_below, packaged_entries
    from attnviz.views.catalogue import catalogue_views

    own = packaged_entries() if folder is None else []
    found = cached_entries() if folder is None else entries_below(folder)
    looked_in = ("Hugging Face's cache",) if folder is None else (str(folder),)
    manifest: dict[str, Any] = {
        "format": "attnviz-models",
        "version": 1,
        "packaged": [{"name": entry.name, "card": entry.card} for entry in own],
        "found": [{"name": e.name, "family": e.family, "supported": e.supported} for e in found],
    }
    views = catalogue_views(
        [(entry.name, entry.card or {}) for entry in own],
        [(entry.name, entry.family, entry.supported) for entry in found],
        looked_in,
    )
    return Report(views, manifest, {})


def _describe(name: str) -> Report:
    from attnviz.analysis.anatomy import anatomy
    from attnviz.models import PACKAGED, is_packaged, load_model
    from attnviz.models.checkpoint import read_card
    from attnviz.views.catalogue import model_views

    model = load_model(name)
    folder = PACKAGED / name if is_packaged(name) else Path(name)
    card = read_card(folder)
    organs = anatomy(model.transformer)
    manifest = {
        "format": "attnviz-model-card",
        "version": 1,
        "name": model.name,
        "kind": model.kind,
        "n_parameter": model.n_parameter,
        "shape": dict(model.shape),
        "card": card,
        "parts": [organ._asdict() for organ in organs],
    }
    views = model_views(model.name, model.kind, card, model.notes, organs, model.n_parameter)
    return Report(views, manifest, {})
