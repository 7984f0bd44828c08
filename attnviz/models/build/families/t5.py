"""T5, T5 v1.1 and their descendants. Source: Raffel et al. 2020, section 2.1; Shazeer 2020 for
the gates; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.answers import HeadOptions
from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import ACTIVATIONS, linear, rms_norm
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn import masks
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding, Unembedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import RMSNorm
from attnviz.nn.schemes import RelativeBias
from attnviz.nn.transformer import Block, Stack, Sublayer, Transformer
from attnviz.nn.weights import Weight, rows

TOKENIZER = "T5Tokenizer"
IGNORED = (
    r"(transformer\.)?(shared\.weight"
    r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight)"
    r"|(classification_head|classifier|qa_outputs)\..*"
)
"""What no attention depends on: the shared table too, where all its users have their own."""

DECODER = r"|(transformer\.)?decoder\..*|lm_head\..*"
"""What an encoder alone does not need."""

NETS = "relu", "gated-gelu", "gated-silu", "gated-relu", "gelu", "silu"

ENCODERS = re.compile(r".+(EncoderModel|ForTokenClassification)")
"""Classes that have no decoder, even if the file has one."""


class Sizes(NamedTuple):
    """What the config says of every layer."""

    d_model: int
    d_head: int
    d_ff: int
    n_vocabulary: int
    n_head: int
    eps: float
    n_bucket: int
    max_distance: int
    activation: Activation
    is_gated: bool
    bias_by_layer: bool


def build(checkpoint: Checkpoint) -> Model:
    config = checkpoint.config
    is_tied = config.switch("tie_word_embeddings", True)
    is_scaled = config.switch("scale_decoder_outputs", is_tied)
    return t5_model(checkpoint, net="relu", is_scaled=is_scaled)


def t5_model(
    checkpoint: Checkpoint, *, net: str, is_scaled: bool, bias_by_layer: bool = False
) -> Model:
    """T5 and the families that change a little of it.

    Args:
        net: the feed-forward net of a config that names none.
        is_scaled: whether what goes into the output is divided by √d_model.
        bias_by_layer: whether each layer has a bias of its own, not all that of the first.
    """
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    config.aliases(
        hidden_size="d_model",
        num_attention_heads="num_heads",
        num_hidden_layers="num_layers",
        head_dim="d_kv",
    )
    sizes = _sizes(config, net, bias_by_layer)
    n_encoder = config.count("num_layers")
    n_decoder = config.count("num_decoder_layers", n_encoder)
    n_position = config.count("n_positions") if config.has("n_positions") else None
    has_decoder = not any(map(ENCODERS.fullmatch, config.texts("architectures")))
    config.require("is_encoder_decoder", True, *(() if has_decoder else (False,)))
    config.finish()

    def embedding(stack: str) -> Embedding:
        return Embedding(partial(rows, _table(tensors, sizes, f"{stack}.embed_tokens")))

    encoder, source = _stack(tensors, sizes, "encoder", n_encoder), embedding("encoder")
    if not has_decoder:
        transformer = Transformer(encoder=encoder, source=source)
        return _model(checkpoint, tensors, sizes, transformer, n_position, IGNORED + DECODER)
    unembed = None
    if not predicts_other(config):
        scale = sizes.d_model**-0.5 if is_scaled else 1.0
        unembed = Unembedding(Linear(_table(tensors, sizes, "lm_head")), scale)
    transformer = Transformer(
        encoder=encoder,
        decoder=_stack(tensors, sizes, "decoder", n_decoder),
        source=source,
        target=embedding("decoder"),
        unembed=unembed,
    )
    return _model(checkpoint, tensors, sizes, transformer, n_position, IGNORED)


def _model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    transformer: Transformer,
    n_position: int | None,
    ignored: str,
) -> Model:
    assert transformer.encoder is not None
    return trained_model(
        checkpoint,
        tensors,
        transformer,
        {
            "n_layer": len(transformer.encoder.blocks),
            "n_head": sizes.n_head,
            "d_model": sizes.d_model,
            "positions": f"bias in {sizes.n_bucket} buckets, to a distance of {sizes.max_distance}"
            + ", for each layer" * sizes.bias_by_layer,
        },
        ignored=ignored,
        max_tokens=n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="" if transformer.unembed is None else "continue",
        answering=HeadOptions(end=1),
    )


def _table(tensors: Tensors, sizes: Sizes, user: str) -> Weight:
    """The vectors of the tokens, [n_vocabulary, d_model]: the user's own where the file has them,
    else those that all share, which may stand under the name of one of the stacks. They are tied
    whatever the config says."""
    names = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
    shared = [f"{name}.weight" for name in names]
    return tensors.table(f"{user}.weight", sizes.n_vocabulary, sizes.d_model, shared=shared)


def _sizes(config: Config, net: str, bias_by_layer: bool) -> Sizes:
    net = config.choice("feed_forward_proj", net, *(each for each in NETS if each != net))
    is_gated, name = net.startswith("gated-"), net.removeprefix("gated-")
    name = "gelu_new" if net == "gated-gelu" else name
    config.require("dense_act_fn", name)
    config.require("is_gated_act", is_gated)
    return Sizes(
        d_model=config.count("d_model"),
        d_head=config.count("d_kv"),
        d_ff=config.count("d_ff"),
        n_vocabulary=config.count("vocab_size"),
        n_head=config.count("num_heads"),
        eps=config.above(0, "layer_norm_epsilon", 1e-6),
        n_bucket=config.count("relative_attention_num_buckets", 32),
        max_distance=config.count("relative_attention_max_distance", 128),
        activation=ACTIVATIONS[name],
        is_gated=is_gated,
        bias_by_layer=bias_by_layer,
    )


def _stack(tensors: Tensors, sizes: Sizes, name: str, n_layer: int) -> Stack:
    def bias(layer: int) -> RelativeBias:
        at = f"{name}.block.{layer}.layer.0.SelfAttention.relative_attention_bias.weight"
        table = tensors.take(at, sizes.n_bucket, sizes.n_head)
        return RelativeBias(table, sizes.max_distance, bidirectional=name == "encoder")

    n_bias = n_layer if sizes.bias_by_layer else 1
    biases = [bias(layer) for layer in range(n_bias)] * (n_layer // n_bias)
    blocks = tuple(_block(tensors, sizes, name, layer, each) for layer, each in enumerate(biases))
    return Stack(name, blocks, _norm(tensors, sizes, f"{name}.final_layer_norm"))


def _block(tensors: Tensors, sizes: Sizes, stack: str, layer: int, bias: RelativeBias) -> Block:
    """The parts of a layer are numbered in the file, each with its norm."""
    at = f"{stack}.block.{layer}.layer"
    mask = masks.CAUSAL if stack == "decoder" else masks.NONE
    parts: list[MultiHeadAttention | FeedForward] = [
        _attention(tensors, f"{at}.0.SelfAttention", sizes, bias=bias, mask=mask)
    ]
    if stack == "decoder":
        parts.append(_attention(tensors, f"{at}.1.EncDecAttention", sizes, kind="cross"))
    parts.append(_feed_forward(tensors, f"{at}.{len(parts)}.DenseReluDense", sizes))
    return tuple(
        Sublayer(part, before=_norm(tensors, sizes, f"{at}.{number}.layer_norm"))
        for number, part in enumerate(parts)
    )


def _attention(tensors: Tensors, at: str, sizes: Sizes, **fields: Any) -> MultiHeadAttention:
    """Unscaled: the scale is in the trained weights (section 2.1, and Mesh TensorFlow's code)."""
    width = sizes.n_head * sizes.d_head
    query, key, value = (
        linear(tensors, f"{at}.{name}", sizes.d_model, width, bias=False) for name in "qkv"
    )
    output = linear(tensors, f"{at}.o", width, sizes.d_model, bias=False)
    heads = {"n_head": sizes.n_head, "n_kv_head": sizes.n_head, "scale": 1.0}
    return MultiHeadAttention(query, key, value, output, **(heads | fields))


def _feed_forward(tensors: Tensors, at: str, sizes: Sizes) -> FeedForward:
    def part(name: str, d_in: int, d_out: int) -> Linear:
        return linear(tensors, f"{at}.{name}", d_in, d_out, bias=False)

    up, gate = ("wi_1", "wi_0") if sizes.is_gated else ("wi", None)
    return FeedForward(
        up=part(up, sizes.d_model, sizes.d_ff),
        down=part("wo", sizes.d_ff, sizes.d_model),
        activation=sizes.activation,
        gate=part(gate, sizes.d_model, sizes.d_ff) if gate else None,
    )


def _norm(tensors: Tensors, sizes: Sizes, name: str) -> RMSNorm:
    return rms_norm(tensors, name, sizes.d_model, sizes.eps)
