"""GPT-J: attention and feed-forward net in parallel behind one norm; neighbouring features rotate
in pairs. Source: Wang and Komatsuzaki 2021 (Mesh Transformer JAX)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.families.gpt2 import read_sizes
from attnviz.models.build.layers import activation, feed_forward, layer_norm, linear, unembedding
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.linear import Linear
from attnviz.nn.positions import frequencies
from attnviz.nn.rotary import RotaryEmbedding
from attnviz.nn.transformer import Block, Parallel, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "GPT2Tokenizer"

IGNORED = (
    r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias|causal_mask|embed_positions)"
    r"|(score|qa_outputs)\..*"
)

Projections = Callable[[Tensors, str, int], tuple[Linear, Linear, Linear]]
"""tensors, where they stand, d_model -> those of query, key and value"""

BASE = 10000.0


def build(checkpoint: Checkpoint) -> Model:
    return gptj_model(checkpoint, _projections)


def gptj_model(checkpoint: Checkpoint, projections: Projections) -> Model:
    """What GPT-J and CodeGen share."""
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = read_sizes(config)
    act = activation(config, "activation_function", "gelu_new")
    d_rotary = _rotary_width(config, sizes)
    config.inert("n_ctx")
    config.require("rotary", True)
    config.require("scale_attn_weights", True)
    config.finish()
    rotary = RotaryEmbedding(frequencies(d_rotary, BASE), style="interleaved")
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        at = f"h.{layer}"
        query, key, value = projections(tensors, f"{at}.attn", d_model)
        output = linear(tensors, f"{at}.attn.out_proj", d_model, d_model, bias=False)
        heads = with_heads(sizes, query, key, value, output, mask=sizes.mask(), rotary=rotary)
        names = (f"{at}.mlp.fc_in", f"{at}.mlp.fc_out")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act)
        norm = layer_norm(tensors, f"{at}.ln_1", d_model, eps)
        return (Sublayer(Parallel((heads, net)), before=norm),)

    table = tensors.table("wte.weight", sizes.n_vocabulary, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table)),
        layer_norm(tensors, "ln_f", d_model, eps),
        unembedding(config, tensors, table, "lm_head", tied=False, bias=True),
        positions=f"rope base {BASE:g}, {d_rotary} of {sizes.d_head} features in pairs of "
        "neighbours",
        ignored=IGNORED,
    )


def _rotary_width(config: Config, sizes: Sizes) -> int:
    """How many features of a head rotate."""
    if config.is_null("rotary_dim", 64):
        raise config.error("rotary_dim is null, which rotates more features than a head has")
    d_rotary = config.count("rotary_dim", 64)
    if d_rotary > sizes.d_head or d_rotary % 2:
        raise config.error(
            f"rotary_dim = {d_rotary}, but pairs of a head's {sizes.d_head} features are rotated"
        )
    return d_rotary


def _projections(tensors: Tensors, at: str, d_model: int) -> tuple[Linear, Linear, Linear]:
    query, key, value = (
        linear(tensors, f"{at}.{name}_proj", d_model, d_model, bias=False) for name in "qkv"
    )
    return query, key, value
