"""Gemma 2."""

from __future__ import annotations

from collections.abc import Mapping

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    LAYER,
    LLAMA_NAMES,
    Architecture,
    Values,
    layer_types,
    llama_like,
)
from attnviz.models.gguf.layout import Change

NAMES = LLAMA_NAMES | {
    "post_attention_norm": f"{LAYER}post_attention_layernorm",
    "ffn_norm": f"{LAYER}pre_feedforward_layernorm",
    "post_ffw_norm": f"{LAYER}post_feedforward_layernorm",
}


def gains(values: Values) -> Mapping[str, Change]:
    """The converter adds 1 to the gains of all norms."""
    norms = ("attn_norm", "attn_q_norm", "attn_k_norm", "post_attention_norm", "ffn_norm",
             "post_ffw_norm", "output_norm")  # fmt: skip
    return dict.fromkeys(norms, Change(offset=1.0))


def alternating(
    fields: Config, file: TensorFile, model_type: str, window: int, every: int
) -> Values:
    """What Gemma 2 and 3 share; `window` and `every` hold where the file does not say."""
    values = llama_like(fields, file, model_type)
    window = fields.whole("attention.sliding_window", window)
    kinds = layer_types(fields, values["num_hidden_layers"], window, every)
    return values | {"layer_types": kinds, **({"sliding_window": window} if window else {})}


def score_scale(values: Values, n_layer_of_largest: int) -> Values:
    """Only the largest Gemma of a generation does not divide the scores by √d_head, and only its
    number of layers tells it from the others."""
    largest = values["num_hidden_layers"] == n_layer_of_largest
    d_mean = values["hidden_size"] // values["num_attention_heads"]
    return {"query_pre_attn_scalar": d_mean if largest else values["head_dim"]}


def _config(fields: Config, file: TensorFile) -> Values:
    values = alternating(fields, file, "gemma2", window=4096, every=2)
    usual = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    caps = {key: fields.number(key, cap) for key, cap in usual.items()}
    return values | caps | score_scale(values, 46)


ARCHITECTURE = Architecture(_config, NAMES, gains)
