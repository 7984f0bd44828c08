"""The frame of decoders that continue text, and what those in the manner of Llama share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.config import Config
from attnviz.models.build.families import Built
from attnviz.models.build.layers import linear, rms_norm
from attnviz.models.build.tensors import Tensors
from attnviz.nn import masks
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embed, Embedding, Unembedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import Norm
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer
from attnviz.nn.weights import Weight, rows

IGNORED = r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq|score\..*"
"""Tensors of such a decoder that no attention and no logit depends on."""


class Sizes(NamedTuple):
    """What the config of every decoder in the manner of Llama says."""

    n_layer: int
    n_head: int
    n_kv_head: int
    d_head: int
    d_model: int
    d_ff: int
    n_vocabulary: int
    n_position: int
    eps: float


def read_sizes(config: Config) -> Sizes:
    n_head, d_model = config.count("num_attention_heads"), config.count("hidden_size")
    config.inert("pretraining_tp")
    config.require("rope_interleaved", False)
    config.require("use_mrope", False)
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=config.count("num_key_value_heads", n_head),
        d_head=config.count("head_dim", max(1, d_model // n_head)),
        d_model=d_model,
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=config.above(0, "rms_norm_eps", 1e-6),
    )


def read_windows(
    config: Config, n_layer: int, size: int | None, slides: Callable[[int], bool]
) -> Callable[[int], int | None]:
    """The sliding window of each layer, None where it sees all that came before.

    `layer_types` says which layers slide, or else `slides(layer)`.
    """
    if config.has("layer_types"):
        kinds = config.kinds("layer_types", n_layer, "full_attention", "sliding_attention")
        sliding = [kind == "sliding_attention" for kind in kinds]
        slides = sliding.__getitem__
        if size is None and any(sliding):
            raise config.error("layer_types has sliding layers, but no sliding_window is used")
    return lambda layer: size if slides(layer) else None


def causal(window: int | None = None) -> Mask:
    """A query sees itself and what came before, at most `window` keys."""
    return masks.CAUSAL if window is None else masks.parse(f"causal+window:size={window}")


def embedding_table(tensors: Tensors, sizes: Sizes) -> Weight:
    return tensors.weight("embed_tokens.weight", sizes.n_vocabulary, sizes.d_model)


def token_embedding(table: Weight, scale: float = 1.0) -> Embedding:
    return Embedding(tokens=partial(rows, table), scale=scale)


def grouped_attention(
    tensors: Tensors,
    at: str,
    sizes: Sizes,
    *,
    bias: bool = False,
    output_bias: bool | None = None,
    **fields: Any,
) -> MultiHeadAttention:
    """Attention whose query heads share key/value heads; projections below `at`."""
    width, kv_width = sizes.n_head * sizes.d_head, sizes.n_kv_head * sizes.d_head
    output_bias = bias if output_bias is None else output_bias
    return with_heads(
        sizes,
        linear(tensors, f"{at}.q_proj", sizes.d_model, width, bias=bias),
        linear(tensors, f"{at}.k_proj", sizes.d_model, kv_width, bias=bias),
        linear(tensors, f"{at}.v_proj", sizes.d_model, kv_width, bias=bias),
        linear(tensors, f"{at}.o_proj", width, sizes.d_model, bias=output_bias),
        **fields,
    )


def with_heads(
    sizes: Sizes, query: Linear, key: Linear, value: Linear, output: Linear, **fields: Any
) -> MultiHeadAttention:
    heads = {"n_head": sizes.n_head, "n_kv_head": sizes.n_kv_head, "scale": sizes.d_head**-0.5}
    return MultiHeadAttention(query, key, value, output, **(heads | fields))


def gated(
    tensors: Tensors, at: str, sizes: Sizes, activation: Activation, *, bias: bool = False
) -> FeedForward:
    """down(activation(gate(x)) · up(x)); projections below `at`."""

    def part(name: str, d_in: int, d_out: int) -> Linear:
        return linear(tensors, f"{at}.{name}", d_in, d_out, bias=bias)

    return FeedForward(
        up=part("up_proj", sizes.d_model, sizes.d_ff),
        down=part("down_proj", sizes.d_ff, sizes.d_model),
        activation=activation,
        gate=part("gate_proj", sizes.d_model, sizes.d_ff),
    )


def pre_norm_block(
    tensors: Tensors, at: str, sizes: Sizes, attention: MultiHeadAttention, net: FeedForward
) -> Block:
    """Attention and feed-forward net, each behind an RMS norm."""

    def norm(name: str) -> Norm:
        return rms_norm(tensors, f"{at}.{name}", sizes.d_model, sizes.eps)

    return (
        Sublayer(attention, before=norm("input_layernorm")),
        Sublayer(net, before=norm("post_attention_layernorm")),
    )


def language_model(
    tensors: Tensors,
    sizes: Sizes,
    block: Callable[[int], Block],
    embedding: Embed,
    norm: Norm | None,
    unembed: Unembedding | None,
    positions: str,
    ignored: str = IGNORED,
    **shape: Any,
) -> Built:
    """A decoder and what the screen says of it. Takes the last tensors, so `block` first."""
    decoder = Stack("decoder", tuple(block(layer) for layer in range(sizes.n_layer)), norm)
    tensors.finish(ignored)
    told: Mapping[str, Any] = {
        "n_layer": sizes.n_layer,
        "n_head": sizes.n_head,
        **({"n_kv_head": sizes.n_kv_head} if sizes.n_kv_head != sizes.n_head else {}),
        "d_model": sizes.d_model,
        "positions": positions,
        **shape,
    }
    return Built(
        transformer=Transformer(decoder=decoder, source=embedding, unembed=unembed),
        shape=told,
        tensors=tensors,
        max_tokens=sizes.n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="continue" if unembed is not None else "",
    )
