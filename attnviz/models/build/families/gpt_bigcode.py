"""GPT-BigCode, of SantaCoder and StarCoder: a GPT-2 whose heads share one key and value.
Source: Ben Allal et al. 2023 (SantaCoder), section 4."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.decoder import language_model, side_by_side, with_heads
from attnviz.models.build.families.gpt2 import IGNORED, read_sizes
from attnviz.models.build.layers import activation, feed_forward, layer_norm, linear, unembedding
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

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
    config.finish()
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        at = f"h.{layer}"
        output = linear(tensors, f"{at}.attn.c_proj", d_model, d_model)
        parts = side_by_side(tensors, f"{at}.attn.c_attn", sizes)
        heads = with_heads(sizes, *parts, output, scale=scale, mask=sizes.mask())
        names = (f"{at}.mlp.c_fc", f"{at}.mlp.c_proj")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act)
        return (
            Sublayer(heads, before=layer_norm(tensors, f"{at}.ln_1", d_model, eps)),
            Sublayer(net, before=layer_norm(tensors, f"{at}.ln_2", d_model, eps)),
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
