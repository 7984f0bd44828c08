"""GPT-NeoX and Pythia: attention and feed-forward net in parallel. Source: Black et al. 2022,
section 2.1; a head's query, key and value stand side by side in the file."""

from __future__ import annotations

from functools import partial

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
from attnviz.models.build.rope import Rope, read_rope
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.transformer import Block, Branch, Parallel, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "GPTNeoXTokenizer"
IGNORED = (
    r"(gpt_neox\.)?layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)"
    r"|(score|classifier|qa_outputs)\..*"
)


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("gpt_neox."), checkpoint.config
    sizes = _sizes(config)
    act = activation(config, "hidden_act", "gelu")
    rope = _rope(config, sizes.d_head)
    bias = config.switch("attention_bias", True)
    is_parallel = config.switch("use_parallel_residual", True)
    config.require("is_decoder", False, True)
    config.finish()
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        fused = f"{at}.attention.query_key_value"
        query, key, value = side_by_side(tensors, fused, sizes, bias=bias)
        output = linear(tensors, f"{at}.attention.dense", d_model, d_model, bias=bias)
        heads = with_heads(sizes, query, key, value, output, mask=sizes.mask(), rotary=rope.rotary)
        names = (f"{at}.mlp.dense_h_to_4h", f"{at}.mlp.dense_4h_to_h")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act)
        first = layer_norm(tensors, f"{at}.input_layernorm", d_model, eps)
        second = layer_norm(tensors, f"{at}.post_attention_layernorm", d_model, eps)
        if is_parallel:
            return (Sublayer(Parallel((Branch(heads, first), Branch(net, second)))),)
        return (Sublayer(heads, before=first), Sublayer(net, before=second))

    table = tensors.table("embed_in.weight", sizes.n_vocabulary, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table)),
        layer_norm(tensors, "final_layer_norm", d_model, eps),
        unembedding(config, tensors, table, "embed_out", tied=False),
        positions=rope.description,
        ignored=IGNORED,
    )


def _sizes(config: Config) -> Sizes:
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=config.above(0, "layer_norm_eps", 1e-5),
        is_causal=config.switch("is_causal", True),
    )


def _rope(config: Config, d_head: int) -> Rope:
    base = config.above(0, "rotary_emb_base", 10000.0)
    return read_rope(config, d_head, base=base, fraction=config.above(0, "rotary_pct", 0.25))
