"""Traces of one attention with numbers that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace, read_only


def trace_of(
    array: np.ndarray,
    tokens: Sequence[str],
    mask: np.ndarray | None = None,
    stage: str = "weights",
    id: str = "encoder.0.self",
) -> Trace:
    """array [n_head, n_token, n_token]"""
    rules = () if mask is None else ("custom",)
    site = Site(RecordId.parse(id), "source", "source", len(array), len(array), rules)
    record = Record(
        site,
        mask=None if mask is None else read_only(mask),
        **{stage: read_only(array)},
    )
    return Trace(ModelFacts("made", site.block), {"source": Tokens.of(tokens)}, (record,))
