"""A part of a block, run by itself."""

from __future__ import annotations

import numpy as np

from attnviz.nn.multi_head import RecordNothing, Stream, SublayerContext
from attnviz.nn.scratch import Scratch
from attnviz.nn.types import Array


def around(x: Array) -> SublayerContext:
    """What the first block of an encoder sees besides its input [n_token, d_model]."""
    stream = Stream("source", x, np.arange(len(x)))
    return SublayerContext("encoder", 0, stream, None, RecordNothing(), Scratch())
