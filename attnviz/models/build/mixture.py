"""Mixtures of experts out of a file of tensors: one tensor an expert, as they are published, or
all experts in one, as transformers 5 holds them."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.layers import GATED, gated_feed_forward, linear
from attnviz.models.build.tensors import Tensors
from attnviz.nn.activations import Activation
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.mixture import Router

ONLY_TRAINED_WITH = ("output_router_logits", "router_aux_loss_coef", "router_jitter_noise")
"""Fields about a mixture that change nothing but training, and what else is returned."""

MAX_EXPERTS = 1 << 12


def read_experts(config: Config) -> tuple[int, int]:
    """How many experts a layer has, and to how many of them a token is sent."""
    config.aliases(num_local_experts="num_experts", n_routed_experts="num_experts")
    config.inert(*ONLY_TRAINED_WITH)
    n_expert = config.count("num_experts", maximum=MAX_EXPERTS)
    return n_expert, config.count("num_experts_per_tok", maximum=n_expert)


def router(
    tensors: Tensors, at: str, d_model: int, n_expert: int, top_k: int, **fields: object
) -> Router:
    gate = linear(tensors, at, d_model, n_expert, bias=bool(fields.pop("bias", False)))
    return Router(gate, top_k, **fields)  # type: ignore[arg-type]


def experts(
    tensors: Tensors,
    at: str,
    n_expert: int,
    d_model: int,
    d_ff: int,
    activation: Activation,
    names: tuple[str, str, str] = GATED,
) -> tuple[FeedForward, ...]:
    """The experts below `at`: `AT.3.gate_proj.weight` and so on, or `AT.gate_up_proj`
    [n_expert, 2·d_ff, d_model] and `AT.down_proj` [n_expert, d_model, d_ff]."""
    fused = f"{at}.gate_up_proj"
    if not tensors.has(fused):
        return tuple(
            gated_feed_forward(tensors, f"{at}.{number}", d_model, d_ff, activation, names)
            for number in range(n_expert)
        )
    shape = (n_expert, 2 * d_ff, d_model)
    gates = tensors.matrices(fused, *shape, rows=slice(0, d_ff))
    ups = tensors.matrices(fused, *shape, rows=slice(d_ff, None))
    downs = tensors.matrices(f"{at}.down_proj", n_expert, d_model, d_ff)
    return tuple(
        FeedForward(Linear(up), Linear(down), activation, Linear(gate))
        for gate, up, down in zip(gates, ups, downs, strict=True)
    )
