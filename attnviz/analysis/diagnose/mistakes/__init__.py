"""The known mistakes, one file a family. Importing this package fills `MISTAKES`."""

from attnviz.analysis.diagnose.mistakes import (
    cache,
    causal,
    dropout,
    heads,
    layout,
    masks,
    norms,
    online,
    positions,
    precision,
    scale,
    softcap,
    softmax,
)

__all__ = [
    "cache",
    "causal",
    "dropout",
    "heads",
    "layout",
    "masks",
    "norms",
    "online",
    "positions",
    "precision",
    "scale",
    "softcap",
    "softmax",
]
