"""Phi-1, Phi-1.5 and Phi-2: attention and feed-forward net in parallel behind one norm, some of
the features rotated, biases everywhere. Source: Li et al. 2023 (Textbooks Are All You Need II),
section 2."""

from __future__ import annotations

from functools import partial
from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.decoder import Sizes, language_model, with_heads
from attnviz.models.build.layers import activation, feed_forward, layer_norm, linear, unembedding
from attnviz.models.build.rope import read_rope
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.transformer import Block, Parallel, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "GPT2Tokenizer"
IGNORED = r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq|(score|classifier)\..*"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("model."), checkpoint.config
    sizes = _sizes(config)
    act = activation(config, "hidden_act", "gelu_new")
    rope = read_rope(config, sizes.d_head, fraction=0.5)
    normalises = config.switch("qk_layernorm")
    config.finish()
    d_model, eps = sizes.d_model, sizes.eps
    width, kv_width = sizes.n_head * sizes.d_head, sizes.n_kv_head * sizes.d_head

    def head_norms(at: str) -> dict[str, Any]:
        names = {"query_norm": f"{at}.q_layernorm", "key_norm": f"{at}.k_layernorm"}
        return {
            field: layer_norm(tensors, name, sizes.d_head, eps) for field, name in names.items()
        }

    def block(layer: int) -> Block:
        at = f"layers.{layer}.self_attn"
        heads = with_heads(
            sizes,
            linear(tensors, f"{at}.q_proj", d_model, width),
            linear(tensors, f"{at}.k_proj", d_model, kv_width),
            linear(tensors, f"{at}.v_proj", d_model, kv_width),
            linear(tensors, f"{at}.dense", width, d_model),
            mask=sizes.mask(),
            rotary=rope.rotary,
            **(head_norms(at) if normalises else {}),
        )
        names = (f"layers.{layer}.mlp.fc1", f"layers.{layer}.mlp.fc2")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, act)
        norm = layer_norm(tensors, f"layers.{layer}.input_layernorm", d_model, eps)
        return (Sublayer(Parallel((heads, net)), before=norm),)

    table = tensors.table("embed_tokens.weight", sizes.n_vocabulary, d_model)
    return language_model(
        checkpoint,
        tensors,
        sizes,
        block,
        Embedding(tokens=partial(rows, table)),
        layer_norm(tensors, "final_layernorm", d_model, eps),
        unembedding(config, tensors, table, "lm_head", tied=False, bias=True),
        positions=rope.description,
        ignored=IGNORED,
    )


def _sizes(config: Config) -> Sizes:
    d_model, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=n_head,
        n_kv_head=config.count("num_key_value_heads", n_head),
        d_head=config.count("head_dim", max(1, d_model // n_head)),
        d_model=d_model,
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=config.above(0, "layer_norm_eps", 1e-5),
        is_causal=config.switch("is_causal", True),
    )
