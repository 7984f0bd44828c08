"""Whether an attention is causal: by its mask or, where none was kept, by its weights."""

from __future__ import annotations

import numpy as np

from attnviz.nn.types import Bool
from attnviz.trace.record import Record

GUESSED = "no mask is known; no weight lies above the diagonal"
"""Why an attention without a mask is taken for causal."""


def looks_causal(record: Record) -> bool:
    """Whether no mask was kept of a self-attention whose queries give nothing to later keys, and
    there are enough of them not to be so by chance."""
    if record.mask is not None or record.kind != "self":
        return False
    weights = record.stage("weights")
    n_q, n_k = weights.shape[-2:]
    return n_q == n_k > 2 and not weights[:, later(n_q)].any()


def later(n_token: int) -> Bool:
    """[n_token, n_token]: the keys behind each query."""
    return np.triu(np.ones((n_token, n_token), bool), 1)
