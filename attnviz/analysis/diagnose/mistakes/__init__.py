"""The known mistakes, one file a family. Importing this package fills `MISTAKES`."""

from attnviz.analysis.diagnose.mistakes import (
    heads,
    layout,
    masks,
    positions,
    scale,
    softcap,
    softmax,
)

__all__ = [
    "heads",
    "layout",
    "masks",
    "positions",
    "scale",
    "softcap",
    "softmax",
]
