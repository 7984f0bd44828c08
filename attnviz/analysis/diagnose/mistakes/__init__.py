"""The known mistakes, one file a family. Importing this package fills `MISTAKES`."""

from attnviz.analysis.diagnose.mistakes import (
    cache,
    causal,
    heads,
    layout,
    masks,
    norms,
    online,
    positions,
    scale,
    softcap,
    softmax,
)

__all__ = [
    "cache",
    "causal",
    "heads",
    "layout",
    "masks",
    "norms",
    "online",
    "positions",
    "scale",
    "softcap",
    "softmax",
]
