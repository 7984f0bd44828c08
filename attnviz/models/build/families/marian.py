"""Marian, as the OPUS-MT translators use it: BART without a norm over the embedding, with fixed
positions. Source: Junczys-Dowmunt et al. 2018; Vaswani et al. 2017, section 3.5."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.bart import (
    IGNORED,
    encoder_decoder,
    finish_config,
    read_halves,
    shared_table,
)
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.positions import sinusoidal
from attnviz.nn.types import Array
from attnviz.nn.weights import rows

TOKENIZER = "MarianTokenizer"
FIXED = r"|(model\.)?(encoder|decoder)\.embed_positions\.weight"
"""Some files hold the sines and cosines, which are computed here."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    config.require("normalize_before", False)
    config.require("normalize_embedding", False)
    config.require("static_position_embeddings", True)
    config.inert("extra_pos_embeddings")
    halves = read_halves(config)
    n_position = config.count("max_position_embeddings")
    n_source = config.count("vocab_size")
    n_target = config.count("decoder_vocab_size", n_source)
    is_shared = config.switch("share_encoder_decoder_embeddings", True)
    d_model = halves[0].d_model
    scale = d_model**0.5 if config.switch("scale_embedding") else 1.0
    finish_config(config)
    source_table = shared_table(tensors, "shared", "encoder.embed_tokens", n_source, d_model)
    target_table = source_table
    if not is_shared:
        target_table = tensors.weight("decoder.embed_tokens.weight", n_target, d_model)
    positions = partial(halved_sinusoidal, d_model=d_model)
    source, target = (
        Embedding(tokens=partial(rows, table), positions=positions, scale=scale)
        for table in (source_table, target_table)
    )
    return encoder_decoder(
        checkpoint,
        tensors,
        halves,
        source,
        target,
        source_table,
        target_table,
        positions="sinusoidal",
        n_position=n_position,
        ignored=IGNORED + FIXED,
    )


def halved_sinusoidal(positions: Array, d_model: int) -> Array:
    """All sines, then all cosines: [n] -> [n, d_model]."""
    pairs = sinusoidal(positions, d_model)
    return np.concatenate([pairs[:, 0::2], pairs[:, 1::2]], axis=1)
