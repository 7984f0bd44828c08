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
from attnviz.language import say

if TYPE_CHECKING:
    from attnviz.models.build.verified import Verified
    from attnviz.models.model import Model

ORDER = 140

CHECKPOINT = ("config.json", "adapter_config.json", "modules.json")
"""A folder with one of these is a model; others are looked through."""

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
    card: Annotated[
        bool,
        typer.Option("--card", help="All of a model: data, recipe, figures, limits, parts"),
    ] = False,
    download: Download = False,
) -> None:
    """List the packaged models and the checkpoints on this machine, or describe one model.

    attnviz models
    attnviz models tagger
    attnviz models tagger --card
    attnviz models FOLDER --tokens 4096
    """
    from attnviz.errors import AttnvizError
    from attnviz.models import is_packaged

    if name == "":
        raise AttnvizError("there is no name", "attnviz models tagger")
    is_folder = name is not None and not is_packaged(name) and Path(name).is_dir()
    if name is None or (is_folder and not any((Path(name) / file).exists() for file in CHECKPOINT)):
        emit([_list(None if name is None else Path(name))], out)
    else:
        whole = card or bool(out.output)
        emit([_describe(name, tokens, download, whole)], out)


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


def _describe(name: str, tokens: int | None, download: bool, whole: bool) -> Report:
    from attnviz.analysis.layers import layer_groups
    from attnviz.analysis.parameters import count_parameters
    from attnviz.models import PACKAGED, is_packaged
    from attnviz.models.build.families import family_name
    from attnviz.models.build.verified import verified
    from attnviz.models.run.memory import lengths_to_plan, plan_run
    from attnviz.models.sources.card import read_card
    from attnviz.views.models import About, model_views, summary_view

    model = load_named(name, download)
    card = read_card(PACKAGED / name if is_packaged(name) else Path(name))
    components = count_parameters(model.transformer)
    groups = layer_groups(model.transformer.sites())
    memory = [
        (n, plan_run(model, _streams(model, n), ("weights",)).n_byte)
        for n in ([tokens] if tokens else lengths_to_plan(model))
    ]
    proof = verified().get(family_name(str(model.shape.get("family", ""))))
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
    about = About(
        name=name,
        facts=_facts(model, proof, is_packaged(name)),
        notes=model.notes,
        card=card,
        groups=groups,
        memory=memory,
        components=components,
        total=model.n_parameter,
        commands=_commands(model),
    )
    return Report(model_views(about) if whole else [summary_view(about)], manifest, {})


def _streams(model: Model, n: int) -> dict[str, range]:
    """What is read of a text, and written, of so many tokens; a sound has as many as ever."""
    n_source = n if model.sound is None else model.sound.model_input.n_position
    return {"source": range(n_source), "target": range(n)}


def _commands(model: Model) -> list[str]:
    """What a model can be asked."""
    if model.image is not None:
        return ["image FILE.png"]
    if model.sound is not None:
        return ["decode FILE.wav", "run FILE.wav", "heads FILE.wav"]
    if not model.transformer.sites():
        return ["run TEXT"]
    if model.task == "span":
        return ["run QUESTION --pair TEXT", "heads TEXT", "ablate QUESTION --pair TEXT"]
    if model.task == "embed":
        return ["run TEXT TEXT", "heads TEXT", "ablate TEXT"]
    first = "decode" if model.task == "continue" else "run"
    chat = "--chat " if model.chat is not None else ""
    return [f"{first} {chat}TEXT", f"heads {chat}TEXT", f"ablate {chat}TEXT"]


def _answers(model: Model) -> str:
    """What the output of a model says of a text; empty where nothing is known."""
    if model.image is not None or model.sound is not None:
        return ""
    labels = ", ".join(model.labels[:MAX_LABELS]) + " …" * (len(model.labels) > MAX_LABELS)
    said = {
        "classify": say("numbers for the text: {labels}", labels=labels)
        if model.problem == "number"
        else say("labels of the text: {labels}", labels=labels),
        "tag": say("labels of tokens: {labels}", labels=labels),
        "span": say("the span of a text that answers a question"),
        "continue": say("the next token"),
        "fill": say("masked tokens"),
        "embed": say("a vector of the text: the cosine of two, the nearest of several"),
    }
    return said.get(model.task, "")


MAX_LABELS = 9
"""How many labels of a model are named."""


def _facts(model: Model, proof: Verified | None, packaged: bool) -> list[tuple[str, str]]:
    """What is known of a model, term by term."""
    from attnviz.models.run.forward import describe
    from attnviz.trace.record import Trace
    from attnviz.views.attention import model_line
    from attnviz.views.numbers import in_bytes

    proven = say("by the tests of the packaged models") if packaged else say("no")
    at_most = say("at most {n} tokens", n=model.max_tokens)
    reads = at_most if model.max_tokens else say("any length")
    if model.sound is not None:
        reads = say(
            "{seconds:g} s of sound in {n_mel} bands; {at_most} of text",
            seconds=model.sound.seconds,
            n_mel=model.sound.model_input.n_mel,
            at_most=at_most,
        )
    disk = say("{n:,} parameters, {size} on disk", n=model.n_parameter, size=in_bytes(model.n_disk))
    facts = [
        (say("model"), model_line(Trace(describe(model, False, 0), {}, ()))),
        (say("family"), str(model.shape.get("family", say("random weights")))),
        (say("verified"), proof.summary if proof else proven),
        (say("answers"), "" if packaged else _answers(model)),
        (say("positions"), str(model.shape.get("positions", say("none")))),
        (say("reads"), reads),
        (say("size"), disk if model.n_disk else say("{n:,} parameters", n=model.n_parameter)),
    ]
    return [(term, text) for term, text in facts if text]
