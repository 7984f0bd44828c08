"""gpt-oss: a learned sink a head in the softmax's denominator, sliding layers between full ones,
mixtures of experts with biases. Source: OpenAI 2025, section 2; experts of four bits (MXFP4), as
OpenAI publishes them, or unpacked."""

from __future__ import annotations

from functools import partial
from typing import Any

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.layers import linear
from attnviz.models.build.llama_like import (
    LlamaLike,
    attention,
    llama_like_model,
    pre_norm_block,
    read_llama_like,
    read_windows,
    window_size,
)
from attnviz.models.build.mixture import read_experts, router
from attnviz.models.build.rope import Rope, read_rope, read_rope_section
from attnviz.models.model import Model
from attnviz.nn.activations import clamped_plus_one, clamped_swish
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.mixture import Mixture
from attnviz.nn.transformer import Block
from attnviz.nn.weights import Weight

QUANTISED = ("mxfp4",)
"""How its weights may be quantised."""

BASE = 150000.0
YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}
"""What holds where the config says nothing of rotary positions."""


def build(checkpoint: Checkpoint) -> Model:
    decoder, config = read_llama_like(checkpoint, eps=1e-5, n_kv_head=8), checkpoint.config
    rope = _rope(config, decoder.sizes.d_head)
    config.aliases(experts_per_token="num_experts_per_tok")
    config.inert("quantization_config")  # of the experts, as their tensors show
    sizes, bias = decoder.sizes, config.switch("attention_bias", True)
    window = read_windows(decoder, window_size(config, 128), lambda layer: layer % 2 == 0)
    n_expert, top_k = read_experts(config)
    activations = _activations(config)

    def block(layer: int) -> Block:
        at = f"layers.{layer}"
        heads = attention(
            decoder,
            layer,
            bias=bias,
            mask=sizes.mask(window(layer)),
            rotary=rope.rotary,
            sinks=decoder.tensors.take(f"{at}.self_attn.sinks", sizes.n_head),
        )
        gate = router(
            decoder.tensors, f"{at}.mlp.router", sizes.d_model, n_expert, top_k,
            bias=True, normalised=True,
        )  # fmt: skip
        net = Mixture(gate, _experts(decoder, f"{at}.mlp.experts", n_expert, activations))
        return pre_norm_block(decoder, layer, heads, net)

    return llama_like_model(decoder, block, rope.description)


def _rope(config: Config, d_head: int) -> Rope:
    if config.has("rope_parameters") or config.has("rope_scaling"):
        return read_rope(config, d_head, base=BASE)
    base = config.above(0, "rope_theta", BASE)
    return read_rope_section(config, config.part({**YARN, "rope_theta": base}), d_head)


def _activations(config: Config) -> dict[str, Any]:
    config.inert("hidden_act")  # it has one of its own
    limit = config.above(0, "swiglu_limit", 7.0)
    slope = config.number("swiglu_alpha", 1.702)
    return {
        "activation": partial(clamped_swish, slope=slope, limit=limit),
        "up_activation": partial(clamped_plus_one, limit=limit),
    }


def _experts(
    decoder: LlamaLike, at: str, n_expert: int, activations: dict[str, Any]
) -> tuple[FeedForward, ...]:
    """Gate and up take turns: feature 0 of the gate, of up, feature 1 of the gate, …"""
    tensors, d_model, d_ff = decoder.tensors, decoder.sizes.d_model, decoder.sizes.d_ff
    if tensors.has(f"{at}.0.gate_proj.weight"):  # out of a GGUF file
        return tuple(
            FeedForward(
                up=linear(tensors, f"{at}.{number}.up_proj", d_model, d_ff),
                down=linear(tensors, f"{at}.{number}.down_proj", d_ff, d_model),
                gate=linear(tensors, f"{at}.{number}.gate_proj", d_model, d_ff),
                **activations,
            )
            for number in range(n_expert)
        )

    def maps(name: str, d_in: int, d_out: int, rows: slice = slice(None)) -> list[Linear]:
        full = f"{at}.{name}"
        weights: list[Weight]
        if tensors.has(f"{full}_blocks"):
            weights = tensors.packed_matrices(full, n_expert, d_out, d_in, rows=rows)
        else:
            shape = n_expert, d_in, d_out
            weights = tensors.matrices(full, *shape, rows=rows, transposed=True)
        biases = tensors.take(f"{full}_bias", n_expert, d_out)[:, rows]
        return [Linear(*pair) for pair in zip(weights, biases, strict=True)]

    gates = maps("gate_up_proj", d_model, 2 * d_ff, slice(0, None, 2))
    ups = maps("gate_up_proj", d_model, 2 * d_ff, slice(1, None, 2))
    downs = maps("down_proj", d_ff, d_model)
    return tuple(
        FeedForward(up=up, down=down, gate=gate, **activations)
        for gate, up, down in zip(gates, ups, downs, strict=True)
    )
