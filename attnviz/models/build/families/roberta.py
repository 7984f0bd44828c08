"""RoBERTa: BERT whose positions count from behind the padding's id. Source: Liu et al. 2019."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.models.build.families import Built, Config
from attnviz.models.build.families.bert import IGNORED, embedding, encoder
from attnviz.models.build.layers import LanguageModelHead
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.activations import gelu
from attnviz.nn.types import Array

HEAD = LanguageModelHead("lm_head.dense", "lm_head.layer_norm", "lm_head", gelu)
COPY = r"|lm_head\.decoder\.bias"


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("roberta.",), dtype)
    padding = config.whole("pad_token_id", 1)
    source = embedding(config, tensors, config.count("hidden_size"))
    source = source._replace(place=partial(behind_padding, padding=padding))
    return encoder(config, tensors, source, HEAD, IGNORED + COPY, offset=padding + 1)


def behind_padding(ids: Array, first: int, *, padding: int) -> Array:
    """ids [n_token] -> positions [n_token]: `padding` for the padding's id; the other tokens
    count on from there."""
    real = ids != padding
    counted: Array = np.where(real, np.cumsum(real, axis=-1) + padding + first, padding)
    return counted
