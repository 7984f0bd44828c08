"""GPT-Neo: scores without a scale, every second layer sees a window.
Source: Black et al. 2021; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, with_heads
from attnviz.models.build.families.gpt2 import gpt2_like_model
from attnviz.models.build.layers import (
    activation,
    feed_forward,
    head_width,
    linear,
)
from attnviz.models.model import Model
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention

TOKENIZER = "GPT2Tokenizer"

IGNORED = (
    r"(transformer\.)?h\.\d+\.attn\.attention\.(masked_)?bias"
    r"|(score|classifier|qa_outputs)\..*"
)

PERIOD = ["global", "local"], 12
"""The kinds of layers, and how often they come, where a config does not say."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = _sizes(config)
    act = activation(config, "activation_function", "gelu_new")
    kinds, window = _kinds(config, sizes.n_layer), config.count("window_size", 256)
    d = sizes.d_model

    def heads(layer: int) -> MultiHeadAttention:
        at = f"h.{layer}.attn.attention"
        query, key, value = (
            linear(tensors, f"{at}.{name}_proj", d, d, bias=False) for name in "qkv"
        )
        output = linear(tensors, f"{at}.out_proj", d, d)
        mask = sizes.mask(window if kinds[layer] == "local" else None)
        return with_heads(sizes, query, key, value, output, scale=1.0, mask=mask)

    def net(layer: int) -> FeedForward:
        names = (f"h.{layer}.mlp.c_fc", f"h.{layer}.mlp.c_proj")
        return feed_forward(tensors, names, d, sizes.d_ff, act)

    return gpt2_like_model(checkpoint, tensors, sizes, heads, net, IGNORED)


def _sizes(config: Config) -> Sizes:
    config.aliases(num_attention_heads="num_heads", num_hidden_layers="num_layers")
    d_model, n_head = config.count("hidden_size"), config.count("num_heads")
    return Sizes(
        n_layer=config.count("num_layers"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("intermediate_size", 4 * d_model),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
        is_causal=config.switch("is_causal", True),
    )


def _kinds(config: Config, n_layer: int) -> tuple[str, ...]:
    """`global` or `local`, layer by layer: `attention_layers`, or else `attention_types`."""
    periods = config.get("attention_types", [PERIOD])
    if config.has("attention_layers"):
        return config.kinds("attention_layers", n_layer, "global", "local")
    try:
        layers = [kind for kinds, n in periods for _ in range(n) for kind in kinds]
    except (TypeError, ValueError) as error:
        raise config.error(
            'attention_types: expected [[["global", "local"], 6]] or the like, '
            f"got {str(periods)[:40]}"
        ) from error
    spelled = config.part({"attention_types": layers})
    return spelled.kinds("attention_types", n_layer, "global", "local")
