"""List the models that are here, or describe one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnviz.cli.command import Command
from attnviz.cli.emit import Report, emit, talk
from attnviz.cli.loading import load_named
from attnviz.cli.options import Download, OutputOptions
from attnviz.cli.spread import spread

if TYPE_CHECKING:
    from attnviz.models.build.verified import Verified
    from attnviz.models.model import Model

ORDER = 140

app = typer.Typer(add_completion=False)


@app.command(cls=Command)
@spread
def models(
    out: OutputOptions,
    name: Annotated[
        str | None,
        typer.Argument(help="A model, or a folder to look for models in", show_default=False),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("-n", "--tokens", min=1, help="Say how much memory so many tokens need"),
    ] = None,
    download: Download = False,
) -> None:
    """List the packaged models and the checkpoints on this machine, or describe one model.

    attnviz models
    attnviz models tagger
    attnviz models FOLDER --tokens 4096
    """
    from attnviz.errors import AttnvizError
    from attnviz.models import is_packaged

    if name == "":
        raise AttnvizError("there is no name", "attnviz models tagger")
    is_folder = name is not None and not is_packaged(name) and Path(name).is_dir()
    if name is None or (is_folder and not (Path(name) / "config.json").exists()):
        emit([_list(None if name is None else Path(name))], out)
    else:
        emit([_describe(name, tokens, download)], out)


def _list(folder: Path | None) -> Report:
    from attnviz.models.sources.catalogue import cached_entries, entries_below, packaged_entries
    from attnviz.views.models import catalogue_views

    packaged = packaged_entries() if folder is None else []
    checkpoints = cached_entries() if folder is None else entries_below(folder, talk)
    looked_in = ("Hugging Face's cache",) if folder is None else (str(folder),)
    manifest: dict[str, Any] = {
        "format": "attnviz-models",
        "version": 1,
        "packaged": [{"name": entry.name, "card": entry.card} for entry in packaged],
        "found": [
            {"name": e.name, "family": e.family, "supported": e.supported} for e in checkpoints
        ],
    }
    views = catalogue_views(
        [(entry.name, entry.card or {}) for entry in packaged],
        [(entry.name, entry.family, entry.supported) for entry in checkpoints],
        looked_in,
    )
    return Report(views, manifest, {})


def _describe(name: str, tokens: int | None, download: bool) -> Report:
    from attnviz.analysis.layers import layer_groups
    from attnviz.analysis.parameters import count_parameters
    from attnviz.models import PACKAGED, is_packaged
    from attnviz.models.build.verified import verified
    from attnviz.models.run.memory import lengths_to_plan, plan_run
    from attnviz.models.sources.card import read_card
    from attnviz.views.models import model_views

    model = load_named(name, download)
    card = read_card(PACKAGED / name if is_packaged(name) else Path(name))
    components = count_parameters(model.transformer)
    groups = layer_groups(model.transformer.sites())
    memory = [
        (n, plan_run(model, dict.fromkeys(("source", "target"), range(n)), ("weights",)).n_byte)
        for n in ([tokens] if tokens else lengths_to_plan(model))
    ]
    proof = verified().get(str(model.shape.get("family", "")))
    manifest = {
        "format": "attnviz-model-card",
        "version": 1,
        "name": model.name,
        "kind": model.kind,
        "n_parameter": model.n_parameter,
        "n_disk": model.n_disk,
        "shape": dict(model.shape),
        "verified": {"of": "tiny checkpoints of its family", **proof._asdict()} if proof else None,
        "max_tokens": model.max_tokens,
        "attention": [group._asdict() for group in groups],
        "memory": [{"tokens": n, "bytes": n_byte} for n, n_byte in memory],
        "card": card,
        "parts": [component._asdict() for component in components],
    }
    facts = _facts(model, proof, is_packaged(name))
    views = model_views(facts, model.notes, card, groups, memory, components, model.n_parameter)
    return Report(views, manifest, {})


def _facts(model: Model, proof: Verified | None, packaged: bool) -> list[tuple[str, str]]:
    """What is known of a model, term by term."""
    from attnviz.views.numbers import in_bytes

    proven = "by the tests of the packaged models" if packaged else "no"
    facts = [
        ("model", f"{model.name}, {model.kind}"),
        ("family", str(model.shape.get("family", "random weights"))),
        ("verified", proof.summary if proof else proven),
        ("positions", str(model.shape.get("positions", "none"))),
        ("reads", f"at most {model.max_tokens} tokens" if model.max_tokens else "any length"),
        ("on disk", in_bytes(model.n_disk) if model.n_disk else ""),
    ]
    return [(term, text) for term, text in facts if text]
