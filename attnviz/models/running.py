"""Text in, trace out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models import DEFAULT, load_model
from attnviz.models.model import Model
from attnviz.nn.attention import MATRICES, Keep
from attnviz.nn.masks import NONE, Mask, custom
from attnviz.nn.multi_head import Site
from attnviz.nn.transformer import Input
from attnviz.nn.types import Array
from attnviz.selection import Selection
from attnviz.tokens import Tokens
from attnviz.trace import Trace, TraceRecorder, read_only

Text = str | Sequence[int]


def run(
    text: Text,
    *,
    pair: Text | None = None,
    target: Text | None = None,
    model: str | Model = DEFAULT,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    hidden_states: bool = False,
    logits: bool = False,
    mask: str | Mask | Array | None = None,
    fingerprint: bool = True,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Trace:
    """Run a model on a text and record its attention.

    Args:
        text: a string, or token ids, which are taken as they are.
        pair: a second text for models that read two; ids follow `text` as the second segment.
        target: what the decoder of an encoder-decoder has so far; by default, the text itself.
        model: a name or path as for `-m`, or a loaded model.
        stages: which stages to keep; the mask is kept with any of them.
        select: keep only these layers.
        hidden_states: keep the residual stream after each block.
        logits: compute the output, where the model has one.
        mask: a name replaces the model's own mask: "causal+window:size=3"; a Mask, or a boolean
            array [n_q, n_k] with True = visible, hides cells besides those that it hides.
        fingerprint: put the SHA-256 of the weights into the trace (reads the whole file).
        progress: called as `progress(attentions_done, attentions)`.
        changes: fields of the stack, as in `load_model`.

    Raises:
        AttnvizError: an unknown model, a text the model cannot read, too little memory.
    """
    if isinstance(mask, str):
        changes["mask"] = mask
    if not isinstance(model, Model):
        model = load_model(model, changes)
    elif changes:
        raise AttnvizError(
            "changes are for models given by name: load_model(name, changes)", "give the name"
        )
    source = read_text(model, text, pair)
    streams = {"source": source}
    if model.kind == "encoder-decoder":
        streams["target"] = read_text(model, text if target is None else target)
    elif target is not None:
        raise AttnvizError(
            f"{model.name} is no encoder-decoder: it reads no target", "--kind encoder-decoder"
        )
    plan = plan_run(model, streams, stages, select)
    check_memory(plan)
    recorder = TraceRecorder([*stages, "mask"] if stages else [], select)
    counted = _Counted(recorder, len(plan.sites), progress) if progress else recorder
    own_mask = mask if isinstance(mask, Mask) else NONE
    if isinstance(mask, np.ndarray):
        own_mask = custom(mask)
    inputs = {name: _input(tokens, own_mask) for name, tokens in streams.items()}
    output = model.transformer(
        inputs["source"],
        inputs.get("target"),
        recorder=counted,
        hidden_states=hidden_states,
        logits=logits,
    )
    return Trace(
        model=describe(model, fingerprint),
        streams=streams,
        records=recorder.records(),
        hidden_states={
            name: [read_only(state) for state in states]
            for name, states in output.hidden_states.items()
        },
        logits=None if output.logits is None else read_only(output.logits),
    )


def read_text(model: Model, text: Text, pair: Text | None = None) -> Tokens:
    """The tokens of a text or of ids, within the limits of the model."""
    if isinstance(text, str):
        if pair is not None and not isinstance(pair, str):
            raise AttnvizError("text and pair are both texts or both token ids", "give both as ids")
        tokens = model.tokenizer.encode(text, pair)
    else:
        if isinstance(pair, str):
            raise AttnvizError("text and pair are both texts or both token ids", "give both as ids")
        tokens = model.tokenizer.take(list(text), None if pair is None else list(pair))
    if not len(tokens):
        raise AttnvizError("the text has no tokens", "give at least one word")
    if model.max_tokens is not None and len(tokens) > model.max_tokens:
        raise AttnvizError(
            f"the text has {len(tokens)} tokens; {model.name} reads at most {model.max_tokens}",
            "shorten the text",
        )
    for id in tokens.ids:
        if id < 0 or (model.n_vocabulary is not None and id >= model.n_vocabulary):
            upper = "" if model.n_vocabulary is None else f" to {model.n_vocabulary - 1}"
            raise AttnvizError(
                f"{model.name} has no token {id}: its ids go from 0{upper}", "are these ids of it?"
            )
    return tokens


def describe(model: Model, fingerprint: bool) -> dict[str, Any]:
    """What a trace says of the model that made it."""
    return {
        "name": model.name,
        "kind": model.kind,
        "trained": model.trained,
        "sha256": model.fingerprint() if fingerprint else None,
        "n_parameter": model.n_parameter,
        **model.shape,
        "notes": list(model.notes),
    }


class Plan(NamedTuple):
    """What a run will keep, before it starts."""

    sites: tuple[Site, ...]
    """The attentions of the model."""
    n_byte: int
    """Memory for what is kept of them, and for the largest step between."""


def plan_run(
    model: Model,
    streams: dict[str, Tokens],
    stages: Sequence[str],
    select: Selection | None = None,
) -> Plan:
    """The attentions that a run on these tokens will pass, and the memory that it will need."""
    sites = tuple(model.transformer.sites())
    select = select or Selection()
    select.check(sites)
    itemsize = np.dtype(model.dtype).itemsize
    matrices = sum(stage in MATRICES for stage in stages)
    cells = [len(streams[site.queries]) * len(streams[site.keys]) for site in sites]
    kept = sum(
        n * site.n_head * itemsize * matrices + n * 2
        for n, site in zip(cells, sites, strict=True)
        if select.covers(site)
    )
    largest = max(
        (n * site.n_head * itemsize for n, site in zip(cells, sites, strict=True)), default=0
    )
    return Plan(sites, kept + largest)


def check_memory(plan: Plan) -> None:
    """Raise AttnvizError if the machine has clearly not enough memory for the plan."""
    available = available_memory()
    if available is not None and plan.n_byte > available:
        raise AttnvizError(
            f"this needs about {in_gib(plan.n_byte)} of memory; {in_gib(available)} are free",
            "shorten the text, or keep fewer layers: -s L0",
        )


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not tell."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def in_gib(n_byte: int) -> str:
    return f"{n_byte / 2**30:.1f} GiB"


class _Counted:
    """Passes attentions on to a recorder and counts them."""

    def __init__(
        self, recorder: TraceRecorder, total: int, progress: Callable[[int, int], None]
    ) -> None:
        self._recorder, self._total, self._progress = recorder, total, progress
        self._done = 0

    def open(self, site: Site) -> Keep:
        self._progress(self._done, self._total)
        self._done += 1
        return self._recorder.open(site)


def _input(tokens: Tokens, mask: Mask) -> Input:
    return Input(
        ids=np.array(tokens.ids),
        segments=np.array(tokens.segments) if tokens.segments else None,
        mask=mask,
    )
