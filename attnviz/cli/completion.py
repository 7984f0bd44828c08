"""What the Tab key offers as the value of an option or an argument. No NumPy where that can be
avoided: somebody waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from attnviz.files import DATA_FORMATS

Offer = Callable[[Any, str], Iterable[str]]
"""The context and what was typed so far -> what it may become."""

LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "layers")
HEAD_KEYS = ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads", "heads")
MOST = 256
"""Layers, or heads of one, that are offered."""


def _models(context: Any, typed: str) -> Iterable[str]:
    from attnviz.models import RANDOM, packaged
    from attnviz.models.sources.hub import cached

    yield from (*packaged(), RANDOM)
    yield from (str(name) for name, _ in cached())


def _heads(context: Any, typed: str) -> Iterable[str]:
    """L0, L1, …; after `L1.` its heads; after a comma another one."""
    n_layer, n_head = _shape(context.params.get("model"))
    before, comma, last = typed.rpartition(",")
    layer, dot, _ = last.partition(".")
    names = (
        [f"{layer}.H{head}" for head in range(n_head)]
        if dot
        else [f"L{number}" for number in range(n_layer)]
    )
    yield from (f"{before}{comma}{name}" for name in names)


def _shape(model: str | None) -> tuple[int, int]:
    """Layers and heads of a model, by its config.json; of the default stack where it has none."""
    from pathlib import Path

    from attnviz.models import DEFAULT, PACKAGED, hub_name, is_packaged

    name = model or DEFAULT
    folder = PACKAGED / name if is_packaged(name) else Path(name)
    if not folder.is_dir() and (on_hub := hub_name(name)) is not None:
        folder = next(iter(sorted((on_hub.folder / "snapshots").glob("*"))), folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = config.get("stack", config)
        layers = next((config[key] for key in LAYER_KEYS if key in config), 2)
        heads = next((config[key] for key in HEAD_KEYS if key in config), 4)
        return min(int(layers), MOST), min(int(heads), MOST)
    except (OSError, ValueError, TypeError, AttributeError):  # no such model: the default stack
        return 2, 4


def _masks(context: Any, typed: str) -> Iterable[str]:
    """Masks may be joined by +."""
    from attnviz.cli.command import with_names

    before, plus, _ = typed.rpartition("+")
    names = ("none", *with_names("{masks}").replace("…", "").split(", "))
    yield from (f"{before}{plus}{name}" for name in names)


def _registered(what: str) -> Offer:
    """The names of a registry."""

    def offer(context: Any, typed: str) -> Iterable[str]:
        from attnviz.cli.command import with_names

        return with_names(f"{{{what}}}").replace("…", "").split(", ")

    return offer


def _compared(context: Any, typed: str) -> Iterable[str]:
    yield from _registered("scores")(context, typed)
    yield from _masks(context, typed)


def _lessons(context: Any, typed: str) -> Iterable[str]:
    from attnviz.lessons import LESSONS

    yield from (*LESSONS, "all")


def _files(context: Any, typed: str) -> Iterable[str]:
    """A name with each suffix that is known, once there is a name."""
    from attnviz.render import FORMATS

    stem, dot, _ = typed.rpartition(".")
    if dot and stem:
        yield from (f"{stem}{suffix}" for suffix in (*DATA_FORMATS, *FORMATS))


def _metrics(context: Any, typed: str) -> Iterable[str]:
    from attnviz.analysis.metrics import METRICS

    minus = "-" if typed.startswith("-") else ""
    before, comma, _ = typed.rpartition(",")
    yield from (f"{before}{comma}{minus}{name}" for name in METRICS)


def _among(*names: str) -> Offer:
    return lambda context, typed: names


OFFERS: dict[str, Offer] = {
    "activation": _registered("activations"),
    "background": _among("auto", "dark", "light"),
    "by": _among("effect", "importance"),
    "cache": _among("contiguous", "paged", "none"),
    "color": _among("auto", "always", "never"),
    "columns": _metrics,
    "dtype": _among("float32", "float64"),
    "keep": _among("all", "q", "k", "v", "scores", "logits", "mask", "weights", "context"),
    "lang": _among("en", "zh"),
    "map_": _metrics,
    "mask": _masks,
    "method": _among("rollout", "contributions"),
    "model": _models,
    "names": _compared,
    "nan": _among("broken", "masked"),
    "norm": _among("layer", "rms", "batch", "none"),
    "norm_place": _among("post", "pre"),
    "order": _among("like", "layer"),
    "output": _files,
    "positions": _registered("position schemes"),
    "scale": _among("auto", "all", "row", "head", "root", "log"),
    "scheme": _registered("position schemes"),
    "score": _registered("scores"),
    "select": _heads,
    "sort": _metrics,
    "stage": _among("weights", "scores", "logits"),
    "where": _metrics,
    "without": _heads,
}
"""Name of a parameter -> what is offered for it."""

OF_COMMAND: dict[tuple[str, str], Offer] = {
    ("learn", "name"): _lessons,
    ("models", "name"): _models,
    ("ablate", "kind"): _among("zero", "mean", "uniform"),
    ("run", "kind"): _among("encoder", "decoder", "encoder-decoder"),
}
"""The same for names that mean different things in different commands."""


def add_completion(command: Any) -> None:
    """Let the parameters of a command offer their values to the shell."""
    for parameter in command.params:
        offer = OF_COMMAND.get((command.name, parameter.name)) or OFFERS.get(parameter.name)
        if offer is not None:
            parameter.shell_complete = _completer(offer)


def _completer(offer: Offer) -> Callable[[Any, str], list[Any]]:
    def complete(context: Any, typed: str) -> list[Any]:
        from typer.core import CompletionItem  # type: ignore[attr-defined]

        values = dict.fromkeys(offer(context, typed))
        return [CompletionItem(value) for value in values if value.startswith(typed)]

    return complete
