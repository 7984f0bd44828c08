"""Llama-like decoders: RMS norms, rotary positions, shared key/value heads, gated feed-forward
nets. What one of their families does otherwise stands in its file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.layers import (
    activation,
    gated_feed_forward,
    linear,
    rms_norm,
    unembedding,
)
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import Norm
from attnviz.nn.transformer import Block, Parallel, Part, Sublayer
from attnviz.nn.weights import rows

IGNORED = (
    r"((model|transformer)\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
    r"|(score|qa_outputs)\..*"
)
"""Tensors that no attention and no logit depends on."""

MakeNorm = Callable[[Tensors, str, int, float], Norm]
"""tensors, name, width, ε -> the norm"""

Windows = Callable[[int], int | None]
"""layer -> how many keys a query sees at most; None for all that came before."""


class LlamaLike(NamedTuple):
    """What every family of them reads first."""

    checkpoint: Checkpoint
    config: Config
    tensors: Tensors
    sizes: Sizes
    activation: Activation
    make_norm: MakeNorm
    """rms_norm, layer_norm, or one of them with something else in it."""


def read_llama_like(
    checkpoint: Checkpoint,
    activation_key: str = "hidden_act",
    default_activation: str = "silu",
    *,
    make_norm: MakeNorm = rms_norm,
    eps_key: str = "rms_norm_eps",
    eps: float = 1e-6,
    n_kv_head: int | None = None,
) -> LlamaLike:
    """`eps` and `n_kv_head` hold where the config does not say; None for as many as queries."""
    config = checkpoint.config
    return LlamaLike(
        checkpoint,
        config,
        checkpoint.tensors("model.", "transformer."),
        _sizes(config, config.above(0, eps_key, eps), n_kv_head),
        activation(config, activation_key, default_activation),
        make_norm,
    )


def _sizes(config: Config, eps: float, n_kv_head: int | None) -> Sizes:
    n_head, d_model = config.count("num_attention_heads"), config.count("hidden_size")
    if config.is_null("num_key_value_heads", n_kv_head):
        n_kv_head = n_head
    config.inert("pretraining_tp")
    config.require("rope_interleaved", False)
    config.require("use_mrope", False)
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=config.count("num_key_value_heads", n_kv_head),
        d_head=config.count("head_dim", max(1, d_model // n_head)),
        d_model=d_model,
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=eps,
        is_causal=config.switch("is_causal", True),
    )


def window_size(config: Config, default: int | None = 4096) -> int | None:
    """How many keys a sliding layer sees; None, as a null, where no layer slides."""
    if config.is_null("sliding_window", default):
        return None
    if config.get("sliding_window", default) == 0:  # transformers gives every key the same weight
        raise config.error("sliding_window = 0 leaves every query without a key")
    return config.count("sliding_window", default)


def sliding_window(config: Config) -> int:
    """How many keys a sliding layer sees, where some surely slide."""
    size = window_size(config)
    if size is None:
        raise config.error("sliding_window is null, but some layers slide")
    return size


def read_windows(
    decoder: LlamaLike, size: int | None, slides: Callable[[int], bool] = lambda layer: True
) -> Windows:
    """The sliding window of each layer.

    `layer_types` says which layers slide, or else `slides(layer)`.
    """
    config, n_layer = decoder.config, decoder.sizes.n_layer
    if config.has("layer_types"):
        kinds = config.kinds("layer_types", n_layer, "full_attention", "sliding_attention")
        sliding = [kind == "sliding_attention" for kind in kinds]
        slides = sliding.__getitem__
        if size is None and any(sliding):
            raise config.error("layer_types has sliding layers, but no sliding_window is used")
    return lambda layer: size if slides(layer) else None


def attention(
    decoder: LlamaLike,
    layer: int,
    *,
    bias: bool = False,
    output_bias: bool | None = None,
    **fields: Any,
) -> MultiHeadAttention:
    """Attention whose query heads share key/value heads."""
    tensors, sizes, at = decoder.tensors, decoder.sizes, f"layers.{layer}.self_attn"
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


def head_norms(decoder: LlamaLike, layer: int) -> dict[str, Any]:
    """The norms of queries and keys, head by head, as fields of the attention."""
    at, d_head = f"layers.{layer}.self_attn", decoder.sizes.d_head
    return {
        "query_norm": norm(decoder, f"{at}.q_norm", d_head),
        "key_norm": norm(decoder, f"{at}.k_norm", d_head),
    }


def feed_forward(decoder: LlamaLike, layer: int, *, bias: bool = False) -> FeedForward:
    """down(activation(gate(x)) · up(x))"""
    sizes, at = decoder.sizes, f"layers.{layer}.mlp"
    return gated_feed_forward(
        decoder.tensors, at, sizes.d_model, sizes.d_ff, decoder.activation, bias=bias
    )


def norm(decoder: LlamaLike, name: str, d: int | None = None) -> Norm:
    """A norm, over the width of the model unless `d` says otherwise."""
    d = decoder.sizes.d_model if d is None else d
    return decoder.make_norm(decoder.tensors, name, d, decoder.sizes.eps)


def pre_norm_block(
    decoder: LlamaLike, layer: int, attention: MultiHeadAttention, net: Part
) -> Block:
    """Each part behind a norm."""
    at = f"layers.{layer}"
    return (
        Sublayer(attention, before=norm(decoder, f"{at}.input_layernorm")),
        Sublayer(net, before=norm(decoder, f"{at}.post_attention_layernorm")),
    )


def parallel_block(
    decoder: LlamaLike, layer: int, attention: MultiHeadAttention, net: FeedForward
) -> Block:
    """Both parts side by side behind one norm."""
    before = norm(decoder, f"layers.{layer}.input_layernorm")
    return (Sublayer(Parallel((attention, net)), before=before),)


def llama_like_model(
    decoder: LlamaLike,
    block: Callable[[int], Block],
    positions: str,
    *,
    tied: bool = False,
    embedding_scale: float = 1.0,
    softcap: float | None = None,
    output_scale: float = 1.0,
    ignored: str = "",
) -> Model:
    """The model, once all that the family reads of the config is read.

    Args:
        tied: whether the output shares the embedding's matrix where the config does not say.
        softcap: of the output's logits.
        output_scale: a factor on them, before that.
        ignored: a pattern of further tensors that nothing depends on.
    """
    checkpoint, config, tensors, sizes, *_ = decoder
    config.finish()
    table = tensors.table("embed_tokens.weight", sizes.n_vocabulary, sizes.d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table), scale=embedding_scale),
        norm(decoder, "norm"),
        unembedding(
            config, tensors, table, "lm_head", tied=tied, softcap=softcap, scale=output_scale
        ),
        positions=positions,
        ignored=f"{IGNORED}|{ignored}" if ignored else IGNORED,
    )
