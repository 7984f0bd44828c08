"""GPT-2. Source: Radford et al. 2019, section 2.3; weights are stored [d_in, d_out]."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.models.build.decoder import Sizes, causal, language_model, with_heads
from attnviz.models.build.families import Built, Config
from attnviz.models.build.layers import activation, head_width, layer_norm, unembedding
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.schemes import look_up
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

IGNORED = r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias|(score|multiple_choice_head)\..*"


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("transformer.",), dtype)
    d_model, n_head = config.count("n_embd"), config.count("n_head")
    sizes = Sizes(
        n_layer=config.count("n_layer"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("n_inner", 4 * d_model),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("n_positions"),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
    )
    act = activation(config, "activation_function", "gelu_new")
    scale = sizes.d_head**-0.5 if config.switch("scale_attn_weights", True) else 1.0
    by_layer = config.switch("scale_attn_by_inverse_layer_idx")
    config.inert("n_ctx", "reorder_and_upcast_attn", "summary_first_dropout")
    words = tensors.weight("wte.weight", sizes.n_vocabulary, d_model)
    unembed = unembedding(config, tensors, words, "lm_head", tied=True)
    config.finish()

    def block(layer: int) -> Block:
        at = f"h.{layer}"
        query, key, value = (
            _linear(tensors, f"{at}.attn.c_attn", d_model, 3 * d_model, part=part)
            for part in (slice(i * d_model, (i + 1) * d_model) for i in range(3))
        )
        attention = with_heads(
            sizes,
            query,
            key,
            value,
            _linear(tensors, f"{at}.attn.c_proj", d_model, d_model),
            scale=scale / (layer + 1) if by_layer else scale,
            mask=causal(),
        )
        net = FeedForward(
            up=_linear(tensors, f"{at}.mlp.c_fc", d_model, sizes.d_ff),
            down=_linear(tensors, f"{at}.mlp.c_proj", sizes.d_ff, d_model),
            activation=act,
        )
        return (
            Sublayer(attention, before=layer_norm(tensors, f"{at}.ln_1", d_model, sizes.eps)),
            Sublayer(net, before=layer_norm(tensors, f"{at}.ln_2", d_model, sizes.eps)),
        )

    positions = tensors.take("wpe.weight", sizes.n_position, d_model)
    embedding = Embedding(tokens=partial(rows, words), positions=partial(look_up, positions))
    norm = layer_norm(tensors, "ln_f", d_model, sizes.eps)
    return language_model(
        tensors, sizes, block, embedding, norm, unembed, f"learned, {sizes.n_position}", IGNORED
    )


def _linear(
    tensors: Tensors, name: str, d_in: int, d_out: int, part: slice = slice(None)
) -> Linear:
    """A linear map from NAME.weight [d_in, d_out], or some of its outputs."""
    weight = tensors.weight(f"{name}.weight", d_in, d_out, rows=part, flipped=True)
    return Linear(weight, tensors.take(f"{name}.bias", d_out)[part])
