"""Which inputs reach which outputs, as maps and as a list for one output."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.analysis.flow import Flow
from attnviz.language import say, to_say
from attnviz.trace.record import Trace
from attnviz.views.attention import By, header, token_axis
from attnviz.views.heads import CAVEAT
from attnviz.views.kinds import WEIGHTS, Heatmap, Line, Table, Text, Value, View

LISTED = 10


def flow_views(
    trace: Trace,
    flow: Flow,
    even: Flow,
    *,
    method: str,
    notes: Sequence[str],
    by: By = "all",
    token: int | None = None,
) -> list[View]:
    """What the map is and is not; a map for each stream of inputs; the inputs of one output.

    Args:
        even: what heads that spread evenly would give; what it lacks, nothing can reach.
        notes: how the shares were computed.
        token: an output whose inputs are listed.
    """
    lines = [Line(say(text), method if i == 0 else "", "note") for i, text in enumerate(notes)]
    views: list[View] = [Text((*header(trace).lines, *lines, Line(say(CAVEAT), "", "warning")))]
    for stream in sorted(flow.shares, key=lambda name: name == flow.outputs):
        shares = flow.shares[stream]
        out_of_reach = even.unreachable(stream)
        views.append(
            Heatmap(
                f"{method} · {_what(flow, stream)}",
                shares,
                token_axis(to_say("output"), trace.streams[flow.outputs]),
                token_axis(to_say("input"), trace.streams[stream]),
                WEIGHTS._replace(by=by),
                out_of_reach.astype(int) if out_of_reach.any() else None,
                (say("out of reach"),),
                _sum_note(flow, stream),
                pooling="mass",
                name=method if len(flow.shares) == 1 else f"{method}-{stream}",
            )
        )
    if token is not None:
        views.append(_table(trace, flow, token))
    return views


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


def _table(trace: Trace, flow: Flow, token: int) -> Table:
    """The inputs with the largest shares of one output."""
    name = trace.streams[flow.outputs].labels[token]
    several = len(flow.shares) > 1
    rows: list[tuple[Value, ...]] = [
        (*((stream,) if several else ()), position, trace.streams[stream].labels[position], share)
        for stream, position, share in flow.largest(token, LISTED)
    ]
    columns = (
        *((say("stream"),) if several else ()),
        say("position"),
        say("input"),
        say("share"),
    )
    title = say("the largest shares of output {position} {token}", position=token, token=name)
    return Table(title, columns, tuple(rows))
