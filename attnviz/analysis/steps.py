"""One head, stage by stage, from q, k and v to the context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attnviz.nn.stages import TERMS
from attnviz.nn.types import Array, brief
from attnviz.trace.record import Record

SHOWN = ("q", "k", "v", "scores", "logits", "weights", "context")
STAGES = (*SHOWN, "bias", *TERMS)
"""Those, and what not every attention has."""


class HeadSteps(NamedTuple):
    """What a head computed, as it was kept."""

    kv_head: int
    q: Array
    """[n_q, d_k]"""
    k: Array
    """[n_k, d_k]"""
    v: Array
    """[n_k, d_v]"""
    similarity: Array
    """[n_q, n_k]: the scores before they were scaled."""
    parts: Mapping[str, Array]
    """[n_q, n_k] by name: the `content` and the `rotary` features' part of the similarity, where
    these stand behind one another (latent attention); they add up to it."""
    scores: Array
    """[n_q, n_k]"""
    terms: Mapping[str, Array]
    """[n_q, n_k] by name: what is added to the scores that takes a query or a key."""
    logits: Array
    """[n_q, n_k]; -inf where masked."""
    weights: Array
    """[n_q, n_k]"""
    row_sums: Array
    """[n_q]: of the weights."""
    context: Array
    """[n_q, d_v]"""

    def __repr__(self) -> str:
        return brief(self)


def head_steps(record: Record, head: int) -> HeadSteps:
    """Needs all of STAGES kept that the attention has."""
    kv_head = head * record.n_kv_head // record.n_head
    scores, weights = record.stage("scores")[head], record.stage("weights")[head]
    _, scale = record.site.score_and_scale
    return HeadSteps(
        kv_head=kv_head,
        q=record.stage("q")[head],
        k=record.stage("k")[kv_head],
        v=record.stage("v")[kv_head],
        similarity=scores / scale,
        parts=_parts(record, head, kv_head),
        scores=scores,
        terms={name: record.stage(name)[head] for name in TERMS if name in record.kept()},
        logits=record.stage("logits")[head],
        weights=weights,
        row_sums=weights.sum(-1),
        context=record.stage("context")[head],
    )


def _parts(record: Record, head: int, kv_head: int) -> dict[str, Array]:
    n = record.site.n_content
    if n is None:
        return {}
    q, k = record.stage("q")[head], record.stage("k")[kv_head]
    return {"content": q[:, :n] @ k[:, :n].T, "rotary": q[:, n:] @ k[:, n:].T}
