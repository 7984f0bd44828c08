"""ModernBERT: rotary positions, gated nets, norms before each part, and windows to both sides but
in every third layer. Source: Warner et al. 2024, section 2; names as in Hugging Face's files."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model, transform
from attnviz.models.build.layers import activation, head_width, layer_norm, linear
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.rope import Rope, read_nested_ropes, read_rope_section
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn import masks
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm
from attnviz.nn.pooling import first_token, mean
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

BASE, FULL_BASE = 10000.0, 160000.0
"""Of the rotations of sliding and of full layers, where the config does not say."""

IGNORED = r"classifier\..*"
CLASSIFIER = r"|(head|decoder)\..*"
"""What a class without an output for tokens has of the same name."""

INERT = ("layer_norm_eps", "position_embedding_type", "initializer_cutoff_factor",
         "classifier_pooling", "deterministic_flash_attn", "reference_compile",
         "repad_logits_with_grad", "sparse_prediction", "sparse_pred_ignore_index")  # fmt: skip
"""Other spellings that nothing reads, training, classes, and how flash-attention is called."""

TOKENIZER = "TokenizersBackend"


class Biases(NamedTuple):
    """Which parts have one."""

    attention: bool
    net: bool
    norm: bool


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    sizes = _sizes(config)
    biases = Biases(*(config.switch(f"{part}_bias") for part in ("attention", "mlp", "norm")))
    head = _head(config, biases)
    sliding, full = _ropes(config, head_width(config, sizes.d_model, sizes.n_head))
    slides = _sliding_layers(config, sizes.n_layer)
    window = masks.parse(f"window:size={config.count('local_attention', 128) // 2 + 1}")
    config.inert(*INERT)
    config.finish()

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, sizes.d_model, sizes.eps, bias=biases.norm)

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        heads = _attention(tensors, f"{at}.attn", sizes, biases.attention)._replace(
            mask=window if slides[layer] else masks.NONE,
            rotary=(sliding if slides[layer] else full).rotary,
        )
        net = _feed_forward(tensors, f"{at}.mlp", sizes, biases.net)
        return (
            Sublayer(heads, before=norm(f"{at}.attn_norm") if layer else None),
            Sublayer(net, before=norm(f"{at}.mlp_norm")),
        )

    at = "embeddings"
    table = tensors.table(f"{at}.tok_embeddings.weight", sizes.n_vocabulary, sizes.d_model)
    return masked_language_model(
        checkpoint,
        tensors,
        sizes,
        [block(layer) for layer in range(sizes.n_layer)],
        Embedding(tokens=partial(rows, table), norm=norm(f"{at}.norm")),
        table,
        head,
        ignored=IGNORED + (CLASSIFIER if predicts_other(config) else ""),
        positions=f"{sliding.description} where the window slides, {full.description} elsewhere",
        norm=norm("final_norm"),
        answering=_answering(config, tensors, sizes, head),
    )


def _answering(
    config: Config, tensors: Tensors, sizes: Sizes, head: LanguageModelHead
) -> HeadOptions:
    """Classifiers read what masked tokens are predicted of."""
    if not predicts_other(config) or not tensors.has(f"{head.dense}.weight"):
        return BERT_LIKE
    pool = mean if config.text("classifier_pooling", "cls") == "mean" else first_token
    step = transform(tensors.outside, sizes, head, sizes.d_model)
    return HeadOptions(pool=pool, steps=(step,))


def _sizes(config: Config) -> Sizes:
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=config.count("num_attention_heads"),
        d_model=config.count("hidden_size"),
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings", 8192),
        eps=config.above(0, "norm_eps", 1e-5),
        activation=activation(config, "hidden_activation", "gelu"),
    )


def _head(config: Config, biases: Biases) -> LanguageModelHead:
    return LanguageModelHead(
        "head.dense",
        "head.norm",
        "decoder",
        activation(config, "classifier_activation", "gelu"),
        dense_bias=config.switch("classifier_bias"),
        norm_bias=biases.norm,
        output_bias=config.switch("decoder_bias", True),
    )


def _ropes(config: Config, d_head: int) -> tuple[Rope, Rope]:
    """The rotations of sliding and of full layers."""
    bases = {
        "local_rope_theta": config.above(0, "local_rope_theta", BASE),
        "global_rope_theta": config.above(0, "global_rope_theta", FULL_BASE),
    }
    for key in bases:
        if config.is_null(key, BASE):
            raise config.error(f"{key} is null, which versions of transformers read in two ways")
    sliding, full = bases.values()
    ropes = read_nested_ropes(config, d_head, base=sliding, full_base=full)
    if ropes is not None:
        return ropes
    return (
        read_rope_section(config, config.part({}), d_head, base=sliding),
        read_rope_section(config, config.part({}), d_head, base=full),
    )


def _sliding_layers(config: Config, n_layer: int) -> list[bool]:
    """Which layers slide: `layer_types` says it, or all but every n-th."""
    period = config.count("global_attn_every_n_layers", 3)
    if not config.has("layer_types"):
        return [layer % period > 0 for layer in range(n_layer)]
    kinds = config.kinds("layer_types", n_layer, "full_attention", "sliding_attention")
    return [kind == "sliding_attention" for kind in kinds]


def _attention(tensors: Tensors, at: str, sizes: Sizes, bias: bool) -> MultiHeadAttention:
    """The file has queries, keys and values in one tensor."""
    d = sizes.d_model
    query, key, value = (
        linear(tensors, f"{at}.Wqkv", d, 3 * d, bias=bias, rows=slice(part * d, (part + 1) * d))
        for part in range(3)
    )
    output = linear(tensors, f"{at}.Wo", d, d, bias=bias)
    n_head, scale = sizes.n_head, (d / sizes.n_head) ** -0.5
    return MultiHeadAttention(query, key, value, output, n_head, n_head, scale=scale)


def _feed_forward(tensors: Tensors, at: str, sizes: Sizes, bias: bool) -> FeedForward:
    """The file has the gate and what it is multiplied with in one tensor."""
    d, d_ff = sizes.d_model, sizes.d_ff
    gate, up = (
        linear(tensors, f"{at}.Wi", d, 2 * d_ff, bias=bias, rows=half)
        for half in (slice(0, d_ff), slice(d_ff, None))
    )
    down = linear(tensors, f"{at}.Wo", d_ff, d, bias=bias)
    return FeedForward(up, down, sizes.activation, gate)
