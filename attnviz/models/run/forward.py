"""One pass of a model over what has been read, with its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from attnviz.models.model import Model
from attnviz.models.run.finite import is_finite, quiet
from attnviz.models.run.masked_tokens import expectations, masked_places
from attnviz.models.run.memory import check_memory, plan_run
from attnviz.nn.attention import Keep
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import Site
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import Trace, read_only
from attnviz.trace.recorder import TraceRecorder
from attnviz.trace.selection import Selection


@quiet
def forward(
    model: Model,
    streams: Mapping[str, Tokens],
    inputs: Mapping[str, Input],
    *,
    stages: Sequence[str],
    select: Selection | None = None,
    hidden_states: bool = False,
    logits: bool = False,
    fingerprint: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """One pass over what has been read, with its record."""
    plan = plan_run(model, streams, stages, select)
    check_memory(plan)
    recorder = TraceRecorder([*stages, "mask"] if stages else [], select)
    counted = _Counted(recorder, len(plan.sites), progress) if progress else recorder
    output = model.transformer(
        inputs["source"],
        inputs.get("target"),
        recorder=counted,
        hidden_states=hidden_states,
        logits=logits
        or model.task in ("tag", "classify")
        or bool(masked_places(model, streams["source"])),
    )
    if output.logits is not None and masked_places(model, streams["source"]):
        told = expectations(model, streams["source"], output.logits)
        model = model._replace(notes=(*model.notes, *told))
    trace = Trace(
        model=describe(model, fingerprint, max(len(tokens) for tokens in streams.values())),
        streams=_tagged(model, streams, output.logits),
        records=recorder.records(),
        hidden_states={
            name: [read_only(state) for state in states]
            for name, states in output.hidden_states.items()
        },
        logits=read_only(output.logits) if logits and output.logits is not None else None,
    )
    if not is_finite(trace, output):
        model.check_weights()
    return trace


def _tagged(
    model: Model, streams: Mapping[str, Tokens], logits: Array | None
) -> Mapping[str, Tokens]:
    """The streams with the tags that the model gives the tokens, if that is its task."""
    if model.task != "tag" or logits is None:
        return streams
    source = streams["source"]
    tags = tuple(
        "" if place in source.special else label(model.labels[best])
        for place, best in enumerate(logits.argmax(-1))
    )
    return {**streams, "source": replace(source, tags=tags)}


def describe(model: Model, fingerprint: bool, n_token: int) -> dict[str, Any]:
    """What a trace says of the model that made it, and of how it fared with so many tokens."""
    notes = list(model.notes)
    if model.trained_tokens is not None and n_token > model.trained_tokens:
        notes.append(
            f"{n_token} tokens: it was trained on at most {model.trained_tokens}, and how good it "
            "is beyond was not measured"
        )
    return {
        "name": model.name,
        "kind": model.kind,
        "trained": model.trained,
        "sha256": model.fingerprint() if fingerprint else None,
        "n_parameter": model.n_parameter,
        **({"task": model.task} if model.task else {}),
        **({"outputs": [label(name) for name in model.labels]} if model.labels else {}),
        **model.shape,
        "notes": notes,
    }


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
