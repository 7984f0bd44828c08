"""Which inputs reach which outputs, as maps and as a list for one output."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.flow import Flow, TraceFlow
from attnviz.language import say, to_say
from attnviz.trace.record import Trace
from attnviz.views.attention import By, Fixed, header
from attnviz.views.heads import CAVEAT
from attnviz.views.kinds import WEIGHTS, Axis, Heatmap, Line, Table, Text, Value, View
from attnviz.views.matrices import token_axis
from attnviz.views.pooling import pool_axis, pooling_notes

LISTED = 10

FAINT = 0.2
"""Shares up to it all have about the colour of 0, where 1 has that of the end."""


def flow_views(
    trace: Trace, found: TraceFlow, *, by: By = "auto", token: int | None = None
) -> list[View]:
    """What the map is and is not; a map for each stream of inputs; the inputs of one output.

    Args:
        token: an output whose inputs are listed.
    """
    flow, method = found.flow, found.method
    if by == "auto":
        by = "root" if flow.steps else "all"
    lines = [
        Line(say(text), method if i == 0 else "", "note") for i, text in enumerate(found.notes)
    ]
    views: list[View] = [Text((*header(trace).lines, *lines, Line(say(CAVEAT), "", "warning")))]
    for stream in sorted(flow.shares, key=lambda name: name == flow.outputs):
        map = _map(trace, found, stream)
        map = map._replace(scale=map.scale._replace(by=by))
        views.append(map._replace(notes=(*map.notes, *_faint_note(map))))
    if token is not None:
        views += _of_output(trace, found, token, by)
    return views


def _map(trace: Trace, found: TraceFlow, stream: str) -> Heatmap:
    """What the outputs have of the inputs of one stream."""
    flow, method = found.flow, found.method
    out_of_reach = found.even.unreachable(stream)
    rows = token_axis(to_say("output"), trace.streams[flow.outputs])
    columns = token_axis(to_say("input"), trace.streams[stream])
    map = Heatmap(
        f"{method} · {_what(flow, stream)}",
        flow.shares[stream],
        pool_axis(rows, flow.steps.get(flow.outputs, 1)),
        pool_axis(columns, flow.steps.get(stream, 1)),
        WEIGHTS,
        out_of_reach.astype(np.uint8) if out_of_reach.any() else None,
        (say("out of reach"),),
        _sum_note(flow, stream),
        pooling="mass",
        name=method if len(flow.shares) == 1 else f"{method}-{stream}",
    )
    return map._replace(notes=(*map.notes, *pooling_notes(map)))


def _faint_note(map: Heatmap) -> tuple[str, ...]:
    """How to see what colours from 0 to 1 do not show."""
    largest = float(np.median(map.values.max(-1, initial=0)))
    if map.scale.by != "all" or largest > FAINT:
        return ()
    return (
        say("half of the rows have no share above {share:.2g}: --scale root shows more",
            share=largest),
    )  # fmt: skip


def _of_output(trace: Trace, found: TraceFlow, token: int, by: Fixed) -> list[View]:
    """The inputs with the largest shares; where the map has no row of this output, all of them."""
    row, exact = found.of_output(token)
    outputs = trace.streams[exact.outputs]
    views: list[View] = []
    if found.output is not None:
        for stream, shares in exact.shares.items():
            out_of_reach = found.output[2].unreachable(stream)
            which = f" · {stream}" if len(exact.shares) > 1 else ""
            title = say("what output {position} {token} has of each input", position=token,
                        token=outputs.labels[token])  # fmt: skip
            views.append(
                Heatmap(
                    title + which,
                    shares[[row]],
                    Axis(say("output"), (outputs.labels[token],), token),
                    token_axis(to_say("input"), trace.streams[stream]),
                    WEIGHTS._replace(by=by),
                    out_of_reach.astype(np.uint8) if out_of_reach.any() else None,
                    (say("out of reach"),),
                    pooling="mass",
                    name=f"output-{token}" + (f"-{stream}" if which else ""),
                )
            )
    return [*views, _table(trace, exact, row, token)]


def _what(flow: Flow, stream: str) -> str:
    if len(flow.shares) == 1:
        return say("which inputs reach which outputs")
    if stream == "source":
        return say("which inputs of the source reach which outputs")
    return say("which inputs of the target reach which outputs")


def _sum_note(flow: Flow, stream: str) -> tuple[str, ...]:
    """What of the outputs' shares is not in this map."""
    if len(flow.shares) == 1:
        return (say("each row sums to 1"),)
    mean = flow.mean_share(stream)
    return (
        say("each row sums to 1 over all inputs; to {mean:.2f} on average over these", mean=mean),
    )


def _table(trace: Trace, flow: Flow, row: int, token: int) -> Table:
    """The inputs with the largest shares of one output, which a row of the flow is of."""
    name = trace.streams[flow.outputs].labels[token]
    several = len(flow.shares) > 1
    rows: list[tuple[Value, ...]] = [
        (*((stream,) if several else ()), position, trace.streams[stream].labels[position], share)
        for stream, position, share in flow.largest(row, LISTED)
    ]
    columns = (
        *((say("stream"),) if several else ()),
        say("position"),
        say("input"),
        say("share"),
    )
    title = say("the largest shares of output {position} {token}", position=token, token=name)
    return Table(title, columns, tuple(rows))
