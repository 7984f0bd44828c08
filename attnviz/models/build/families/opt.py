"""OPT. Source: Zhang et al. 2022; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.models.build.decoder import Sizes, causal, language_model
from attnviz.models.build.families import Built, Config
from attnviz.models.build.layers import (
    activation,
    attention,
    feed_forward,
    head_width,
    layer_norm,
    linear,
    unembedding,
)
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.embedding import Embedding
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import look_up
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.types import Array
from attnviz.nn.weights import rows

EPS = 1e-5
OFFSET = 2
"""The first rows of the table of positions stand for no token."""

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")

IGNORED = r"(score|qa_outputs)\..*"


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("model.decoder.", "decoder."), dtype)
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    sizes = Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("ffn_dim"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=EPS,
    )
    act = activation(config, "activation_function", "relu")
    place = "before" if config.switch("do_layer_norm_before", True) else "after"
    last = not config.switch("_remove_final_layer_norm") and place == "before"
    d = config.count("word_embed_proj_dim", d_model)
    config.require("enable_bias", True)
    config.require("layer_norm_elementwise_affine", True)
    words = tensors.weight("embed_tokens.weight", sizes.n_vocabulary, d)
    unembed = unembedding(config, tensors, words, "lm_head", tied=True)
    config.finish()
    if unembed is not None and d != d_model:
        unembed = unembed._replace(before=linear(tensors, "project_out", d_model, d, bias=False))

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, d_model, EPS)

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        heads = attention(tensors, f"{at}.self_attn", PROJECTIONS, d_model, n_head, mask=causal())
        net = feed_forward(tensors, (f"{at}.fc1", f"{at}.fc2"), d_model, sizes.d_ff, act)
        return (
            Sublayer(heads, **{place: norm(f"{at}.self_attn_layer_norm")}),
            Sublayer(net, **{place: norm(f"{at}.final_layer_norm")}),
        )

    table = tensors.take("embed_positions.weight", sizes.n_position + OFFSET, d_model)[OFFSET:]
    tokens = partial(rows, words)
    if d != d_model:
        project = linear(tensors, "project_in", d, d_model, bias=False)
        tokens = partial(_projected, words, project)
    embedding = Embedding(tokens=tokens, positions=partial(look_up, table))
    return language_model(
        tensors,
        sizes,
        block,
        embedding,
        norm("final_layer_norm") if last else None,
        unembed,
        f"learned, {sizes.n_position}",
        IGNORED,
    )


def _projected(words: Any, project: Any, ids: Array) -> Array:
    """Tokens' vectors in the width of the model, before positions are added."""
    wide: Array = project(rows(words, ids))
    return wide
