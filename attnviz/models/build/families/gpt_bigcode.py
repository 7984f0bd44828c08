"""GPT-BigCode, of SantaCoder and StarCoder: a GPT-2 whose heads share one key and value.
Source: Ben Allal et al. 2023 (SantaCoder), section 4."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.decoder import side_by_side, with_heads
from attnviz.models.build.families.gpt2 import IGNORED, gpt2_like_model, read_sizes
from attnviz.models.build.layers import activation, feed_forward, linear
from attnviz.models.model import Model
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention

TOKENIZER = "TokenizersBackend"
OLDER = ("n_ctx", "num_key_value_heads", "inference_runner", "max_batch_size",
         "pre_allocate_kv_cache", "pad_key_length", "validate_runner_input")  # fmt: skip
"""Fields of published configs that say how to run it, or follow from others."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = read_sizes(config)
    if config.switch("multi_query", True):
        sizes = sizes._replace(n_kv_head=1)
    act = activation(config, "activation_function", "gelu_pytorch_tanh")
    scale = sizes.d_head**-0.5 if config.switch("scale_attn_weights", True) else 1.0
    config.inert("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", *OLDER)
    d = sizes.d_model

    def heads(layer: int) -> MultiHeadAttention:
        at = f"h.{layer}.attn"
        parts = side_by_side(tensors, f"{at}.c_attn", sizes)
        output = linear(tensors, f"{at}.c_proj", d, d)
        return with_heads(sizes, *parts, output, scale=scale, mask=sizes.mask())

    def net(layer: int) -> FeedForward:
        names = (f"h.{layer}.mlp.c_fc", f"h.{layer}.mlp.c_proj")
        return feed_forward(tensors, names, d, sizes.d_ff, act)

    return gpt2_like_model(checkpoint, tensors, sizes, heads, net, IGNORED)
