"""The same queries and keys under several scoring functions or masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz.analysis.distributions import entropy, spread_evenly
from attnviz.analysis.visibility import visible_cells
from attnviz.errors import AttnvizError
from attnviz.nn.attention import Attention, attend
from attnviz.nn.masks import MASKS, NONE, Mask, custom, parse
from attnviz.nn.scores import SCORES, Score, build_score
from attnviz.nn.seeded import normal
from attnviz.nn.softmax import masked_softmax
from attnviz.nn.types import Array, brief
from attnviz.registry import nearest
from attnviz.trace.record import Record, Trace

N_MATRIX = 4
"""Matrices of each that is compared: scores, logits, weights, and what is made of them."""

N_KEY = 10
N_DRAW = 2000
SEED = 0


@dataclass(frozen=True)
class Variant:
    """One of the things compared."""

    name: str
    scores: Array
    """[n_head, n_q, n_k]"""
    weights: Array
    """[n_head, n_q, n_k]"""
    mask: Array
    """[n_q, n_k], True = visible."""
    reasons: Array
    """[n_q, n_k]: 0 = visible, i = the i-th of mask_names counted from 1."""
    mask_names: tuple[str, ...]
    entropy: float
    """Mean over heads and rows that see at least two keys, in nats."""
    max_entropy: float
    """The entropy of an even spread over the same cells."""
    largest: float
    """The mean of each row's largest weight."""

    def __repr__(self) -> str:
        return brief(self)

    def change(self, first: Variant) -> Array:
        """How far the weights are from those of another, [n_head, n_q, n_k]."""
        return self.weights - first.weights

    def hidden_in_both(self, first: Variant) -> Array | None:
        """[n_q, n_k]: the reason of `first` where both hide a cell, else 0; None for a batch."""
        return np.where(self.mask, 0, first.reasons) if first.reasons.ndim == 2 else None


def compare_scores(
    q: Array, k: Array, v: Array, mask: Mask, scores: Mapping[str, Score]
) -> list[Variant]:
    """q [n_head, n_q, d_k], k [n_head, n_k, d_k] under several scores, each with its own scale."""
    return [
        _variant(name, mask, attend(q, k, v, score=score, mask=_visible(mask, q, k)))
        for name, score in scores.items()
    ]


def compare_masks(
    q: Array, k: Array, v: Array, score: Score, masks: Mapping[str, Mask]
) -> list[Variant]:
    """q [n_head, n_q, d_k], k [n_head, n_k, d_k] under several masks."""
    return [
        _variant(name, mask, attend(q, k, v, score=score, mask=_visible(mask, q, k)))
        for name, mask in masks.items()
    ]


@dataclass(frozen=True)
class Sharpness:
    """What a score does to random queries and keys of one width."""

    score: str
    d_k: int
    variance: float
    """Of the scores over the keys of a row."""
    largest: float
    """Mean of the largest of 10 weights."""
    entropy: float
    """Mean, in nats; ln 10 = 2.303 is an even spread."""


def sharpness_by_width(
    make: Callable[[str, int], Score], names: Sequence[str], widths: Sequence[int], seed: int
) -> list[Sharpness]:
    """Each score on rows of 10 keys, all components of q and k drawn from N(0, 1).

    Without the division by √d_k the variance of q·k grows as d_k, and the softmax with it
    towards one-hot. Source: Vaswani et al. 2017, section 3.2.1, footnote 4.
    """
    results = []
    for d_k in widths:
        q = normal((N_DRAW, 1, d_k), seed, "q", d_k)
        k = normal((N_DRAW, N_KEY, d_k), seed, "k", d_k)
        for name in names:
            scores = make(name, d_k)(q, k)
            weights = masked_softmax(scores, None)
            results.append(
                Sharpness(
                    score=name,
                    d_k=d_k,
                    variance=float(scores.var(-1, ddof=1).mean()),
                    largest=float(weights.max(-1).mean()),
                    entropy=float(entropy(weights).mean()),
                )
            )
    return results


@dataclass(frozen=True)
class Comparison:
    """Scores or masks on the queries and keys of one record."""

    variants: tuple[Variant, ...]
    widths: tuple[Sharpness, ...] = ()
    """What the scores do to random queries and keys, by their width."""
    of_scores: bool = False

    def manifest(self, trace: Trace, record: Record) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file."""
        variants = [
            {"name": v.name, "entropy": v.entropy, "most": v.max_entropy, "largest": v.largest}
            for v in self.variants
        ]
        return {
            "format": "attnviz-comparison",
            "version": 1,
            "model": trace.model.to_manifest(),
            "record": record.id,
            "tokens": list(trace.streams[record.queries].tokens),
            "variants": variants,
            **({"widths": [vars(each) for each in self.widths]} if self.widths else {}),
        }

    def arrays(self) -> dict[str, Array]:
        """[n_head, n_q, n_k] of each variant."""
        stages = ("scores", "weights")
        return {f"{v.name}/{stage}": getattr(v, stage) for v in self.variants for stage in stages}


def are_scores(names: Sequence[str]) -> bool:
    """Whether all names are scores; if not, all are masks.

    Raises:
        AttnvizError: an unknown name, or scores beside masks.
    """
    heads = [[part.partition(":")[0] for part in name.split("+")] for name in names]
    if all(len(parts) == 1 and parts[0] in SCORES for parts in heads):
        return True
    if all(part in MASKS or part == "none" for parts in heads for part in parts):
        return False
    known = [*SCORES, "none", *MASKS]
    for parts in heads:
        for part in parts:
            if part not in known:
                hint = "a text goes behind --text" if " " in part else nearest(part, known)
                raise AttnvizError(f"unknown score or mask: {part!r}", hint)
    raise AttnvizError(
        "scores and masks cannot be compared with each other",
        "attnviz compare additive dot, or attnviz compare causal window:size=3",
    )


def compare(record: Record, names: Sequence[str], widths: Sequence[int] = ()) -> Comparison:
    """Scores, under the record's own mask, or masks, with scaled dot products, on a record's q and
    k; scores also on random queries and keys of these widths. Needs q, k, v and the mask kept.

    Raises:
        AttnvizError: an unknown name, or scores beside masks.
    """
    q, k, v = (record.stage(stage) for stage in ("q", "k", "v"))
    if not are_scores(names):
        named = {name: parse(name) for name in names}
        return Comparison(tuple(compare_masks(q, k, v, SCORES["scaled_dot"].function, named)))
    mask = custom(record.stage("mask")) if record.site.mask else NONE
    scores = {name: seeded_score(name, q.shape[-1]) for name in names}
    return Comparison(
        tuple(compare_scores(q, k, v, mask, scores)),
        tuple(sharpness_by_width(seeded_score, names, widths, SEED)),
        of_scores=True,
    )


def seeded_score(spec: str, d_k: int) -> Score:
    """A scoring function; its learned arrays, if it has any, are drawn from a fixed seed."""

    def draw(key: str, shape: tuple[int, ...]) -> Array:
        return normal(shape, SEED, key, d_k) / math.sqrt(shape[-1])

    return build_score(spec, d_k, draw)[1]


def _visible(mask: Mask, q: Array, k: Array) -> Array | None:
    return mask.visible(np.arange(q.shape[-2]), np.arange(k.shape[-2]))


def _variant(name: str, mask: Mask, done: Attention) -> Variant:
    n_q, n_k = done.weights.shape[-2:]
    rows = done.mask.sum(-1) > 1
    even = spread_evenly(done.mask)
    counted = done.weights[:, rows]
    return Variant(
        name=name,
        scores=done.scores,
        weights=done.weights,
        mask=done.mask,
        reasons=mask.reasons(np.arange(n_q), np.arange(n_k)),
        mask_names=mask.names,
        entropy=float(entropy(counted).mean()) if rows.any() else float("nan"),
        max_entropy=float(entropy(even[rows]).mean()) if rows.any() else float("nan"),
        largest=float(done.weights.max(-1).mean()),
    )


@dataclass(frozen=True)
class MaskEffect:
    """Weights [n_q, n_k] of the same queries and keys, without and with the mask."""

    without: Array
    with_mask: Array
    hidden_cells: int
    hidden_share: float
    """What the hidden cells would take of the weights, mean over the queries."""

    def __repr__(self) -> str:
        return brief(self)

    @property
    def change(self) -> Array:
        """[n_q, n_k]: with the mask less without it."""
        return self.with_mask - self.without


def mask_effect(record: Record, head: int) -> MaskEffect:
    """Needs `scores` and `weights` kept. The layers below are not run again: q and k stay."""
    scores = record.stage("scores")
    cap = record.site.softcap
    logits = scores if cap is None else cap * np.tanh(scores / cap)
    if record.bias is not None:
        logits = logits + record.bias
    visible = visible_cells(record, head)
    without = masked_softmax(logits, None, record.sinks)[head]
    return MaskEffect(
        without=without,
        with_mask=record.stage("weights")[head],
        hidden_cells=int((~visible).sum()),
        hidden_share=float(np.where(visible, 0, without).sum(-1).mean()),
    )
