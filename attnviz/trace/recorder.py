"""What keeps the stages of attention while a transformer runs."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.errors import AttnvizError
from attnviz.nn.site import Site
from attnviz.nn.stages import STAGES, DiscardStages, StageKeeper
from attnviz.nn.types import Array
from attnviz.trace.record import ARRAYS, Record, read_only
from attnviz.trace.selection import Selection


class TraceRecorder:
    """Collects the wanted stages of the selected attentions while a transformer runs."""

    def __init__(self, stages: Sequence[str], selection: Selection | None = None) -> None:
        unknown = [stage for stage in stages if stage not in ARRAYS]
        if unknown:
            raise AttnvizError(f"unknown stage: {unknown[0]!r}", f"known: {', '.join(STAGES)}")
        self._stages = frozenset(stages)
        self._selection = selection or Selection()
        self._kept: list[tuple[Site, _Stages]] = []

    def open(self, site: Site) -> StageKeeper:
        if not self._selection.covers(site):
            return DiscardStages()
        stages = _Stages(self._stages)
        self._kept.append((site, stages))
        return stages

    def records(self) -> tuple[Record, ...]:
        return tuple(Record(site, **stages.kept) for site, stages in self._kept)


class _Stages:
    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self.kept: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return stage in self._wanted

    def keep(self, stage: str, array: Array) -> None:
        if stage in self._wanted or (stage == "masked_by" and "mask" in self._wanted):
            self.kept[stage] = read_only(array)
