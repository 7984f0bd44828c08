"""Mistral: Llama with a sliding window. Source: Jiang et al. 2023, section 2."""

from __future__ import annotations

from attnviz.errors import AttnvizError
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.llama_like import (
    attention,
    feed_forward,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    window_size,
)
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.transformer import Block

TOKENIZER = "TokenizersBackend"


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    rope = read_rope(config, decoder.sizes.d_head)
    window = window_size(config)
    _check_kinds(config, decoder.sizes.n_layer, window)

    def block(layer: int) -> Block:
        heads = attention(decoder, layer, mask=decoder.sizes.mask(window), rotary=rope.rotary)
        return pre_norm_block(decoder, layer, heads, feed_forward(decoder, layer))

    return llama_like_model(decoder, block, rope.description)


def _check_kinds(config: Config, n_layer: int, window: int | None) -> None:
    """Refuse layers of several kinds, which two classes of transformers read in two ways."""
    if not config.has("layer_types"):
        return
    kinds = config.kinds("layer_types", n_layer, "full_attention", "sliding_attention")
    if set(kinds) != {"full_attention" if window is None else "sliding_attention"}:
        raise AttnvizError(
            f"{config.where}: layer_types and sliding_window disagree: MistralForCausalLM ignores "
            "layer_types, while AutoModel takes the model for a Ministral, which reads them",
            "if it was trained as a Mistral, leave layer_types out of a copy of config.json",
        )
