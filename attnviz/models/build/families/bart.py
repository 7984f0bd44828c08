"""BART. Source: Lewis et al. 2020, section 2.1; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import activation, attention, feed_forward, layer_norm
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn import masks
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding, Unembedding
from attnviz.nn.linear import Linear
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer
from attnviz.nn.weights import Weight, rows

TOKENIZER = "RobertaTokenizer"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
EPS = 1e-5
OFFSET = 2
"""The first rows of the table of positions stand for no token."""

IGNORED = r"(model\.)?shared\.weight|final_logits_bias|classification_head\..*|qa_outputs\..*"
"""What no attention depends on: the shared table too, where all its users have their own."""


class Half(NamedTuple):
    """What the config says of the encoder, or of the decoder."""

    name: str
    n_layer: int
    n_head: int
    d_ff: int
    d_model: int
    activation: Activation


class Tables(NamedTuple):
    """The vectors of the tokens, [n_vocabulary, d_model]."""

    source: Weight
    target: Weight
    output: Weight | None
    """None where no tokens are predicted."""


def build(checkpoint: Checkpoint) -> Model:
    return bart_model(checkpoint, is_pre_norm=False)


def bart_model(checkpoint: Checkpoint, *, is_pre_norm: bool, **fields: Any) -> Model:
    """BART, or mBART, whose norms stand before the sublayers and at the end of both stacks.

    `fields` are those of `Model`.
    """
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    config.require("normalize_embedding", True)
    config.require("static_position_embeddings", False)
    config.require("extra_pos_embeddings", OFFSET)
    halves = read_halves(config)
    n_position, n_vocabulary = config.count("max_position_embeddings"), config.count("vocab_size")
    d_model = halves[0].d_model
    scale = embedding_scale(config, d_model)
    finish_config(config, is_pre_norm=is_pre_norm)
    tables = read_tables(config, tensors, n_vocabulary, n_vocabulary, d_model)

    def embedding(half: Half, table: Weight) -> Embedding:
        name = f"{half.name}.embed_positions.weight"
        positions = tensors.take(name, n_position + OFFSET, d_model)[OFFSET:]
        return Embedding(
            tokens=partial(rows, table),
            positions=LearnedPositions(positions),
            scale=scale,
            norm=layer_norm(tensors, f"{half.name}.layernorm_embedding", d_model, EPS),
        )

    return encoder_decoder(
        checkpoint,
        tensors,
        halves,
        embedding(halves[0], tables.source),
        embedding(halves[1], tables.target),
        tables,
        positions=f"learned, {n_position}",
        max_tokens=n_position,
        ignored=IGNORED,
        is_pre_norm=is_pre_norm,
        **fields,
    )


def embedding_scale(config: Config, d_model: int, default: bool = False) -> float:
    """The factor of the tokens' vectors."""
    return d_model**0.5 if config.switch("scale_embedding", default) else 1.0


def read_halves(config: Config, default: str = "gelu") -> tuple[Half, Half]:
    """Encoder and decoder; `default` is the activation of a config that names none."""
    config.aliases(hidden_size="d_model", num_attention_heads="encoder_attention_heads")
    d_model, act = config.count("d_model"), activation(config, "activation_function", default)
    config.inert("num_hidden_layers")  # a copy of encoder_layers in old files
    encoder, decoder = (
        Half(
            name,
            config.count(f"{name}_layers"),
            config.count(f"{name}_attention_heads"),
            config.count(f"{name}_ffn_dim"),
            d_model,
            act,
        )
        for name in ("encoder", "decoder")
    )
    return encoder, decoder


def finish_config(config: Config, *, is_pre_norm: bool = False) -> None:
    """Refuse what none of BART's relatives does."""
    config.require("normalize_before", is_pre_norm)
    config.require("add_final_layer_norm", is_pre_norm)
    config.require("add_bias_logits", False)
    config.require("is_encoder_decoder", True)
    config.inert("force_bos_token_to_be_generated")
    config.finish()


def read_tables(
    config: Config, tensors: Tensors, n_source: int, n_target: int, d: int, is_shared: bool = True
) -> Tables:
    """Each user's own table where the file has it, or else the one that it shares.

    Files hold the shared table under its own name or under that of one of its users; transformers
    4 shares what the encoder and the decoder read even where `tie_word_embeddings` is false.
    """
    source, target, output, table = (
        f"{name}.weight"
        for name in ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head", "shared")
    )
    is_tied = config.switch("tie_word_embeddings", True)
    all_names = (table, output, target, source) if is_tied else (table,)
    stacks = all_names if is_shared else ()
    outputs = () if not is_tied else all_names if is_shared else (target,)
    has_output = not predicts_other(config) and (is_tied or tensors.has(output))
    return Tables(
        tensors.table(source, n_source, d, shared=stacks),
        tensors.table(target, n_target, d, shared=stacks),
        tensors.table(output, n_target, d, shared=outputs) if has_output else None,
    )


def encoder_decoder(
    checkpoint: Checkpoint,
    tensors: Tensors,
    halves: tuple[Half, Half],
    source: Embedding,
    target: Embedding,
    tables: Tables,
    *,
    positions: str,
    ignored: str,
    is_pre_norm: bool = False,
    **fields: Any,
) -> Model:
    """Both stacks and the output. With `is_pre_norm`, norms stand before the sublayers, and at the
    end of the stacks; `fields` are those of `Model`."""
    n_vocabulary, d_model = tables.target.shape
    encoder, decoder = (stack(tensors, half, is_pre_norm) for half in halves)
    unembed = bias = None
    if tables.output is not None:
        if tensors.has("final_logits_bias"):
            bias = tensors.take("final_logits_bias", 1, n_vocabulary)[0]
        unembed = Unembedding(Linear(tables.output, bias))
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder, decoder, source, target, unembed),
        {
            "n_layer": len(encoder.blocks),
            "n_head": halves[0].n_head,
            "d_model": d_model,
            "positions": positions,
        },
        ignored=ignored,
        n_vocabulary=len(tables.source),
        n_target=n_vocabulary,
        task="" if unembed is None else "continue",
        **fields,
    )


def stack(tensors: Tensors, half: Half, is_pre_norm: bool, key_bias: bool = True) -> Stack:
    """An encoder or a decoder; for the arguments see `encoder_decoder` and `layers.attention`."""
    blocks = tuple(
        _block(tensors, half, layer, is_pre_norm, key_bias) for layer in range(half.n_layer)
    )
    name = f"{half.name}.layer_norm"
    last = layer_norm(tensors, name, half.d_model, EPS) if is_pre_norm else None
    return Stack(half.name, blocks, last)


def _block(tensors: Tensors, half: Half, layer: int, is_pre_norm: bool, key_bias: bool) -> Block:
    at, d_model = f"{half.name}.layers.{layer}", half.d_model
    place = "before" if is_pre_norm else "after"

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, f"{at}.{name}", d_model, EPS)

    def heads(name: str, **fields: Any) -> Sublayer:
        at_attention = f"{at}.{name}"
        fields |= {"key_bias": key_bias}
        part = attention(tensors, at_attention, PROJECTIONS, d_model, half.n_head, **fields)
        return Sublayer(part, **{place: norm(f"{name}_layer_norm")})

    net = feed_forward(tensors, (f"{at}.fc1", f"{at}.fc2"), d_model, half.d_ff, half.activation)
    last = Sublayer(net, **{place: norm("final_layer_norm")})
    if half.name == "encoder":
        return (heads("self_attn"), last)
    return (
        heads("self_attn", mask=masks.CAUSAL),
        heads("encoder_attn", kind="cross"),
        last,
    )
