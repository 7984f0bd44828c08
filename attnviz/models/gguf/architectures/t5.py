"""T5 and umT5, and mT5, which is a T5 v1.1."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary

HEADS = {"q": "q", "k": "k", "v": "v", "o": "o", "rel_b": "relative_attention_bias"}


def names(values: Values) -> dict[str, str]:
    """A layer's parts are numbered; the net is the second of the encoder, the third of the
    decoder."""
    up = "wi_1" if values["feed_forward_proj"].startswith("gated") else "wi"
    found = {"token_embd": "shared", "output": "lm_head"}
    for file, stack, net in (("enc", "encoder", 1), ("dec", "decoder", 2)):
        at = f"{stack}.block.{{0}}.layer."
        found |= {
            f"{file}.output_norm": f"{stack}.final_layer_norm",
            f"{file}.attn_norm": f"{at}0.layer_norm",
            **{f"{file}.attn_{old}": f"{at}0.SelfAttention.{new}" for old, new in HEADS.items()},
            f"{file}.ffn_norm": f"{at}{net}.layer_norm",
            f"{file}.ffn_gate": f"{at}{net}.DenseReluDense.wi_0",
            f"{file}.ffn_up": f"{at}{net}.DenseReluDense.{up}",
            f"{file}.ffn_down": f"{at}{net}.DenseReluDense.wo",
        }
    at = "decoder.block.{0}.layer.1"
    cross = {f"dec.cross_attn_{old}": f"{at}.EncDecAttention.{new}" for old, new in HEADS.items()}
    return {**found, **cross, "dec.cross_attn_norm": f"{at}.layer_norm"}


def read_config(fields: Config, file: TensorFile) -> Values:
    """Whether the net is gated, and whether each layer has a bias of its own, only the tensors
    say; a gated net has a GELU, another one a ReLU, as llama.cpp computes it."""
    n_layer, n_head = fields.count("block_count"), fields.count("attention.head_count")
    is_gated = "enc.blk.0.ffn_gate.weight" in file.shapes
    by_layer = n_layer > 1 and "enc.blk.1.attn_rel_b.weight" in file.shapes
    d_kv = fields.count("attention.key_length")
    fields.require("attention.value_length", d_kv)
    fields.require("attention.head_count_kv", n_head)
    eps = fields.number("attention.layer_norm_rms_epsilon")
    fields.require("attention.layer_norm_epsilon", eps)
    return {
        "model_type": "umt5" if by_layer else "t5",
        "is_encoder_decoder": True,
        "d_model": fields.count("embedding_length"),
        "d_kv": d_kv,
        "d_ff": fields.count("feed_forward_length"),
        "num_layers": n_layer,
        "num_decoder_layers": fields.count("decoder_block_count", n_layer),
        "num_heads": n_head,
        "n_positions": fields.count("context_length"),
        "relative_attention_num_buckets": fields.count("attention.relative_buckets_count"),
        "layer_norm_epsilon": eps,
        "feed_forward_proj": "gated-gelu" if is_gated else "relu",
        "decoder_start_token_id": fields.whole("decoder_start_token_id"),
        **vocabulary(file),
    }


ARCHITECTURE = Architecture(read_config, names)
