"""The known mistakes, one file a family. Importing this package fills `MISTAKES`."""

from attnviz.analysis.diagnose.mistakes import (
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
