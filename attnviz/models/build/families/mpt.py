"""MPT: ALiBi, and no bias anywhere. Source: MosaicML 2023 (Introducing MPT-7B), and the code of
llm-foundry; what that does and transformers does not is refused."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.layers import feed_forward, head_width, layer_norm, linear, unembedding
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import gelu
from attnviz.nn.embedding import Embedding
from attnviz.nn.linear import Clipped, Projection
from attnviz.nn.norms import LayerNorm
from attnviz.nn.schemes import Alibi
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "GPTNeoXTokenizer"
IGNORED = r"(score|classifier|qa_outputs)\..*"
NORMS = ("low_precision_layernorm", "layernorm")
"""Kinds of norms that are one in float32."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = _sizes(config)
    scale, limit = _attention_settings(config, sizes)
    config.require("norm_type", *NORMS)
    config.refuse("logit_scale")
    config.inert("embedding_fraction", "init_config", "init_device", "tokenizer_name", "verbose")
    config.inert("expansion_ratio", "no_bias")  # the tensors tell: others would not fit, or be left
    config.inert("learned_pos_emb")  # there are none beside ALiBi
    config.finish()
    d_model = sizes.d_model

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, d_model, sizes.eps, bias=False)

    def block(layer: int) -> Block:
        at = f"blocks.{layer}"
        query, key, value = (_part(tensors, f"{at}.attn", d_model, i, limit) for i in range(3))
        output = linear(tensors, f"{at}.attn.out_proj", d_model, d_model, bias=False)
        heads = with_heads(
            sizes,
            query,
            key,
            value,
            output,
            scale=scale,
            mask=sizes.mask(),
            bias=Alibi(sizes.n_head),
        )
        names = (f"{at}.ffn.up_proj", f"{at}.ffn.down_proj")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, gelu, bias=False)
        return (
            Sublayer(heads, before=norm(f"{at}.norm_1")),
            Sublayer(net, before=norm(f"{at}.norm_2")),
        )

    table = tensors.table("wte.weight", sizes.n_vocabulary, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table)),
        norm("norm_f"),
        unembedding(config, tensors, table, "lm_head", tied=True),
        positions="ALiBi",
        ignored=IGNORED,
    )


def _sizes(config: Config) -> Sizes:
    config.aliases(num_attention_heads="n_heads", hidden_size="d_model",
                   num_hidden_layers="n_layers")  # fmt: skip
    config.require("is_causal", True)
    d_model, n_head = config.count("d_model"), config.count("n_heads")
    return Sizes(
        n_layer=config.count("n_layers"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=4 * d_model,
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_seq_len"),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
    )


def _attention_settings(config: Config, sizes: Sizes) -> tuple[float, float | None]:
    """The scale of the scores, and what queries, keys and values are clipped to."""
    section = config.section("attn_config") if config.has("attn_config") else config.part({})
    section.require("attn_type", "multihead_attention")
    section.require("alibi", True)
    section.require("alibi_bias_max", 8, 8.0)
    section.require("qk_ln", False)
    section.require("prefix_lm", False)
    section.inert("attn_impl", "attn_uses_sequence_id")
    scale = sizes.d_head**-0.5
    if section.has("softmax_scale"):
        scale = section.number("softmax_scale")
    limit = section.number("clip_qkv") if section.has("clip_qkv") else 0.0
    section.finish("mpt")
    return scale, limit or None


def _part(tensors: Tensors, at: str, d: int, part: int, limit: float | None) -> Projection:
    """Those of queries, keys or values, which lie one under the other."""
    rows = slice(part * d, (part + 1) * d)
    made = linear(tensors, f"{at}.Wqkv", d, 3 * d, bias=False, rows=rows)
    return made if limit is None else Clipped(made, limit)
