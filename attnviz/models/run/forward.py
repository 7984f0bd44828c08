"""A model's pass over what was prepared, with its record."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from attnviz.language import to_say
from attnviz.models.model import Model
from attnviz.models.run.answer import answer_of, needs_logits, unanswered
from attnviz.models.run.finite import is_finite, no_float_warnings
from attnviz.models.run.prepare import Prepared
from attnviz.models.run.work import Counted, Progress, count_work
from attnviz.nn.multi_head import Recorder
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.record import ModelFacts, Trace, read_only
from attnviz.trace.recorder import TraceRecorder


@no_float_warnings
def forward(
    prepared: Prepared,
    *,
    hidden_states: bool = False,
    logits: bool = False,
    fingerprint: bool = True,
    progress: Progress | None = None,
    recorder: Recorder | None = None,
) -> Trace:
    """One pass over what was prepared; for the arguments see `attnviz.run`. With a recorder of the
    caller's own, the trace has no records."""
    model, source, stages = prepared.model, prepared.streams["source"], prepared.stages
    kept = [*stages, "mask"] if stages else []
    own = TraceRecorder(kept, prepared.select, prepared.summaries)
    work = count_work(model, prepared.streams) if progress else ()
    counted = Counted(recorder or own, work, progress)
    try:
        output = model.transformer(
            prepared.inputs["source"],
            prepared.inputs.get("target"),
            recorder=counted,
            hidden_states=hidden_states,
            logits=logits or needs_logits(model, source),
        )
    except KeyboardInterrupt:
        stopped = _stopped(prepared, own, counted.finished)
        if recorder is not None or not stopped.records:
            raise
        raise Interrupted(stopped) from None
    notes, answer = prepared.notes, None
    if recorder is None:
        answer = answer_of(prepared, output)
        notes = (*notes, *unanswered(prepared, output))
    n_token = max(len(tokens) for tokens in prepared.streams.values())
    trace = Trace(
        model=describe(model, fingerprint, n_token, notes),
        streams=_tagged(model, prepared.streams, output.logits),
        records=own.records(),
        routing=own.routings(),
        hidden_states={
            name: [read_only(state) for state in states]
            for name, states in output.hidden_states.items()
        },
        logits=read_only(output.logits) if logits and output.logits is not None else None,
        answer=answer,
    )
    if not is_finite(trace, output):
        model.check_weights()
    return trace


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, when some layers were finished."""

    def __init__(self, trace: Trace) -> None:
        super().__init__("; ".join(trace.model.notes[-1:]))
        self.trace = trace
        """Of the layers that were finished; a note says how many."""


def _stopped(prepared: Prepared, recorder: TraceRecorder, finished: Container[str]) -> Trace:
    """What there is of a run that was stopped: the layers whose attentions are all finished."""
    sites = prepared.plan.sites
    layers = {site.id.place for site in sites}
    done = layers - {site.id.place for site in sites if site.id not in finished}
    note = to_say("stopped after {n} of {all} layers", n=len(done), all=len(layers))
    return Trace(
        model=describe(prepared.model, False, 0, (*prepared.notes, note)),
        streams=prepared.streams,
        records=recorder.records({site.id for site in sites if site.id.place in done}),
    )


def _tagged(
    model: Model, streams: Mapping[str, Tokens], logits: Array | None
) -> Mapping[str, Tokens]:
    """The streams with the tags that the model gives the tokens, if that is its task."""
    if model.task != "tag" or logits is None:
        return streams
    source = streams["source"]
    tags = tuple(
        "" if position in source.special else label(model.labels[best])
        for position, best in enumerate(logits.argmax(-1))
    )
    return {**streams, "source": replace(source, tags=tags)}


def describe(
    model: Model, fingerprint: bool, n_token: int, notes: Sequence[str] = ()
) -> ModelFacts:
    """What a trace says of the model that made it, of so many tokens."""
    notes = [*model.notes, *notes]
    if model.trained_tokens is not None and n_token > model.trained_tokens:
        notes.append(
            to_say(
                "{n} tokens: it was trained on at most {trained}, and how good it is beyond was "
                "not measured",
                n=n_token,
                trained=model.trained_tokens,
            )
        )
    return ModelFacts(
        name=model.name,
        kind=model.kind,
        trained=model.trained,
        sha256=model.fingerprint() if fingerprint else None,
        n_parameter=model.n_parameter,
        task=model.task,
        outputs=tuple(map(label, model.labels)),
        shape=model.shape,
        notes=tuple(notes),
    )
