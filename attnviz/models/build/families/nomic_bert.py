"""Nomic BERT: BERT with rotary positions, gated nets and few biases. Source: Nussbaum et al. 2024,
section 3.1; tensor names as in its own code, which Hugging Face's checkpoints keep."""

from __future__ import annotations

from functools import partial
from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model
from attnviz.models.build.layers import activation, head_width, layer_norm, linear
from attnviz.models.build.rope import Rope, read_rope, read_rope_section
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention, Rotary
from attnviz.nn.norms import LayerNorm
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "BertTokenizer"
HEAD = LanguageModelHead(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.layer_norm",
    "cls.predictions.decoder",
)
IGNORED = r"((nomic_)?bert\.)?pooler\..*|cls\.predictions\.(decoder\.)?bias|classifier\..*"
BASE = 1000.0
"""Of the rotation, where the config does not say."""

OLD = {"n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
       "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
       "layer_norm_epsilon": "layer_norm_eps"}  # fmt: skip
"""Fields of its own code."""

PLAIN = {"causal": False, "prenorm": False, "parallel_block": False, "qkv_proj_bias": False,
         "mlp_fc1_bias": False, "mlp_fc2_bias": False, "use_rms_norm": False,
         "rotary_emb_interleaved": False, "scale_attn_weights": True,
         "scale_attn_by_inverse_layer_idx": False}  # fmt: skip
"""Options of its own code that no published text model uses."""

INERT = ("dense_seq_output", "fused_bias_fc", "fused_dropout_add_ln", "pad_vocab_size_multiple",
         "parallel_block_tied_norm", "reorder_and_upcast_attn", "use_flash_attn", "use_xentropy",
         "position_embedding_type", "summary_first_dropout")  # fmt: skip
"""How it is computed, and training."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("nomic_bert.", "bert."), checkpoint.config
    config.aliases(**OLD)
    sizes = _sizes(config)
    d_model = sizes.d_model
    default = head_width(config, d_model, sizes.n_head) if not config.has("head_dim") else 1
    d_head = config.count("head_dim", default)
    rope = _rope(config, d_head)
    n_segment = config.whole("type_vocab_size", 2)
    for key, value in PLAIN.items():
        config.require(key, value)
    config.inert(*INERT)
    config.finish()

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, d_model, sizes.eps)

    def block(layer: int) -> Block:
        at = f"encoder.layers.{layer}"
        heads = _attention(tensors, f"{at}.attn", sizes, d_head, rope.rotary)
        return (
            Sublayer(heads, after=norm(f"{at}.norm1")),
            Sublayer(_feed_forward(tensors, f"{at}.mlp", sizes), after=norm(f"{at}.norm2")),
        )

    at = "embeddings"
    table = tensors.table(f"{at}.word_embeddings.weight", sizes.n_vocabulary, d_model)
    segments = None
    if n_segment:
        segments = tensors.take(f"{at}.token_type_embeddings.weight", n_segment, d_model)
    return masked_language_model(
        checkpoint,
        tensors,
        sizes,
        [block(layer) for layer in range(sizes.n_layer)],
        Embedding(tokens=partial(rows, table), segments=segments, norm=norm("emb_ln")),
        table,
        HEAD,
        ignored=IGNORED,
        positions=rope.description,
    )


def _sizes(config: Config) -> Sizes:
    config.require("activation_function", "swiglu")
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=config.count("num_attention_heads"),
        d_model=config.count("hidden_size"),
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings", 2048),
        eps=config.above(0, "layer_norm_eps", 1e-12),
        activation=activation(config, "hidden_act", "silu"),
    )


def _rope(config: Config, d_head: int) -> Rope:
    """Its own code scales the rotation of texts longer than those of the training."""
    config.require("rotary_emb_fraction", 1.0, 1)
    config.refuse("rotary_emb_scale_base")
    length = config.count("max_trained_positions", 2048)
    if not config.has("rotary_emb_base"):
        return read_rope(config, d_head, base=BASE)
    section: dict[str, Any] = {"rope_theta": config.above(0, "rotary_emb_base")}
    if config.has("rotary_scaling_factor"):
        factor = config.above(0, "rotary_scaling_factor")
        section |= {"rope_type": "dynamic", "factor": factor}
    trained = config.part({"max_position_embeddings": length})
    return read_rope_section(trained, trained.part(section), d_head)


def _attention(
    tensors: Tensors, at: str, sizes: Sizes, d_head: int, rotary: Rotary
) -> MultiHeadAttention:
    """The file has queries, keys and values in one tensor."""
    n_head, d, width = sizes.n_head, sizes.d_model, sizes.n_head * d_head
    query, key, value = (
        linear(
            tensors,
            f"{at}.Wqkv",
            d,
            3 * width,
            bias=False,
            rows=slice(part * width, (part + 1) * width),
        )
        for part in range(3)
    )
    output = linear(tensors, f"{at}.out_proj", width, d, bias=False)
    return MultiHeadAttention(
        query, key, value, output, n_head, n_head, scale=d_head**-0.5, rotary=rotary
    )


def _feed_forward(tensors: Tensors, at: str, sizes: Sizes) -> FeedForward:
    d, d_ff = sizes.d_model, sizes.d_ff
    up, gate = (linear(tensors, f"{at}.{name}", d, d_ff, bias=False) for name in ("fc11", "fc12"))
    down = linear(tensors, f"{at}.fc2", d_ff, d, bias=False)
    return FeedForward(up, down, sizes.activation, gate)
