"""To which experts of a mixture the tokens of a text were sent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from attnviz.language import say
from attnviz.nn.multi_head import Routing
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace
from attnviz.trace.spans import Zoom
from attnviz.views.kinds import Table

MOST_TOKENS = 200
FIRST, LAST = 40, 8
"""Tokens that are listed of a longer text."""

MOST_NAMED = 4
"""Experts that are named as those with the most tokens."""


def routing_views(trace: Trace, records: Iterable[Record], zoom: Zoom) -> list[Table]:
    """A table for each layer of these records whose feed-forward part is a mixture: the experts of
    each token that is shown as a query, and their weights."""
    tables = {}
    for record in records:
        place = f"{record.site.block}.{record.layer}"
        if place in trace.routing and place not in tables:
            tokens = trace.streams[record.queries]
            rows = np.arange(len(tokens)) if zoom.rows is None else zoom.block(tokens, tokens).rows
            tables[place] = _table(trace.routing[place], tokens, rows, f"L{record.layer}")
    return [tables[place] for place in trace.routing if place in tables]


def _table(routing: Routing, tokens: Tokens, rows: Array, layer: str) -> Table:
    experts, weights, n_expert = routing
    shown = rows if len(rows) <= MOST_TOKENS else np.concatenate([rows[:FIRST], rows[-LAST:]])
    left_out = len(rows) - len(shown)
    notes = [_usage(experts[rows], n_expert)] if len(rows) > 1 else []
    if left_out:
        notes.append(say("{n} tokens between are left out: -o FILE.npz has all", n=left_out))
    return Table(
        say("experts of {layer}: each token was sent to {k} of {n}",
            layer=layer, k=experts.shape[-1], n=n_expert),
        ("", say("token"), say("expert and the weight of its result, the first choice first")),
        tuple(
            (int(i), tokens.labels[i], _choices(experts[i], weights[i])) for i in shown
        ),
        tuple(notes),
    )  # fmt: skip


def _choices(experts: Array, weights: Array) -> str:
    """`3 .41, 0 .22`: an expert and its weight stay in one line."""
    pairs = zip(experts, weights, strict=True)
    return ", ".join(f"{expert}\u00a0{weight:.2f}".replace("\u00a00.", "\u00a0.")
                     for expert, weight in pairs)  # fmt: skip


def _usage(experts: Array, n_expert: int) -> str:
    """Which experts have the most of these tokens, and how many have none. experts [n, top_k]."""
    counts = np.bincount(experts.ravel(), minlength=n_expert)
    best = [int(e) for e in np.argsort(-counts, kind="stable")[:MOST_NAMED] if counts[e]]
    named = ", ".join(f"{expert} ({counts[expert]})" for expert in best)
    unused = int((counts == 0).sum())
    if not unused:
        return say("experts with the most tokens: {experts}; every one has some", experts=named)
    return say(
        "experts with the most tokens: {experts}; without any: {unused} of {n}",
        experts=named, unused=unused, n=n_expert,
    )  # fmt: skip
