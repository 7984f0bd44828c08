"""Texts of one length -> every metric of every head of each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.metrics import METRICS, Measure, MetricContext, Pattern
from attnviz.analysis.metrics.statistics import head_statistics
from attnviz.analysis.metrics.tokens import known_ids, punctuation_marks, special_tokens
from attnviz.analysis.metrics.values import output_weights, value_norms
from attnviz.memory import BUDGET
from attnviz.models.model import Model
from attnviz.models.run.finite import no_float_warnings
from attnviz.nn.multi_head import RecordNothing
from attnviz.nn.norms import BatchNorm
from attnviz.nn.site import RecordId, Site
from attnviz.nn.stages import DiscardStages, StageKeeper
from attnviz.nn.streaming import Inputs, TileReader
from attnviz.nn.transformer import Stack, Transformer, attentions
from attnviz.nn.types import Array, Bool
from attnviz.nn.weights import Weight
from attnviz.scan.texts import Text, batch_inputs, text_inputs
from attnviz.trace.summary import StatisticsReader


class Measures(NamedTuple):
    """Of some texts, [n_text, n_metric, n_row] each; the rows are the heads of all attentions."""

    values: Array
    nulls: Array
    rows: Array


STREAMED_CELLS = 1 << 22
"""Weights of one attention from which a text is measured tile by tile: on one core that is then as
fast, and no matrix is whole."""

CELL_BYTES = 32
"""What measuring a weight takes, where the matrix is whole."""


class Meter:
    """Measures texts with one model; of its attentions nothing stays but the numbers."""

    def __init__(self, model: Model, memory: int = BUDGET) -> None:
        """memory: bytes that matrices may take."""
        self._model = model
        self._most_cells = min(STREAMED_CELLS, memory // CELL_BYTES)
        self._n_head = max((site.n_head for site in model.transformer.sites()), default=0)
        self._transformer = to_last_attention(model.transformer)
        self._outputs = output_weights(model.transformer)

    @no_float_warnings
    def __call__(self, texts: Sequence[Text]) -> Measures:
        """Of texts of one length."""
        if len(texts) == 1 and self._n_head * max(texts[0].lengths) ** 2 > self._most_cells:
            return self._streamed(texts[0])
        recorder = _Measuring(texts, self._outputs)
        inputs = batch_inputs(self._model, texts)
        self._transformer(inputs["source"], inputs.get("target"), recorder=recorder)
        return Measures(
            *(np.concatenate(parts, -1) for parts in zip(*recorder.measures, strict=True))
        )

    def _streamed(self, text: Text) -> Measures:
        recorder = _Streaming(text, self._outputs)
        inputs = text_inputs(self._model, text)
        self._transformer(inputs["source"], inputs.get("target"), recorder=recorder)
        found = [reader.statistics() for reader in recorder.readers]

        def column(kind: str) -> Array:
            """[1, n_metric, n_row]"""
            by_metric = [[each[f"{kind}/{name}"] for each in found] for name in METRICS]
            return np.stack([np.concatenate(parts) for parts in by_metric])[None]

        return Measures(column("value"), column("null"), column("rows"))


def heads_of(transformer: Transformer) -> tuple[tuple[RecordId, ...], Array]:
    """The record id and the number in its layer, [n_row], of each row."""
    sites = transformer.sites()
    ids = tuple(site.id for site in sites for _ in range(site.n_head))
    return ids, np.array([head for site in sites for head in range(site.n_head)], np.int64)


def alone(transformer: Transformer) -> bool:
    """Whether texts that are read together would change one another."""
    return any(
        isinstance(norm, BatchNorm) and norm.mean is None
        for stack in (transformer.encoder, transformer.decoder)
        if stack is not None
        for block in stack.blocks
        for sublayer in block
        for norm in (sublayer.before, sublayer.within, sublayer.after, stack.norm)
    )


def to_last_attention(transformer: Transformer) -> Transformer:
    """The same without what comes after its last attention, which no attention sees."""
    if transformer.decoder is not None:
        return transformer._replace(decoder=_shortened(transformer.decoder), unembed=None)
    assert transformer.encoder is not None
    return transformer._replace(encoder=_shortened(transformer.encoder), unembed=None)


def _shortened(stack: Stack) -> Stack:
    *blocks, last = stack.blocks
    looking = [i for i, part in enumerate(last) if any(attentions((part,)))]
    return stack._replace(blocks=(*blocks, last[: max(looking, default=-1) + 1]), norm=None)


class _Measuring(RecordNothing):
    """A recorder that measures each attention as soon as its weights are there."""

    def __init__(self, texts: Sequence[Text], outputs: Mapping[str, Weight]) -> None:
        self.measures: list[Measures] = []
        self._texts, self._outputs = texts, outputs
        self._contexts: dict[tuple[str, str, bool, bytes], MetricContext] = {}
        self._shared: dict[MetricContext, dict[str, Measure]] = {}

    def open(self, site: Site) -> StageKeeper:
        return _Attention(self, site)

    def measure(self, site: Site, visible: Bool, weights: Array, v: Array) -> None:
        norms = value_norms(v, np.asarray(self._outputs[site.id]))
        context = self._context(site, visible)
        pattern = Pattern(context, weights, norms)
        shape = weights.shape[:2]
        own = [metric(pattern) for metric in METRICS.values()]
        even = self._nulls(context, pattern.null)
        self.measures.append(
            Measures(
                values=_by_metric([measure.value for measure in own], shape),
                nulls=_by_metric([measure.value for measure in even], shape),
                rows=_by_metric([measure.rows for measure in own], shape),
            )
        )

    def _nulls(self, context: MetricContext, null: Pattern) -> list[Measure]:
        """Of every metric; layers under one mask share those that do not depend on the head."""
        if context not in self._shared:
            self._shared[context] = {
                name: metric(context.even)
                for name, metric in METRICS.items()
                if not metric.null_by_head
            }
        shared = self._shared[context]
        return [shared[name] if name in shared else METRICS[name](null) for name in METRICS]

    def _context(self, site: Site, visible: Bool) -> MetricContext:
        key = (site.queries, site.keys, site.sinks, visible.tobytes())
        if key not in self._contexts:
            keys = [text.streams[site.keys] for text in self._texts]
            self._contexts[key] = MetricContext(
                visible=visible,
                first=0 if site.queries == site.keys else None,
                ids=np.stack([known_ids(tokens) for tokens in keys]),
                special=np.stack([special_tokens(tokens) for tokens in keys]),
                punctuation=np.stack([punctuation_marks(tokens) for tokens in keys]),
                partial=site.sinks,
            )
        return self._contexts[key]


class _Attention:
    """One attention on its way: the weights come after the values and the mask."""

    def __init__(self, measuring: _Measuring, site: Site) -> None:
        self._measuring, self._site = measuring, site
        self._stages: dict[str, Array] = {}

    def wants(self, stage: str) -> bool:
        return stage in ("v", "mask", "weights")

    def keep(self, stage: str, array: Array) -> None:
        if self.wants(stage):
            self._stages[stage] = array
        if stage == "weights":
            stages = self._stages
            self._measuring.measure(self._site, stages["mask"], stages["weights"], stages["v"])

    def reader(self, inputs: Inputs) -> TileReader | None:
        return None


class _Streaming(RecordNothing):
    """A recorder that measures each attention while its weights come in tiles."""

    def __init__(self, text: Text, outputs: Mapping[str, Weight]) -> None:
        self.readers: list[StatisticsReader] = []
        self._make = head_statistics(text.streams, outputs)

    def open(self, site: Site) -> StageKeeper:
        return _Streamed(self, site)

    def reader(self, site: Site, inputs: Inputs) -> TileReader:
        self.readers.append(self._make(site, inputs, range(site.n_head)))
        return self.readers[-1]


class _Streamed(DiscardStages):
    def __init__(self, streaming: _Streaming, site: Site) -> None:
        self._streaming, self._site = streaming, site

    def reader(self, inputs: Inputs) -> TileReader:
        return self._streaming.reader(self._site, inputs)


def _by_metric(arrays: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """[n_text or 1, n_head or 1] each -> [n_text, n_metric, n_head]."""
    return np.stack([np.broadcast_to(array, shape) for array in arrays], 1)
