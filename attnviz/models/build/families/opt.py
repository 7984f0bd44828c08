"""OPT. Source: Zhang et al. 2022; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model
from attnviz.models.build.layers import (
    activation,
    attention,
    feed_forward,
    head_width,
    layer_norm,
    linear,
    unembedding,
)
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.linear import Linear
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.types import Array
from attnviz.nn.weights import Weight, rows

TOKENIZER = "GPT2Tokenizer"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
EPS = 1e-5
OFFSET = 2
"""The first rows of the table of positions stand for no token."""

IGNORED = r"((model\.)?decoder\.)?project_out\.weight|(score|qa_outputs)\..*"
"""Tensors that no attention depends on: heads, and what leads to an output that is not there."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model.decoder.", "decoder."), checkpoint.config
    sizes = _sizes(config)
    act = activation(config, "activation_function", "relu")
    norm_place = "before" if config.switch("do_layer_norm_before", True) else "after"
    has_last_norm = not config.switch("_remove_final_layer_norm") and norm_place == "before"
    d, d_model = config.count("word_embed_proj_dim", sizes.d_model), sizes.d_model
    bias, is_affine = (
        config.switch(key, True) for key in ("enable_bias", "layer_norm_elementwise_affine")
    )
    config.finish()

    def norm(name: str) -> LayerNorm:
        if is_affine:
            return layer_norm(tensors, name, d_model, EPS)
        return LayerNorm(np.ones(d_model, tensors.dtype), np.zeros(d_model, tensors.dtype), EPS)

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        heads = attention(
            tensors,
            f"{at}.self_attn",
            PROJECTIONS,
            d_model,
            sizes.n_head,
            bias=bias,
            mask=sizes.mask(),
        )
        names = (f"{at}.fc1", f"{at}.fc2")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act, bias=bias)
        return (
            Sublayer(heads, **{norm_place: norm(f"{at}.self_attn_layer_norm")}),
            Sublayer(net, **{norm_place: norm(f"{at}.final_layer_norm")}),
        )

    table = tensors.table("embed_tokens.weight", sizes.n_vocabulary, d)
    unembed = unembedding(config, tensors, table, "lm_head", tied=True)
    answering = BERT_LIKE
    if d != d_model and (unembed is not None or tensors.has("project_out.weight")):
        project = linear(tensors, "project_out", d_model, d, bias=False)
        unembed = unembed and unembed._replace(before=project)
        answering = HeadOptions(steps=(project,))
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        _embedding(tensors, sizes, table),
        norm("final_layer_norm") if has_last_norm else None,
        unembed,
        positions=f"learned, {sizes.n_position}",
        ignored=IGNORED,
        answering=answering,
    )


def _sizes(config: Config) -> Sizes:
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("ffn_dim"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=EPS,
        is_causal=config.switch("is_causal", True),
    )


def _embedding(tensors: Tensors, sizes: Sizes, table: Weight) -> Embedding:
    """`table` [n_vocabulary, d] is projected where it is narrower than the model."""
    d, d_model, n_position = table.shape[1], sizes.d_model, sizes.n_position
    tokens = partial(rows, table)
    if d != d_model:
        project = linear(tensors, "project_in", d, d_model, bias=False)
        tokens = partial(_projected, table, project)
    positions = tensors.take("embed_positions.weight", n_position + OFFSET, d_model)[OFFSET:]
    return Embedding(tokens=tokens, positions=LearnedPositions(positions))


def _projected(table: Weight, project: Linear, ids: Array) -> Array:
    """The tokens' vectors, [n_token, d_model], before positions are added."""
    return project(rows(table, ids))
