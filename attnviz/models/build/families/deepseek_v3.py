"""DeepSeek-V3 and R1: DeepSeek-V2 whose router weighs experts with a sigmoid, and chooses with a
learned bias. Source: DeepSeek-AI 2024 (V3), section 2.1."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.deepseek_v2 import (
    check_published,
    deepseek_model,
    mixtures,
    read_groups,
    read_latent,
)
from attnviz.models.build.llama_like import read_llama_like
from attnviz.models.build.mixture import MAX_EXPERTS
from attnviz.models.model import Model
from attnviz.nn.activations import sigmoid
from attnviz.nn.positions import RopeStyle


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint), checkpoint.config
    check_published(config, "sigmoid")
    config.require("topk_method", "noaux_tc")
    interleaved = config.switch("rope_interleave", True)
    style: RopeStyle = "interleaved" if interleaved else "half"
    latent = read_latent(config, style, default_kv_head=128)
    config.require("head_dim", latent.d_rotary)
    net = mixtures(
        decoder,
        first=config.whole("first_k_dense_replace", 3),
        n_shared=config.count("n_shared_experts", 1, maximum=MAX_EXPERTS),
        correction=True,
        scores=sigmoid,
        normalised=config.switch("norm_topk_prob", True),
        factor=config.number("routed_scaling_factor", 2.5),
        groups=read_groups(config, 8, 4)._replace(n_best=2),
    )
    return deepseek_model(decoder, latent, net)
