"""CodeGen: GPT-J whose query, value and key lie in one matrix, in the blocks that the cores of a
TPU held. Source: Nijkamp et al. 2023, section 2."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.gptj import gptj_model
from attnviz.models.build.layers import linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.linear import Linear

TOKENIZER = "GPT2Tokenizer"

N_CORE = 4
"""Each held a block of the matrix: its heads' queries, then their values, then their keys."""


def build(checkpoint: Checkpoint) -> Model:
    n_head = checkpoint.config.get("n_head", 0)
    if isinstance(n_head, int) and n_head % N_CORE:
        raise checkpoint.config.error(f"n_head = {n_head} is no multiple of {N_CORE}")
    return gptj_model(checkpoint, _projections)


def _projections(tensors: Tensors, at: str, d_model: int) -> tuple[Linear, Linear, Linear]:
    blocks = np.arange(3 * d_model).reshape(N_CORE, 3, d_model // N_CORE)
    fused = partial(linear, tensors, f"{at}.qkv_proj", d_model, 3 * d_model, bias=False)
    query, value, key = (fused(rows=blocks[:, part].ravel()) for part in range(3))
    return query, key, value
