"""How much memory a run will need, before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.memory import available_memory, in_gib
from attnviz.models.model import Model
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.site import Site
from attnviz.nn.stages import MATRICES
from attnviz.nn.tiled import BLOCK_BYTES
from attnviz.nn.weights import LazyWeight
from attnviz.trace.selection import Selection

BIAS_BYTES = 9
"""Of a position scheme's bias, a cell: its float64, and whether that is -inf."""

TEXT_HINT = "shorten the text, or keep fewer layers: -s L0"
IMAGE_HINT = "scale the image down, or keep fewer layers: -s L0"

LENGTHS = (32, 128, 512, 2048)


class Plan(NamedTuple):
    """What a run will compute and need, before it starts."""

    sites: tuple[Site, ...]
    """The attentions of the model."""
    n_byte: int
    """Memory for what is recorded of them, and for the largest step between."""


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
    recorded = sum(
        cells * (site.n_head * itemsize * matrices + 2)
        for site, cells in zip(sites, _cells(sites, streams), strict=True)
        if select.covers(site)
    )
    return Plan(sites, recorded + _largest_step(model, sites, streams))


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


def _cells(sites: Sequence[Site], streams: Mapping[str, Sized]) -> list[int]:
    """n_q × n_k of each attention."""
    return [len(streams[site.queries]) * len(streams[site.keys]) for site in sites]


def _largest_step(model: Model, sites: Sequence[Site], streams: Mapping[str, Sized]) -> int:
    """Bytes that are needed for a while: a tile of one attention and its bias, the widest
    feed-forward net, the largest weight that has to be converted."""
    itemsize = np.dtype(model.dtype).itemsize
    parts = list(_parts(model.transformer))
    cells = max(_cells(sites, streams), default=0)
    n_head = max((site.n_head for site in sites), default=0)
    biased = any(isinstance(part, MultiHeadAttention) and part.bias is not None for part in parts)
    widths = [
        len(part.up.weight) * (1 if part.gate is None else 2)
        for part in parts
        if isinstance(part, FeedForward)
    ]
    n_token = max((len(stream) for stream in streams.values()), default=0)
    converted = max((part.size for part in parts if isinstance(part, LazyWeight)), default=0)
    return (
        min(cells * itemsize, BLOCK_BYTES)
        + (cells * n_head * BIAS_BYTES if biased else 0)
        + n_token * max(widths, default=0) * itemsize
        + converted * itemsize
    )


def _parts(part: object) -> Iterator[object]:
    """A part of a transformer and all parts of it, down to the weights."""
    yield part
    if isinstance(part, tuple):
        for each in part:
            yield from _parts(each)


def check_memory(plan: Plan, hint: str = TEXT_HINT) -> None:
    """Raise AttnvizError if the machine clearly has too little memory for the plan."""
    available = available_memory()
    if available is not None and plan.n_byte > available:
        raise AttnvizError(
            f"this needs about {in_gib(plan.n_byte)} of memory; {in_gib(available)} are free",
            hint,
        )
