"""Traces of one attention with numbers that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.tokens import Tokens
from attnviz.trace.record import Record, Trace, read_only


def trace_of(
    array: np.ndarray,
    tokens: Sequence[str],
    mask: np.ndarray | None = None,
    stage: str = "weights",
    id: str = "encoder.0.self",
) -> Trace:
    """array [n_head, n_token, n_token]"""
    block, layer, kind = id.split(".")
    record = Record(
        id=id,
        kind=kind,
        layer=int(layer),
        n_head=len(array),
        n_kv_head=len(array),
        queries="source",
        keys="source",
        mask_name="none" if mask is None else "custom",
        mask=None if mask is None else read_only(mask),
        **{stage: read_only(array)},
    )
    return Trace({"name": "made", "kind": block}, {"source": Tokens.of(tokens)}, (record,))
