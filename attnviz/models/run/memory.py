"""How much memory a run will need, before it starts, and how much it has to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.memory import available_memory, in_bytes
from attnviz.models.model import Model
from attnviz.nn.feed_forward import ROWS, FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.site import Site
from attnviz.nn.stages import MATRICES
from attnviz.nn.streaming import TILE
from attnviz.nn.threads import n_worker
from attnviz.nn.tiled import BLOCK_BYTES
from attnviz.nn.weights import LazyWeight
from attnviz.trace.selection import Selection
from attnviz.trace.summary import MAP_BYTES, MAP_SIZE, SummaryPlan

BIAS_BYTES = 9
"""Of a position scheme's bias, a cell: its float64, and whether that is -inf."""

MEASURING_BYTES = 8
"""Of what measuring heads makes of a cell of a tile: about, and more of texts that repeat
themselves."""

N_STREAM = 3
"""Vectors of the residual stream that a token has at a time: its own, what is added to it, and
what a part makes of it."""

TEXT_HINT = "shorten the text, or keep fewer layers: -s L0"
IMAGE_HINT = "scale the image down, or keep fewer layers: -s L0"

FLOOR = 32 << 20
"""Bytes that are never refused: Python and NumPy take as many before anything is computed."""

LENGTHS = (32, 128, 512, 2048)


class Plan(NamedTuple):
    """What a run will compute and need, before it starts."""

    sites: tuple[Site, ...]
    """The attentions of the model."""
    n_byte: int
    """Memory above the model: for what is recorded, and for the largest step between."""


def plan_run(
    model: Model,
    streams: Mapping[str, Sized],
    stages: Sequence[str],
    select: Selection | None = None,
) -> Plan:
    """The attentions that a run on these tokens computes, and the memory that it needs.

    Of the streams only their lengths matter.

    Raises:
        AttnvizError: the model has none of the selected layers.
    """
    sites = tuple(model.transformer.sites())
    select = select or Selection()
    select.check(sites)
    itemsize = np.dtype(model.dtype).itemsize
    matrices = sum(stage in MATRICES for stage in stages)
    cells = [len(streams[site.queries]) * len(streams[site.keys]) for site in sites]
    recorded = sum(
        n * (site.n_head * itemsize * matrices + 2)
        for site, n in zip(sites, cells, strict=True)
        if select.covers(site)
    )
    most = max(cells, default=0)
    tile = min(most * itemsize, BLOCK_BYTES)
    if _is_biased(model):
        tile += most * max(site.n_head for site in sites) * BIAS_BYTES
    return Plan(sites, recorded + tile + _rows(model, streams) + _converted(model))


def plan_summary(
    model: Model,
    streams: Mapping[str, Sized],
    summaries: SummaryPlan,
    select: Selection | None = None,
) -> Plan:
    """The same of a run that keeps summaries: what it needs is what a tile takes on each core, the
    summaries, and what every token has of its own."""
    sites = tuple(model.transformer.sites())
    select = select or Selection()
    select.check(sites)
    itemsize = np.dtype(model.dtype).itemsize
    shapes = [(len(streams[site.queries]), len(streams[site.keys])) for site in sites]
    tile = max((TILE.most(n_q, n_k) for n_q, n_k in shapes), default=0)
    cell = 2 * itemsize + 2 + (BIAS_BYTES if _is_biased(model) else 0)
    size = summaries.map_size or MAP_SIZE
    kept = [
        len(select.heads(site))
        * (
            min(n_q, size) * min(n_k, size) * MAP_BYTES
            + n_q * summaries.n_link * (itemsize + 4)
            + _block(site, streams, summaries, itemsize)
        )
        for site, (n_q, n_k) in zip(sites, shapes, strict=True)
        if select.covers(site)
    ]
    at_work = n_worker() * (tile * cell + max(kept, default=0))
    return Plan(sites, sum(kept) + at_work + _rows(model, streams) + _converted(model))


def with_measuring(plan: Plan, streams: Mapping[str, Sized], summaries: SummaryPlan) -> Plan:
    """The plan with what measuring heads takes beside the record, tile by tile."""
    if summaries.statistics is None:
        return plan
    shapes = [(len(streams[site.queries]), len(streams[site.keys])) for site in plan.sites]
    tile = max((TILE.most(n_q, n_k) for n_q, n_k in shapes), default=0)
    return plan._replace(n_byte=plan.n_byte + n_worker() * tile * MEASURING_BYTES)


def _block(site: Site, streams: Mapping[str, Sized], summaries: SummaryPlan, itemsize: int) -> int:
    """Bytes of the weights of one head that are wanted as they are."""
    if summaries.block is None:
        return 0
    rows, keys = summaries.block(site)
    return len(rows) * len(keys) * itemsize


def lengths_to_plan(model: Model) -> list[int]:
    """Numbers of tokens that show how the memory that a model needs grows."""
    max_length = model.max_tokens or LENGTHS[-1]
    return [*(n for n in LENGTHS if n < max_length), max_length]


def plan_decoding(model: Model, source: Sized, max_tokens: int, cached: bool) -> Plan:
    """What it takes to write `max_tokens`, or as many as the model can read: the weights of each
    step, and of all at the end.

    With a cache the steps are the rows of one matrix; without, a matrix each.
    """
    decoder_only = model.transformer.encoder is None
    if model.max_tokens is not None:
        max_tokens = min(max_tokens, model.max_tokens - len(source) * decoder_only + 1)
    if decoder_only:
        streams: dict[str, Sized] = {"source": range(len(source) + max_tokens)}
    else:
        streams = {"source": source, "target": range(max_tokens)}
    plan = plan_run(model, streams, ("weights",))
    return plan._replace(n_byte=plan.n_byte * (2 if cached else max_tokens + 1))


def _rows(model: Model, streams: Mapping[str, Sized]) -> int:
    """Bytes of what every token has at a time besides weights: the residual stream, its query, key,
    value and context, and of as many as are at work the hidden units of the widest feed-forward
    net."""
    n_token = max((len(stream) for stream in streams.values()), default=0)
    attended = hidden = width = 0
    for part in _parts(model.transformer):
        if isinstance(part, MultiHeadAttention):
            q, k, v, o = (part.query.weight, part.key.weight, part.value.weight, part.output.weight)
            attended = max(attended, len(q) + len(k) + len(v) + o.shape[1])
            width = max(width, len(o))
        elif isinstance(part, FeedForward):
            hidden = max(hidden, len(part.up.weight) * (1 if part.gate is None else 2))
    stacks = (
        stack
        for stack in (model.transformer.encoder, model.transformer.decoder)
        if stack is not None
    )
    at_work = ROWS * max((stack.n_part((n_token, width)) for stack in stacks), default=1)
    numbers = n_token * (attended + N_STREAM * width) + min(n_token, at_work) * hidden
    return numbers * np.dtype(model.dtype).itemsize


def _is_biased(model: Model) -> bool:
    """Whether positions enter as something that is added to the scores."""
    parts = (part for part in _parts(model.transformer) if isinstance(part, MultiHeadAttention))
    return any(part.bias is not None or part.relative is not None for part in parts)


def _converted(model: Model) -> int:
    """Bytes of the weights of a block that are converted when they are used: the largest one, or
    all of a feed-forward net, which uses its own several times."""
    stacks = (model.transformer.encoder, model.transformer.decoder)
    together = (part for part in _parts(stacks) if isinstance(part, FeedForward | LazyWeight))
    sizes = [
        sum(w.size for w in _parts(each) if isinstance(w, LazyWeight) and w.converts)
        for each in together
    ]
    return max(sizes, default=0) * np.dtype(model.dtype).itemsize


def _parts(part: object) -> list[object]:
    """A part of a transformer and all parts of it, down to the weights."""
    found = [part]
    for each in found:  # which grows meanwhile
        if isinstance(each, tuple):
            found.extend(each)
    return found


def check_memory(plan: Plan, hint: str = TEXT_HINT) -> None:
    """Raise AttnvizError if the machine clearly has too little memory for the plan."""
    available = available_memory()
    if available is not None and plan.n_byte > available:
        raise AttnvizError(
            f"this needs about {in_bytes(plan.n_byte)} of memory; {in_bytes(available)} are free",
            hint,
        )


def check_budget(plan: Plan, memory: int) -> None:
    """Raise AttnvizError if the smallest plan for a run takes more than the budget."""
    if plan.n_byte > max(memory, FLOOR):
        least = in_bytes(plan.n_byte)
        enough = in_bytes(plan.n_byte + plan.n_byte // 10)  # whatever rounding takes away
        raise AttnvizError(
            f"--memory {in_bytes(memory)} is too little: this needs at least about {least}",
            f"--memory {enough.replace(' ', '')}",
        )
