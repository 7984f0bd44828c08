"""RoBERTa: BERT whose positions count from behind the padding's id. Source: Liu et al. 2019."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.encoder import LanguageModelHead
from attnviz.models.build.families.bert import IGNORED, bert_model, embedding, read_sizes
from attnviz.models.model import Model
from attnviz.nn.activations import gelu
from attnviz.nn.types import Array

TOKENIZER = "RobertaTokenizer"
HEAD = LanguageModelHead("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", gelu)
COPY = r"|lm_head\.(decoder\.)?bias"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("roberta."), checkpoint.config
    sizes = read_sizes(config)
    padding = config.whole("pad_token_id", 1)
    source = embedding(config, tensors, sizes.d_model)
    source = source._replace(place=partial(after_padding, padding=padding))
    # the first rows of the table of positions stand for no token
    sizes = sizes._replace(n_position=sizes.n_position - padding - 1)
    return bert_model(checkpoint, tensors, sizes, source, HEAD, IGNORED + COPY)


def after_padding(ids: Array, first: int, *, padding: int) -> Array:
    """ids [n_token] -> positions [n_token]: `padding` for the padding's id; the other tokens
    count on from there."""
    is_token = ids != padding
    positions: Array = np.where(is_token, np.cumsum(is_token, axis=-1) + padding + first, padding)
    return positions
