"""How much memory a run will need, before it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.nn.attention import MATRICES
from attnviz.nn.multi_head import Site
from attnviz.selection import Selection
from attnviz.tokens import Tokens


class Plan(NamedTuple):
    """What a run will keep, before it starts."""

    sites: tuple[Site, ...]
    """The attentions of the model."""
    n_byte: int
    """Memory for what is kept of them, and for the largest step between."""


def plan_run(
    model: Model,
    streams: Mapping[str, Tokens],
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
