"""Which inputs reach which outputs, through all attentions of a model one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attnviz.analysis.distributions import spread_evenly
from attnviz.analysis.visibility import later_keys, looks_causal, visible_to_any
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool, brief
from attnviz.trace.record import Record, Trace

if TYPE_CHECKING:
    from attnviz.nn.transformer import Transformer

METHODS = ("rollout", "contributions")

ROLLOUT = to_say(
    "each row: half the token's own state, half the mean weights of the heads; the layers "
    "multiplied together (Abnar & Zuidema 2020)"
)
CONTRIBUTIONS = to_say(
    "a token's share is what its value, weighted and projected, adds to the output of an attention "
    "with its residual, in the L1 norm; the layers multiplied together (Ferrando et al. 2022)"
)
RELATIVE_GROUPS = to_say(
    "relative to heads that spread evenly, each group of tokens as a whole, because a causal mask "
    "alone already favours early tokens; --absolute turns this off"
)
NOT_RELATIVE = to_say(
    "the bare product, where a causal mask favours early tokens: behind a mask with gaps it is not "
    "related to heads that spread evenly, because this input is too long to keep every weight"
)
RELATIVE = to_say(
    "relative to heads that spread evenly, because a causal mask alone already favours early "
    "tokens; --absolute turns this off"
)
TAKEN_FOR_CAUSAL = to_say("no mask is known; no weight lies above the diagonal: taken for causal")
SINKS = to_say(
    "a learned sink moves nothing: what it takes of a row is shared among the token's own state "
    "and the keys, as they share the rest"
)
NEEDS_MODEL = to_say(
    "contributions need the model: a trace has neither its projections nor its residuals"
)

RESIDUAL = 0.5
"""What the residual keeps, of which the weights say nothing. Source: Abnar & Zuidema 2020."""


class Mix(NamedTuple):
    """What one attention makes of the states that it reads: shares, which sum to 1 in each row."""

    keys: Array
    """[n_q, n_k]: of each key's state."""
    own: Array
    """[n_q]: of the token's own, which the residual brings past the attention."""

    def __repr__(self) -> str:
        return brief(self)


class Flow(NamedTuple):
    """Of each output, the share of each input. Over all streams, each row sums to 1."""

    outputs: str
    """The stream whose tokens are the rows."""
    shares: Mapping[str, Array]
    """By stream: [n_output, n_input]."""
    steps: Mapping[str, int] = {}
    """By stream, where tokens are put together: how many are a row or a column."""

    def __repr__(self) -> str:
        return brief(self)

    def unreachable(self, stream: str) -> Bool:
        """[n_output, n_input]: where an output has no share of an input at all."""
        return np.asarray(self.shares[stream] == 0)

    def mean_share(self, stream: str) -> float:
        """What the outputs have of a stream's inputs together, on average."""
        return float(self.shares[stream].sum(-1).mean())

    def largest(self, row: int, count: int) -> list[tuple[str, int, float]]:
        """The inputs with the largest shares of one output: (stream, place, share)."""
        every = [
            (stream, position, float(share))
            for stream, shares in self.shares.items()
            for position, share in enumerate(shares[row])
            if share > 0
        ]
        return sorted(every, key=lambda each: -each[2])[:count]


class TraceFlow(NamedTuple):
    """What flows through all layers of a trace, beside what would if heads spread evenly."""

    flow: Flow
    even: Flow
    method: str
    last_layer: int | None
    notes: tuple[str, ...]
    """How the shares were computed, a sentence each."""
    output: tuple[int, Flow, Flow] | None = None
    """One output, its shares of every input, and those of even heads, where the map is of groups of
    tokens."""

    def of_output(self, token: int) -> tuple[int, Flow]:
        """A flow with every input's share of this output, and in which of its rows they are."""
        return (token, self.flow) if self.output is None else (0, self.output[1])

    def manifest(self, trace: Trace) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file."""
        return {
            "format": "attnviz-flow",
            "version": 1,
            "model": trace.model.to_manifest(),
            "command": list(trace.command),
            "tokens": {name: list(stream.tokens) for name, stream in trace.streams.items()},
            "outputs": self.flow.outputs,
            "method": self.method,
            "layer": self.last_layer,
            **({"steps": dict(self.flow.steps)} if self.flow.steps else {}),
            **({} if self.output is None else {"output": self.output[0]}),
            "notes": list(self.notes),
        }

    def arrays(self) -> dict[str, Array]:
        """By stream: [n_output, n_input], of groups of tokens if there are `steps`; and then of
        one output, if it was chosen, [1, n_input]."""
        arrays = {f"{stream}/shares": shares for stream, shares in self.flow.shares.items()}
        if self.output is not None:
            one = self.output[1].shares
            arrays |= {f"{stream}/output": shares for stream, shares in one.items()}
        return arrays


def flow_of(
    trace: Trace,
    transformer: Transformer | None = None,
    *,
    method: str = "rollout",
    last_layer: int | None = None,
    absolute: bool = False,
) -> TraceFlow:
    """Which inputs reach which outputs of a trace.

    Args:
        transformer: what made the trace; without it, contributions cannot be computed, and the
            method is rollout.
        method: one of METHODS.
        last_layer: up to this layer of the last stack.
        absolute: the bare product of a rollout, also behind a causal mask.
    """
    _check_whole(trace)
    notes = []
    if method == "contributions" and transformer is not None:
        from attnviz.analysis.contributions import contribution_mixes

        mixes = contribution_mixes(transformer, trace)
        result = flow(trace.records, lambda record: mixes[record.id], last_layer)
        notes.append(CONTRIBUTIONS)
    else:
        result = flow(trace.records, rollout_mix, last_layer)
        notes.append(ROLLOUT)
        if method != "rollout":
            notes.append(NEEDS_MODEL)
        if any(record.site.sinks for record in trace.records):
            notes.append(SINKS)
        method = "rollout"
    even = flow(trace.records, even_mix, last_layer)
    if method == "rollout" and is_causal(trace.records) and not absolute:
        result = relative(result, even)
        notes.append(RELATIVE)
    if any(map(looks_causal, trace.records)):
        notes.append(TAKEN_FOR_CAUSAL)
    return TraceFlow(result, even, method, last_layer, tuple(notes))


def _check_whole(trace: Trace) -> None:
    """Raise AttnvizError for the trace of a long input, of which only summaries were kept."""
    for record in trace:
        if record.weights is None and record.summary is not None:
            raise AttnvizError(
                f"{record.id}: of this long input only a summary was kept; a flow multiplies all "
                "weights of all layers",
                "attnviz flow on the text itself computes them tile by tile",
            )


def rollout_mix(record: Record) -> Mix:
    """0.5 W + 0.5 I, with W the mean of the heads' weights; of cross-attention, half of what the
    row sees and half of itself. Source: Abnar & Zuidema 2020."""
    weights = record.stage("weights")
    _check_shares(record, weights)
    return normalised(
        (1 - RESIDUAL) * weights.mean(0, dtype=np.float64), np.full(weights.shape[-2], RESIDUAL)
    )


def even_mix(record: Record) -> Mix:
    """The same of heads that spread evenly over the keys that they see."""
    even = spread_evenly(visible_to_any(record))
    return normalised((1 - RESIDUAL) * even, np.full(len(even), RESIDUAL))


def normalised(keys: Array, own: Array) -> Mix:
    """Shares that sum to 1 in each row, [n_q, n_k], [n_q] -> a `Mix` of the same; a row of zeros is
    all the token's own."""
    totals = keys.sum(-1) + own
    empty = totals == 0
    totals = np.where(empty, 1, totals)
    return Mix(keys / totals[:, None], np.where(empty, 1, own / totals))


def flow(
    records: Sequence[Record], mix: Callable[[Record], Mix], last_layer: int | None = None
) -> Flow:
    """Multiply the mixes of all layers, from the inputs up to `last_layer` of the last stack.

    Self-attention: R ← (M + diag(own)) R, from R = I. Cross-attention adds M E to diag(own) R,
    with E the encoder's whole flow: so the decoder's outputs have shares of both streams.
    Source of the product: Abnar & Zuidema 2020, attention rollout; of its way through an
    encoder-decoder: Ferrando et al. 2022, "Towards Opening the Black Box of Neural Machine
    Translation".
    """
    blocks = blocks_of(records, last_layer)
    done: dict[str, Mapping[str, Array]] = {}
    outputs = ""
    for members in blocks:
        outputs = members[0].queries
        shares: dict[str, Array] = {outputs: np.eye(members[0].stage("weights").shape[-2])}
        for record in members:
            keys, own = mix(record)
            read = shares if record.kind == "self" else _memory(record, done)
            mixed = {stream: own[:, None] * share for stream, share in shares.items()}
            for stream, share in read.items():
                mixed[stream] = mixed.get(stream, 0) + keys @ share
            shares = mixed
        done[outputs] = shares
    return Flow(outputs, done[outputs])


def relative(result: Flow, even: Flow) -> Flow:
    """Each share over that of heads that spread evenly, with rows that sum to 1 again.

    Behind a causal mask the first tokens can be reached by more paths than the last ones, so
    that even heads would seem to prefer them; Abnar & Zuidema 2020 warn of it and ask for a
    normalisation by the receptive field, without a formula. Here heads that spread evenly give
    an even map, and later tokens do not change the rows of earlier ones.
    """
    ratios = {
        stream: np.divide(share, even.shares[stream], out=np.zeros_like(share),
                          where=even.shares[stream] > 0)
        for stream, share in result.shares.items()
    }  # fmt: skip
    totals = sum(ratio.sum(-1, keepdims=True) for ratio in ratios.values())
    return Flow(result.outputs, {stream: ratio / totals for stream, ratio in ratios.items()})


def is_causal(records: Sequence[Record]) -> bool:
    """Whether any self-attention lets no query see a later key."""
    return any(
        record.kind == "self"
        and len(visible := visible_to_any(record)) > 1
        and not visible[later_keys(len(visible))].any()
        for record in records
    )


def _check_shares(record: Record, weights: Array) -> None:
    """Raise AttnvizError for weights that are negative or not finite: they are not shares of
    anything, and would spread over all layers."""
    most = np.finfo(np.float64).max / max(1, len(weights) * weights.shape[-1])  # so that sums hold
    wrong = ~(weights <= most) | (weights < 0)
    if wrong.any():
        head, row, column = np.argwhere(wrong)[0]
        raise AttnvizError(
            f"{record.id}: weights are shares from 0 on; head {head} row {row} column {column} is "
            f"{weights[head, row, column]:.4g}",
            "attnviz show says what else is wrong with them",
        )


def blocks_of(records: Sequence[Record], last_layer: int | None) -> list[list[Record]]:
    """The records of each stack, checked to be whole; the last one up to a layer."""
    by_block: dict[str, list[Record]] = {}
    for record in records:
        by_block.setdefault(record.id.block, []).append(record)
    blocks = list(by_block.values())
    if not blocks:
        raise AttnvizError(
            "there is no attention that anything could flow through", "try `-m tagger`"
        )
    for members in blocks:
        layers = sorted({record.layer for record in members if record.kind == "self"})
        if not layers:
            raise AttnvizError(
                f"{members[0].id}: queries and keys are not the same tokens; what flows from layer "
                "to layer needs self-attention",
                "save a trace without -s; attnviz heads and attnviz show take this as it is",
            )
        if layers != list(range(1 + max(record.layer for record in members))):
            raise AttnvizError(
                f"the self-attention of every layer from 0 on is needed; there are layers "
                f"{', '.join(map(str, layers))} of {members[0].id.block}",
                "save the trace without -s",
            )
    last = max(record.layer for record in blocks[-1])
    if last_layer is not None and not 0 <= last_layer <= last:
        raise AttnvizError(
            f"--layer: there is no layer {last_layer}", f"the layers count from 0 to {last}"
        )
    if last_layer is not None:
        blocks[-1] = [record for record in blocks[-1] if record.layer <= last_layer]
    return blocks


def _memory(record: Record, done: Mapping[str, Mapping[str, Array]]) -> Mapping[str, Array]:
    """What has flowed into the stream that a cross-attention looks at."""
    if record.keys not in done:
        raise AttnvizError(
            f"{record.id} looks at the stream {record.keys!r}, whose attention is not there",
            "save the trace without -s",
        )
    return done[record.keys]
