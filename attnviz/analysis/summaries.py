"""What is kept of attention whose matrices would be too large to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from attnviz.tokens import Tokens
from attnviz.trace.spans import Zoom
from attnviz.trace.summary import PlanSummaries, SummaryPlan


def usual_summary(streams: Mapping[str, Tokens]) -> SummaryPlan:
    """Pooled maps, the strongest links, and what is said and measured of heads."""
    from attnviz.analysis.metrics.statistics import head_statistics

    return SummaryPlan(statistics=head_statistics(streams))


def plan_summary(zoom: Zoom) -> PlanSummaries:
    """The same, with the weights of some rows and keys as they are."""

    def plan(streams: Mapping[str, Tokens]) -> SummaryPlan:
        usual = usual_summary(streams)
        if not zoom:
            return usual
        return replace(
            usual, block=lambda site: zoom.block(streams[site.queries], streams[site.keys])
        )

    return plan
