"""GPT-Neo: scores without a scale, every second layer sees a window.
Source: Black et al. 2021; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.layers import (
    activation,
    feed_forward,
    head_width,
    layer_norm,
    linear,
    unembedding,
)
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

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
    config.finish()
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        at = f"h.{layer}.attn.attention"
        query, key, value = (
            linear(tensors, f"{at}.{name}_proj", d_model, d_model, bias=False) for name in "qkv"
        )
        output = linear(tensors, f"{at}.out_proj", d_model, d_model)
        mask = sizes.mask(window if kinds[layer] == "local" else None)
        heads = with_heads(sizes, query, key, value, output, scale=1.0, mask=mask)
        names = (f"h.{layer}.mlp.c_fc", f"h.{layer}.mlp.c_proj")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act)
        return (
            Sublayer(heads, before=layer_norm(tensors, f"h.{layer}.ln_1", d_model, eps)),
            Sublayer(net, before=layer_norm(tensors, f"h.{layer}.ln_2", d_model, eps)),
        )

    table = tensors.table("wte.weight", sizes.n_vocabulary, d_model)
    positions = tensors.take("wpe.weight", sizes.n_position, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table), positions=LearnedPositions(positions)),
        layer_norm(tensors, "ln_f", d_model, eps),
        unembedding(config, tensors, table, "lm_head", tied=True),
        positions=f"learned, {sizes.n_position}",
        ignored=IGNORED,
    )


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
