"""Which inputs reach which outputs, as maps and as a list for one output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.flow import Flow
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.views.attention import By, header, token_axis
from attnviz.views.heads import CAVEAT
from attnviz.views.kinds import WEIGHTS, Heatmap, Line, Table, Text, Value, View

LISTED = 10


def flow_views(
    trace: Trace,
    found: Flow,
    even: Flow,
    *,
    method: str,
    told: Sequence[str],
    by: By = "all",
    token: int | None = None,
) -> list[View]:
    """What the map is and is not; a map for each stream of inputs; the inputs of one output.

    Args:
        even: what heads that spread evenly would give; what it lacks, nothing can reach.
        told: how the shares were found.
        token: an output whose inputs are listed.
    """
    lines = [Line(text, method if i == 0 else "", "note") for i, text in enumerate(told)]
    views: list[View] = [Text((*header(trace).lines, *lines, Line(CAVEAT, "", "warning")))]
    for stream in sorted(found.shares, key=lambda name: name == found.outputs):
        shares = found.shares[stream]
        out_of_reach = np.asarray(even.shares[stream] == 0, np.uint8)
        views.append(
            Heatmap(
                f"{method} · which {_inputs(found, stream)} reach which outputs",
                shares,
                token_axis("output", trace.streams[found.outputs]),
                token_axis("input", trace.streams[stream]),
                WEIGHTS._replace(by=by),
                out_of_reach if out_of_reach.any() else None,
                ("out of reach",),
                _together(found, stream),
                pooling="mass",
            )
        )
    if token is not None:
        views.append(_table(trace, found, token))
    return views


def _inputs(found: Flow, stream: str) -> str:
    return "inputs" if len(found.shares) == 1 else f"inputs of the {stream}"


def _together(found: Flow, stream: str) -> tuple[str, ...]:
    """What of the outputs' shares is not in this map."""
    if len(found.shares) == 1:
        return ("each row sums to 1",)
    mean: Array = found.shares[stream].sum(-1).mean()
    return (f"each row sums to 1 over all streams; to {mean:.2f} on average in this one",)


def _table(trace: Trace, found: Flow, token: int) -> Table:
    """The inputs with the largest shares of one output."""
    name = trace.streams[found.outputs].labels[token]
    several = len(found.shares) > 1
    rows: list[tuple[Value, ...]] = [
        (*((stream,) if several else ()), place, trace.streams[stream].labels[place], share)
        for stream, place, share in found.largest(token, LISTED)
    ]
    columns = (*(("stream",) if several else ()), "place", "input", "share")
    return Table(f"the largest shares of output {token} {name}", columns, tuple(rows))
