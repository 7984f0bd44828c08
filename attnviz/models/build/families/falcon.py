"""Falcon: rotary positions or ALiBi, keys and values of one head or of a few, attention and
feed-forward net in parallel. Source: Almazrouei et al. 2023, section 4; Penedo et al. 2023 for
Falcon RW."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, side_by_side, with_heads
from attnviz.models.build.layers import (
    activation,
    feed_forward,
    head_width,
    layer_norm,
    linear,
    unembedding,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import RoundedAlibi
from attnviz.nn.transformer import Block, Branch, Parallel, Sublayer
from attnviz.nn.weights import rows

IGNORED = (
    r"(transformer\.)?h\.\d+\.self_attention\.rotary_emb\.inv_freq"
    r"|(score|classifier|qa_outputs)\..*"
)


class Layout(NamedTuple):
    """How a block is put together."""

    is_parallel: bool
    n_norm: int
    """Before attention and feed-forward net in parallel."""
    n_kv_head: int


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    layout = _layout(config)
    sizes = _sizes(config, layout.n_kv_head)
    act, bias = activation(config, "activation", "gelu"), config.switch("bias")
    where, positions = _positions(config, sizes)
    config.require("apply_residual_connection_post_layernorm", False)
    config.finish()
    d_model = sizes.d_model

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, d_model, sizes.eps)

    def block(layer: int) -> Block:
        at = f"h.{layer}"
        fused = f"{at}.self_attention.query_key_value"
        query, key, value = side_by_side(tensors, fused, sizes, bias=bias)
        output = linear(tensors, f"{at}.self_attention.dense", d_model, d_model, bias=bias)
        heads = with_heads(sizes, query, key, value, output, mask=sizes.mask(), **where)
        names = (f"{at}.mlp.dense_h_to_4h", f"{at}.mlp.dense_4h_to_h")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act, bias=bias)
        if not layout.is_parallel:
            first, second = f"{at}.input_layernorm", f"{at}.post_attention_layernorm"
            return (Sublayer(heads, before=norm(first)), Sublayer(net, before=norm(second)))
        if layout.n_norm == 1:
            return (Sublayer(Parallel((heads, net)), before=norm(f"{at}.input_layernorm")),)
        branches = Branch(heads, norm(f"{at}.ln_attn")), Branch(net, norm(f"{at}.ln_mlp"))
        return (Sublayer(Parallel(branches)),)

    table = tensors.table("word_embeddings.weight", sizes.n_vocabulary, d_model)
    model = language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table)),
        norm("ln_f"),
        unembedding(config, tensors, table, "lm_head", tied=True),
        positions=positions,
        ignored=IGNORED,
    )
    if "rotary" in where:
        return model
    return model._replace(max_tokens=None, trained_tokens=sizes.n_position)


def _layout(config: Config) -> Layout:
    n_head, is_new = config.count("num_attention_heads"), config.switch("new_decoder_architecture")
    n_kv_head, shares = config.count("num_kv_heads", n_head), config.switch("multi_query", True)
    is_parallel = config.switch("parallel_attn", True)
    if is_new:
        config.require("parallel_attn", True)
        return Layout(True, config.choice("num_ln_in_parallel_attn", 2, 1), n_kv_head)
    n_norm = config.count("num_ln_in_parallel_attn", 1)
    if is_parallel and n_norm == 2:
        raise config.error("num_ln_in_parallel_attn = 2 needs new_decoder_architecture = true")
    if not shares and n_kv_head != n_head:
        raise config.error(f"num_kv_heads = {n_kv_head}, but multi_query = false gives each of "
                           f"{n_head} heads keys and values of its own")  # fmt: skip
    return Layout(is_parallel, 1, 1 if shares else n_head)


def _sizes(config: Config, n_kv_head: int) -> Sizes:
    config.aliases(n_embed="hidden_size")
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=n_kv_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("ffn_hidden_size", 4 * d_model),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings", 2048),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
        is_causal=config.switch("is_causal", True),
    )


def _positions(config: Config, sizes: Sizes) -> tuple[dict[str, Any], str]:
    """Where positions enter attention, and what the screen says of it."""
    rope = read_rope(config, sizes.d_head)
    if config.switch("alibi"):
        return {"bias": RoundedAlibi(sizes.n_head, sizes.d_head**-0.5)}, "ALiBi, scaled as scores"
    return {"rotary": rope.rotary}, rope.description
