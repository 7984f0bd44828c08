"""DeepSeek-V2: latent attention, and mixtures with experts that all tokens share.
Source: DeepSeek-AI 2024, section 2; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import with_heads
from attnviz.models.build.layers import gated_feed_forward, linear, rms_norm
from attnviz.models.build.llama_like import (
    LlamaLike,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
)
from attnviz.models.build.mixture import MAX_EXPERTS, experts, read_experts, router
from attnviz.models.build.rope import Rope, read_rope, softmax_gain
from attnviz.models.model import Model
from attnviz.nn.latent import LatentKeys, LowRank, RotaryBehind
from attnviz.nn.linear import Linear, Projection
from attnviz.nn.mixture import Groups, Mixture
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.positions import RopeStyle
from attnviz.nn.rotary import RotaryEmbedding
from attnviz.nn.transformer import Block, Part

LATENT_EPS = 1e-6
"""Of the norms of latents, whatever the config says of the others."""


class Latent(NamedTuple):
    """What the config says of latent attention."""

    d_query: int | None
    """Of the queries' latent; None where they have none."""
    d_latent: int
    d_content: int
    d_rotary: int
    d_value: int
    bias: bool
    scale: float
    rope: Rope


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    check_published(config, "softmax")
    config.inert("head_dim")  # it follows from the others
    config.require("norm_topk_prob", False)  # transformers does not read it, DeepSeek's code does
    latent = read_latent(config, "interleaved")
    bias = config.switch("mlp_bias")
    net = mixtures(
        decoder,
        bias=bias,
        first=config.whole("first_k_dense_replace"),
        n_shared=config.count("n_shared_experts", 2, maximum=MAX_EXPERTS),
        factor=config.number("routed_scaling_factor", 1.0),
        groups=_groups(config),
    )
    return deepseek_model(decoder, latent, net)


def check_published(config: Config, scores: str) -> None:
    """Fields of the published configs, which DeepSeek's own code reads."""
    config.require("moe_layer_freq", 1)
    config.require("scoring_func", scores)
    config.inert("aux_loss_alpha", "seq_aux", "ep_size", "num_nextn_predict_layers")


def read_latent(
    config: Config, style: RopeStyle, default_query: int = 1536, default_kv_head: int | None = None
) -> Latent:
    n_head, d_rotary = (
        config.count("num_attention_heads"),
        config.count("qk_rope_head_dim", 64),
    )
    n_kv_head = config.count("num_key_value_heads", default_kv_head or n_head)
    if n_kv_head != n_head:
        raise config.error(
            f"num_key_value_heads = {n_kv_head}, but each of the {n_head} heads has its own"
        )
    config.inert("qk_head_dim")  # it follows from the others
    d_content = config.count("qk_nope_head_dim", 128)
    rope = read_rope(config, d_rotary, style=style)
    if not isinstance(rope.rotary, RotaryEmbedding):
        raise config.error(f"{rope.description} is not supported with latent attention")
    has_query = not config.is_null("q_lora_rank", default_query)
    return Latent(
        d_query=config.count("q_lora_rank", default_query) if has_query else None,
        d_latent=config.count("kv_lora_rank", 512),
        d_content=d_content,
        d_rotary=d_rotary,
        d_value=config.count("v_head_dim", 128),
        bias=config.switch("attention_bias"),
        scale=(d_content + d_rotary) ** -0.5 * softmax_gain(config),
        rope=rope,
    )


def _groups(config: Config) -> Groups | None:
    """From how many groups experts are chosen; None where from all."""
    method = config.choice("topk_method", "greedy", "group_limited_greedy")
    if method == "greedy":
        config.inert("n_group", "topk_group")
        return None
    return read_groups(config)


def read_groups(config: Config, n_group: int | None = None, top: int | None = None) -> Groups:
    n_group = config.count("n_group", n_group, maximum=MAX_EXPERTS)
    groups = Groups(n_group, config.count("topk_group", top, maximum=n_group))
    n_expert, top_k = read_experts(config)
    if n_expert % n_group:
        raise config.error(f"n_routed_experts = {n_expert} are not n_group = {n_group} even groups")
    if top_k > groups.top * (n_expert // n_group):
        raise config.error(f"num_experts_per_tok = {top_k} are more than topk_group's groups hold")
    return groups


def mixtures(
    decoder: LlamaLike,
    *,
    first: int,
    n_shared: int,
    bias: bool = False,
    correction: bool = False,
    **fields: Any,
) -> Callable[[int], Part]:
    """The feed-forward part of each layer: a mixture from layer `first` on, of experts of which
    all tokens share `n_shared`. With a `correction`, a learned bias decides along; `fields` are the
    router's."""
    config, tensors, sizes = decoder.config, decoder.tensors, decoder.sizes
    n_expert, top_k = read_experts(config)
    d_model, d_ff = sizes.d_model, config.count("moe_intermediate_size")

    def net(layer: int) -> Part:
        at, act = f"layers.{layer}.mlp", decoder.activation
        if layer < first:
            return gated_feed_forward(tensors, at, d_model, sizes.d_ff, act, bias=bias)
        added = f"{at}.gate.e_score_correction_bias"
        own = {"correction": tensors.take(added, n_expert)} if correction else {}
        return Mixture(
            router(tensors, f"{at}.gate", d_model, n_expert, top_k, **own, **fields),
            experts(tensors, f"{at}.experts", n_expert, d_model, d_ff, act),
            gated_feed_forward(
                tensors, f"{at}.shared_experts", d_model, n_shared * d_ff, act, bias=bias
            ),
        )

    return net


def deepseek_model(decoder: LlamaLike, latent: Latent, net: Callable[[int], Part]) -> Model:
    def block(layer: int) -> Block:
        return pre_norm_block(decoder, layer, _attention(decoder, layer, latent), net(layer))

    at = f"layers.{decoder.sizes.n_layer}"  # what predicts several tokens at once
    ignored = rf"(model\.)?{at}\..+" if decoder.tensors.has(f"{at}.eh_proj.weight") else ""
    return llama_like_model(
        decoder,
        block,
        f"{latent.rope.description}, on {latent.d_rotary} features beside the latent",
        ignored=ignored,
    )


def _attention(decoder: LlamaLike, layer: int, latent: Latent) -> MultiHeadAttention:
    tensors, sizes, at = decoder.tensors, decoder.sizes, f"layers.{layer}.self_attn"
    n_head, d_model, d_latent = sizes.n_head, sizes.d_model, latent.d_latent
    d_content, d_rotary, d_value = latent.d_content, latent.d_rotary, latent.d_value
    norm = rms_norm(tensors, f"{at}.kv_a_layernorm", d_latent, LATENT_EPS)

    def down(rows: slice) -> Linear:
        name, width = f"{at}.kv_a_proj_with_mqa", d_latent + d_rotary
        return linear(tensors, name, d_model, width, bias=latent.bias, rows=rows)

    narrow = down(slice(0, d_latent))  # of keys and values alike

    def up(first: int, width: int) -> LowRank:
        """Some of each head's rows: keys stand before values."""
        each = np.arange(n_head)[:, None] * (d_content + d_value)
        rows = (each + np.arange(first, first + width)).ravel()
        name, n_row = f"{at}.kv_b_proj", n_head * (d_content + d_value)
        matrix = linear(tensors, name, d_latent, n_row, bias=False, rows=rows)
        return LowRank(narrow, norm, matrix)

    return with_heads(
        sizes,
        _query(decoder, at, latent),
        LatentKeys(up(0, d_content), down(slice(d_latent, None)), n_head),
        up(d_content, d_value),
        linear(tensors, f"{at}.o_proj", n_head * d_value, d_model, bias=latent.bias),
        n_kv_head=n_head,
        scale=latent.scale,
        mask=sizes.mask(),
        rotary=RotaryBehind(latent.rope.rotary, d_content),
    )


def _query(decoder: LlamaLike, at: str, latent: Latent) -> Projection:
    tensors, d_model = decoder.tensors, decoder.sizes.d_model
    width = decoder.sizes.n_head * (latent.d_content + latent.d_rotary)
    if latent.d_query is None:
        return linear(tensors, f"{at}.q_proj", d_model, width, bias=False)
    return LowRank(
        linear(tensors, f"{at}.q_a_proj", d_model, latent.d_query, bias=latent.bias),
        rms_norm(tensors, f"{at}.q_a_layernorm", latent.d_query, LATENT_EPS),
        linear(tensors, f"{at}.q_b_proj", latent.d_query, width, bias=False),
    )
