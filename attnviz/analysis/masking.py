"""What a mask changes in one head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnviz.analysis.visibility import visible_cells
from attnviz.nn.softmax import masked_softmax
from attnviz.nn.types import Array
from attnviz.trace.record import Record


@dataclass(frozen=True)
class MaskEffect:
    """Weights [n_q, n_k] of the same queries and keys, without and with the mask."""

    without: Array
    with_mask: Array
    hidden_cells: int
    hidden_share: float
    """What the hidden cells would take of the weights, mean over the queries."""

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
    without = masked_softmax(logits, None)[head]
    return MaskEffect(
        without=without,
        with_mask=record.stage("weights")[head],
        hidden_cells=int((~visible).sum()),
        hidden_share=float(np.where(visible, 0, without).sum(-1).mean()),
    )
