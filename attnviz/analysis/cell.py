"""Every number behind one weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.stages import TERMS
from attnviz.nn.streaming import Tile
from attnviz.nn.types import Array, Bool, brief
from attnviz.trace.record import Record, Trace

DOTS = ("dot", "scaled_dot", "cosine")
"""Scores that are a sum of products, one for each dimension."""


@dataclass(frozen=True)
class Cell:
    """One query's weight on one key, and what it came from. All numbers as they were computed."""

    id: str
    head: int
    kv_head: int
    query: int
    key: int
    score_name: str
    scale: float
    products: Array | None
    """q_i · k_i for each dimension [d_k], of unit vectors for the cosine; None for other scores."""
    product: float
    """The similarity before the scale: the score divided by it."""
    score: float
    softcap: float | None
    capped: float
    terms: Mapping[str, float]
    """What is added to it that takes the query or the key, by name."""
    bias: float | None
    """All that is added to the score, be it 0; None where nothing is."""
    reason: str | None
    """The mask's rule that hides the key, if one does."""
    logit: float
    """capped + bias, or -inf if masked."""
    row_logits: Array
    """[n_k]"""
    row_max: float
    row_sum: float
    """Σ exp(logit - row_max) over the row."""
    weight: float
    row_weights: Array
    """[n_k]"""
    value: Array
    """v of the key, [d_v]."""
    moved: Array
    """weight · v, [d_v]: what this cell adds to the query's context."""
    context: Array
    """The query's context, [d_v]: the sum of what all its cells move."""
    sink: float | None = None
    """The logit of the head's sink, which only enters the sum, if it has one."""
    n_content: int | None = None
    """How many of the dimensions know no position, where rotated ones stand behind them."""

    def __repr__(self) -> str:
        return brief(self)

    @property
    def row_exp(self) -> Array:
        """exp(logit - row_max) of each key, [n_k]; all 0 where the query sees no key."""
        if not np.isfinite(self.row_max):
            return np.zeros(len(self.row_logits))
        return np.exp(np.asarray(self.row_logits, np.float64) - self.row_max)

    @property
    def parts(self) -> dict[str, float]:
        """What the `content` and the `rotary` features give to the product; empty where they do
        not stand behind one another."""
        if self.n_content is None or self.products is None:
            return {}
        content, rotary = self.products[: self.n_content], self.products[self.n_content :]
        return {"content": float(content.sum()), "rotary": float(rotary.sum())}

    @property
    def sink_exp(self) -> float | None:
        """exp(sink - row_max)"""
        return None if self.sink is None else float(np.exp(self.sink - self.row_max))

    @property
    def sink_weight(self) -> float | None:
        """What the sink takes of the row."""
        return None if self.sink_exp is None else self.sink_exp / self.row_sum

    @property
    def n_visible(self) -> int:
        """The keys that the query sees."""
        return int((~np.isneginf(self.row_logits)).sum())

    def arrays(self) -> dict[str, Array]:
        """The fields that are arrays."""
        return {name: x for name, x in vars(self).items() if isinstance(x, np.ndarray)}

    def manifest(self, trace: Trace) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file; JSON has no NaN and no infinity."""
        record, arrays = trace[self.id], self.arrays()
        return {
            "format": "attnviz-cell",
            "version": 1,
            "model": trace.model.to_manifest(),
            "tokens": list(trace.streams[record.queries].tokens),
            "key_tokens": list(trace.streams[record.keys].tokens),
            **{
                name: None if isinstance(x, float) and not np.isfinite(x) else x
                for name, x in vars(self).items()
                if name not in arrays
            },
        }


def explain_cell(record: Record, head: int, query: int, key: int) -> Cell:
    """The numbers behind weights[head, query, key]; needs all of `steps.STAGES` kept.

    Raises:
        AttnvizError: a query or key that does not exist.
    """
    _check_place(query, key, *record.stage("weights").shape[-2:])
    kv_head = head * record.n_kv_head // record.n_head
    q, k = record.stage("q")[head, query], record.stage("k")[kv_head, key]
    v = record.stage("v")[kv_head, key]
    name, scale = record.site.score_and_scale
    softcap = record.site.softcap
    score = float(record.stage("scores")[head, query, key])
    capped = score if softcap is None else float(softcap * np.tanh(score / softcap))
    logits = record.stage("logits")[head, query]
    weights = record.stage("weights")[head, query]
    weight = float(weights[key])
    sink = None if record.sinks is None else float(record.sinks[head])
    row_max = float(logits.max() if sink is None else max(logits.max(), sink))
    with np.errstate(invalid="ignore"):
        row_sum = float(np.exp(logits.astype(np.float64) - row_max).sum())
        row_sum += 0.0 if sink is None else float(np.exp(sink - row_max))
    return Cell(
        id=record.id,
        head=head,
        kv_head=kv_head,
        query=query,
        key=key,
        score_name=name,
        scale=scale,
        products=_products(name.partition(":")[0], q, k),
        product=score / scale,
        score=score,
        softcap=softcap,
        capped=capped,
        terms={
            name: float(record.stage(name)[head, query, key])
            for name in TERMS
            if name in record.kept()
        },
        bias=_bias(record, head, query, key),
        reason=_reason(record, head, query, key),
        logit=float(logits[key]),
        row_logits=logits,
        row_max=row_max,
        row_sum=row_sum if np.isfinite(row_max) else 0.0,
        sink=sink,
        n_content=record.site.n_content,
        weight=weight,
        row_weights=weights,
        value=v,
        moved=weight * v,
        context=record.stage("context")[head, query],
    )


def _check_place(query: int, key: int, n_q: int, n_k: int) -> None:
    for name, position, count in (("query", query, n_q), ("key", key, n_k)):
        if not 0 <= position < count:
            raise AttnvizError(
                f"--cell: there is no {name} {position}", f"{name} goes from 0 to {count - 1}"
            )


def explain_cell_of_summary(
    attention: MultiHeadAttention, mask: Mask, record: Record, head: int, query: int, key: int
) -> Cell:
    """The same of a record that was summarised, with q, k and v kept: its row is computed again.

    `mask` is what hides keys besides the attention's own mask.

    Raises:
        AttnvizError: a query or key that does not exist.
    """
    q, k, v = (record.stage(stage) for stage in ("q", "k", "v"))
    _check_place(query, key, q.shape[-2], k.shape[-2])
    row = slice(query, query + 1)
    stages = attention.rows_in_full(q, k, v, attention.mask + mask, row)
    context = record.stage("context")[:, row]
    given = {} if record.sinks is None else {"sinks": record.sinks}
    whole = Record.of(record.site, {**stages, **given, "q": q[:, row], "context": context})
    return replace(explain_cell(whole, head, 0, key), query=query)


def strongest_cell(
    record: Record, head: int, special_queries: Iterable[int], special_keys: Iterable[int]
) -> tuple[int, int]:
    """The query and the key of the largest weight between ordinary tokens, the first of equals.

    A query that sees one key only has no choice: it is left out like the special tokens, as long
    as anything else is there. Of a record that was summarised it is what `StrongestCells` found.
    """
    if record.summary is not None:
        found, at = record.summary.statistics, record.summary.heads.index(head)
        return int(found["cell/query"][at]), int(found["cell/key"][at])
    weights = np.asarray(record.stage("weights")[head], np.float64)
    seen = ~np.isneginf(record.stage("logits")[head])
    n_q, n_k = weights.shape
    ordinary = np.ones((n_q, n_k), bool)
    ordinary[list(special_queries)] = False
    ordinary[:, list(special_keys)] = False
    has_choice = (seen.sum(-1) > 1)[:, None] & seen
    for wanted in (ordinary & has_choice, ordinary & seen, has_choice, seen, np.ones_like(seen)):
        if wanted.any():
            place = int(np.where(wanted, np.nan_to_num(weights, nan=-1), -2).argmax())
            return place // n_k, place % n_k
    raise AssertionError("a record has at least one cell")


class StrongestCells:
    """Finds `strongest_cell` of every head as the weights come in tiles: statistics "cell/query"
    and "cell/key" [n_head]."""

    def __init__(
        self, heads: Sequence[int], special_queries: Iterable[int], special_keys: Iterable[int]
    ) -> None:
        self._special = np.array([*special_queries], int), np.array([*special_keys], int)
        self._best: dict[int, _Best] = dict.fromkeys(heads, _NOWHERE)

    def fork(self) -> Self:
        other = object.__new__(type(self))
        other._special = self._special
        other._best = dict.fromkeys(self._best, _NOWHERE)
        return other

    def read(self, tile: Tile) -> None:
        if tile.head not in self._best:
            return
        rows, weights = tile.rows, tile.weights
        seen = rows.visible_to(tile.head)
        visible: Bool = np.broadcast_to(True if seen is None else seen, weights.shape)
        special = (
            np.isin(np.arange(part.start, part.stop), places)
            for part, places in zip((rows.queries, rows.keys), self._special, strict=True)
        )
        hidden_rows, hidden_keys = special
        ordinary = ~(hidden_rows[:, None] | hidden_keys)
        has_choice = (np.count_nonzero(visible, axis=-1) > 1)[:, None] & visible
        kinds = (ordinary & has_choice, ordinary & visible, has_choice, visible)
        rank = next((i for i, wanted in enumerate(kinds) if wanted.any()), None)
        if rank is not None:
            sizes = np.where(kinds[rank], np.nan_to_num(weights, nan=-1), -2)
            row, key = divmod(int(sizes.argmax()), sizes.shape[1])
            place = rows.queries.start + row, rows.keys.start + key
            found = _Best(rank, -float(sizes[row, key]), *place)
            self._best[tile.head] = min(self._best[tile.head], found)

    def merge(self, other: Self) -> None:
        for head, best in other._best.items():
            self._best[head] = min(self._best[head], best)

    def statistics(self) -> Mapping[str, Array]:
        """By name, [n_head]."""
        best = self._best.values()
        return {
            "cell/query": np.array([each.query for each in best]),
            "cell/key": np.array([each.key for each in best]),
        }


class _Best(NamedTuple):
    """The best cell so far: the smallest of these."""

    rank: int
    """Of the kinds of cells that are preferred, in the order of `strongest_cell`."""
    size: float
    """The weight, negative."""
    query: int
    key: int


_NOWHERE = _Best(4, 0.0, 0, 0)
"""No query sees any key: the first cell."""


def largest_places(values: Array, count: int) -> Array:
    """Where the `count` largest values of [n] are, the largest first, by magnitude; of equal ones
    the first."""
    return np.argsort(-np.abs(values), kind="stable")[:count]


def _products(name: str, q: Array, k: Array) -> Array | None:
    if name not in DOTS:
        return None
    if name == "cosine":
        norms = [float(np.linalg.norm(x)) or 1.0 for x in (q, k)]
        q, k = q / norms[0], k / norms[1]
    return np.asarray(q * k)


def _bias(record: Record, head: int, query: int, key: int) -> float | None:
    if record.bias is None:
        return None
    shape = record.stage("weights").shape
    return float(np.broadcast_to(record.bias, shape)[head, query, key])


def _reason(record: Record, head: int, query: int, key: int) -> str | None:
    reasons = record.reasons()
    if reasons is None:
        return None
    number = int((reasons[head] if reasons.ndim == 3 else reasons)[query, key])
    names = record.site.mask or ("custom",)
    return names[min(number, len(names)) - 1] if number else None
