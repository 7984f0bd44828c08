"""Marian, as the OPUS-MT translators use it: BART without a norm over the embedding, with fixed
positions. Source: Junczys-Dowmunt et al. 2018; Vaswani et al. 2017, section 3.5."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.bart import (
    IGNORED,
    Half,
    embedding_scale,
    encoder_decoder,
    finish_config,
    read_halves,
    read_tables,
)
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding, PositionVectors
from attnviz.nn.positions import sinusoidal
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight, rows

TOKENIZER = "MarianTokenizer"
ROUNDING = 1e-6
"""A table of positions that is no further from the formula is the formula, which has no end."""


def build(checkpoint: Checkpoint) -> Model:
    return marian_model(checkpoint, is_pre_norm=False)


def marian_model(checkpoint: Checkpoint, *, is_pre_norm: bool) -> Model:
    """Marian, or Pegasus, whose norms stand before the sublayers and at the end of both stacks."""
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    config.require("normalize_embedding", False)
    config.require("static_position_embeddings", True)
    config.inert("extra_pos_embeddings")
    halves = read_halves(config)
    n_position = config.count("max_position_embeddings")
    n_source = config.count("vocab_size")
    n_target = config.count("decoder_vocab_size", n_source)
    is_shared = config.switch("share_encoder_decoder_embeddings", True)
    d_model = halves[0].d_model
    scale = embedding_scale(config, d_model)
    finish_config(config, is_pre_norm=is_pre_norm)
    n_target = n_source if is_shared else n_target
    tables = read_tables(config, tensors, n_source, n_target, d_model, is_shared=is_shared)

    def embedding(half: Half, table: Weight) -> Embedding:
        name = f"{half.name}.embed_positions.weight"
        positions: PositionVectors = partial(halved_sinusoidal, d_model=d_model)
        if tensors.has(name):
            stored = tensors.take(name, n_position, d_model)
            if not np.allclose(stored, positions(np.arange(n_position)), rtol=0, atol=ROUNDING):
                positions = LearnedPositions(stored)
        return Embedding(tokens=partial(rows, table), positions=positions, scale=scale)

    return encoder_decoder(
        checkpoint,
        tensors,
        halves,
        embedding(halves[0], tables.source),
        embedding(halves[1], tables.target),
        tables,
        positions="sinusoidal",
        max_tokens=n_position,
        ignored=IGNORED,
        is_pre_norm=is_pre_norm,
    )


def halved_sinusoidal(positions: Array, d_model: int) -> Array:
    """All sines, then all cosines: [n] -> [n, d_model]."""
    pairs = sinusoidal(positions, d_model)
    return np.concatenate([pairs[:, 0::2], pairs[:, 1::2]], axis=1)
