"""M2M-100 and NLLB: translators between many languages, with computed positions. Source: Fan et al.
2021; NLLB Team 2022; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.bart import (
    IGNORED,
    embedding_scale,
    encoder_decoder,
    finish_config,
    read_halves,
    read_tables,
)
from attnviz.models.build.families.roberta import after_padding
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.positions import sines_then_cosines
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight, rows

TOKENIZER = "M2M100Tokenizer"
STORED = r"|(model\.)?(en|de)coder\.(embed_positions\.(weights|_float_tensor)|version)"
"""What older files have of positions, which are computed."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    halves = read_halves(config, "relu")
    n_trained, n_vocabulary = config.count("max_position_embeddings"), config.count("vocab_size")
    padding, d_model = config.whole("pad_token_id", 1), halves[0].d_model
    scale = embedding_scale(config, d_model, True)
    finish_config(config, is_pre_norm=True)
    tables = read_tables(config, tensors, n_vocabulary, n_vocabulary, d_model)

    def embedding(table: Weight) -> Embedding:
        return Embedding(
            tokens=partial(rows, table),
            positions=partial(fairseq_positions, d_model=d_model, padding=padding),
            place=partial(after_padding, padding=padding),
            scale=scale,
        )

    return encoder_decoder(
        checkpoint,
        tensors,
        halves,
        embedding(tables.source),
        embedding(tables.target),
        tables,
        positions="sinusoidal",
        trained_tokens=n_trained,
        ignored=IGNORED + STORED,
        is_pre_norm=True,
    )


def fairseq_positions(positions: Array, *, d_model: int, padding: int) -> Array:
    """[n] -> [n, d_model]: sines and cosines, and nothing for padding, whose position is its id."""
    return np.where(positions[:, None] == padding, 0.0, sines_then_cosines(positions, d_model))
