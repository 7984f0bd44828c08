"""How much memory a run will need, before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.nn.attention import BLOCK_BYTES, MATRICES
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention, Site
from attnviz.nn.weights import LazyWeight
from attnviz.trace.selection import Selection

BIAS_BYTES = 9
"""Of a position scheme's bias, a cell: its float64, and whether that is -inf."""


LENGTHS = (32, 128, 512, 2048)


class Plan(NamedTuple):
    """What a run will keep, before it starts."""

    sites: tuple[Site, ...]
    """The attentions of the model."""
    n_byte: int
    """Memory for what is kept of them, and for the largest step between."""


def plan_run(
    model: Model,
    streams: Mapping[str, Sized],
    stages: Sequence[str],
    select: Selection | None = None,
) -> Plan:
    """The attentions that a run on these tokens will pass, and the memory that it will need.

    Of the streams only their lengths matter.
    """
    sites = tuple(model.transformer.sites())
    select = select or Selection()
    select.check(sites)
    itemsize = np.dtype(model.dtype).itemsize
    matrices = sum(stage in MATRICES for stage in stages)
    kept = sum(
        cells * (site.n_head * itemsize * matrices + 2)
        for site, cells in zip(sites, _cells(sites, streams), strict=True)
        if select.covers(site)
    )
    return Plan(sites, kept + _largest_step(model, sites, streams))


def lengths_to_plan(model: Model) -> list[int]:
    """Numbers of tokens that tell how a model's need of memory grows."""
    longest = model.max_tokens or LENGTHS[-1]
    return [*(n for n in LENGTHS if n < longest), longest]


def plan_decoding(model: Model, source: Sized, most: int, cached: bool) -> Plan:
    """What it takes to write `most` tokens, or as many as the model has room for: the weights of
    each step, and of all at the end.

    With a cache the steps are the rows of one matrix; without, a matrix each.
    """
    alone = model.transformer.encoder is None
    if model.max_tokens is not None:
        most = min(most, model.max_tokens - (len(source) if alone else 0) + 1)
    if alone:
        streams: dict[str, Sized] = {"source": range(len(source) + most)}
    else:
        streams = {"source": source, "target": range(most)}
    whole = plan_run(model, streams, ("weights",))
    return whole._replace(n_byte=whole.n_byte * (2 if cached else most + 1))


def _cells(sites: Sequence[Site], streams: Mapping[str, Sized]) -> list[int]:
    """n_q × n_k of each attention."""
    return [len(streams[site.queries]) * len(streams[site.keys]) for site in sites]


def _largest_step(model: Model, sites: Sequence[Site], streams: Mapping[str, Sized]) -> int:
    """Bytes that come and go: a tile of one attention and its bias, the widest feed-forward net,
    the largest weight that has to be converted."""
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


def check_memory(plan: Plan, hint: str = "shorten the text, or keep fewer layers: -s L0") -> None:
    """Raise AttnvizError if the machine has clearly not enough memory for the plan."""
    available = available_memory()
    if available is not None and plan.n_byte > available:
        raise AttnvizError(
            f"this needs about {in_gib(plan.n_byte)} of memory; {in_gib(available)} are free",
            hint,
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
