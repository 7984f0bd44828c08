"""What keeps the stages of attention while a transformer runs."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.multi_head import RecordNothing, Routing
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import STAGES, VECTORS, DiscardStages, StageKeeper
from attnviz.nn.streaming import Inputs, ReadNothing, TileReader
from attnviz.nn.tile_readers import Block, ExactBlock
from attnviz.nn.types import Array
from attnviz.trace.record import ARRAYS, Record, read_only
from attnviz.trace.selection import Selection
from attnviz.trace.summary import Summariser, Summary, SummaryPlan


class TraceRecorder:
    """Collects the wanted stages of the selected attentions while a transformer runs; with a plan
    of summaries these, instead of the matrices."""

    def __init__(
        self,
        stages: Sequence[str],
        selection: Selection | None = None,
        summaries: SummaryPlan | None = None,
    ) -> None:
        unknown = [stage for stage in stages if stage not in ARRAYS]
        if unknown:
            raise AttnvizError(f"unknown stage: {unknown[0]!r}", f"known: {', '.join(STAGES)}")
        self._stages = frozenset(stages)
        self._selection = selection or Selection()
        self._summaries = summaries
        self._kept: list[tuple[Site, _Stages]] = []
        self._routings: dict[str, Routing] = {}

    def open(self, site: Site) -> StageKeeper:
        if not self._selection.covers(site):
            return DiscardStages() if self._summaries is None else _StreamOnly()
        if self._summaries is None:
            stages = _Stages(self._stages)
        else:
            heads = self._selection.heads(site)
            stages = _Summarised(self._stages, site, self._summaries, heads)
        self._kept.append((site, stages))
        return stages

    def routed(self, block: str, layer: int, routing: Routing) -> None:
        if self._kept and self._kept[-1][0].id.place == (block, layer):
            experts, weights, n_expert = routing
            self._routings[f"{block}.{layer}"] = Routing(
                read_only(experts), read_only(weights), n_expert
            )

    def routings(self) -> dict[str, Routing]:
        """What the routers of the recorded layers chose, by layer: `decoder.3`."""
        return dict(self._routings)

    def records(self, ids: Container[RecordId] | None = None) -> tuple[Record, ...]:
        """What was recorded; of these attentions only, if the others were not finished."""
        return tuple(
            Record.of(site, stages.kept, stages.summary())
            for site, stages in self._kept
            if ids is None or site.id in ids
        )


class _Stages:
    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.kept: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return stage in self._wanted

    def keep(self, stage: str, array: Array) -> None:
        if (
            stage in self._wanted
            or stage == "sinks"
            or (stage == "masked_by" and "mask" in self._wanted)
        ):
            self.kept[stage] = read_only(array)

    def reader(self, inputs: Inputs) -> TileReader | None:
        return None

    def summary(self) -> Summary | None:
        return None


class _StreamOnly(DiscardStages):
    """Of an attention that nobody records, in a run that is to need little memory."""

    def reader(self, inputs: Inputs) -> TileReader | None:
        return ReadNothing()


class _Summarised(_Stages):
    def __init__(
        self, wanted: frozenset[str], site: Site, plan: SummaryPlan, heads: Sequence[int]
    ) -> None:
        super().__init__(wanted & frozenset(VECTORS))
        self._site, self._plan, self._heads = site, plan, heads
        self._summariser: Summariser | None = None

    def reader(self, inputs: Inputs) -> TileReader | None:
        self._summariser = Summariser(self._plan, self._site, inputs, self._heads)
        return self._summariser.reader

    def summary(self) -> Summary | None:
        return None if self._summariser is None else self._summariser.summary()


class LastRowRecorder(RecordNothing):
    """Keeps of each attention the weights of its last query, [n_head, 1, n_k], and what hides its
    keys: all that a step of decoding adds."""

    def __init__(self) -> None:
        self._kept: list[tuple[Site, _LastRow]] = []

    def open(self, site: Site) -> StageKeeper:
        keeper = _LastRow(site)
        self._kept.append((site, keeper))
        return keeper

    def records(self) -> tuple[Record, ...]:
        return tuple(Record.of(site, keeper.stages()) for site, keeper in self._kept)


class _LastRow(DiscardStages):
    def __init__(self, site: Site) -> None:
        self._site = site

    def reader(self, inputs: Inputs) -> TileReader | None:
        last = Block(np.array([inputs.n_q - 1]), np.arange(inputs.n_k))
        self._inputs = inputs._replace(v=inputs.v[..., :0])  # the values are the next layer's soon
        self._row = ExactBlock(inputs, range(self._site.n_head), last)
        return self._row

    def stages(self) -> dict[str, Array]:
        row, every = slice(self._inputs.n_q - 1, self._inputs.n_q), slice(0, self._inputs.n_k)
        reasons = self._inputs.mask.reasons_part(*self._inputs[1:3], row, every)
        return {
            "weights": read_only(self._row.weights),
            "mask": read_only(reasons == 0),
            "masked_by": read_only(reasons),
        }
