"""BLOOM: ALiBi, a norm behind the embeddings; a head's query, key and value stand side by side in
the file. Source: BigScience Workshop 2022, section 3.2."""

from __future__ import annotations

from functools import partial

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, side_by_side, with_heads
from attnviz.models.build.layers import feed_forward, head_width, layer_norm, linear, unembedding
from attnviz.models.model import Model
from attnviz.nn.activations import gelu_tanh
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import Alibi
from attnviz.nn.transformer import Block, ResidualOfNorm, Sublayer
from attnviz.nn.weights import rows

IGNORED = r"(score|classifier|qa_outputs)\..*"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("transformer."), checkpoint.config
    sizes = _sizes(config)
    is_of_norm = config.switch("apply_residual_connection_post_layernorm")
    residual = ResidualOfNorm if is_of_norm else Sublayer
    if config.count("pretraining_tp", 1) > 1:
        config.require("slow_but_exact", False)  # leaves out biases
    config.inert("slow_but_exact", "seq_length", "n_inner", "offset_alibi", "skip_bias_add",
                 "skip_bias_add_qkv", "bias_dropout_fusion", "masked_softmax_fusion",
                 "attention_softmax_in_fp32")  # fmt: skip
    config.finish()
    d_model, eps, alibi = sizes.d_model, sizes.eps, Alibi(sizes.n_head)

    def block(layer: int) -> Block:
        at = f"h.{layer}"
        query, key, value = side_by_side(tensors, f"{at}.self_attention.query_key_value", sizes)
        output = linear(tensors, f"{at}.self_attention.dense", d_model, d_model)
        heads = with_heads(sizes, query, key, value, output, mask=sizes.mask(), bias=alibi)
        names = (f"{at}.mlp.dense_h_to_4h", f"{at}.mlp.dense_4h_to_h")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, gelu_tanh)
        first, second = (
            layer_norm(tensors, f"{at}.{place}_layernorm", d_model, eps)
            for place in ("input", "post_attention")
        )
        return (residual(heads, before=first), residual(net, before=second))

    table = tensors.table("word_embeddings.weight", sizes.n_vocabulary, d_model)
    norm = layer_norm(tensors, "word_embeddings_layernorm", d_model, eps)
    model = language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table), norm=norm),
        layer_norm(tensors, "ln_f", d_model, eps),
        unembedding(config, tensors, table, "lm_head", tied=True),
        positions="ALiBi",
        ignored=IGNORED,
    )
    return model._replace(max_tokens=None, trained_tokens=sizes.n_position)


def _sizes(config: Config) -> Sizes:
    config.aliases(n_embed="hidden_size", num_attention_heads="n_head", num_hidden_layers="n_layer")
    config.require("is_causal", True)
    d_model, n_head = config.count("hidden_size"), config.count("n_head")
    return Sizes(
        n_layer=config.count("n_layer"),
        n_head=n_head,
        n_kv_head=n_head,
        d_head=head_width(config, d_model, n_head),
        d_model=d_model,
        d_ff=4 * d_model,
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("seq_length", 2048),
        eps=config.above(0, "layer_norm_epsilon", 1e-5),
    )
