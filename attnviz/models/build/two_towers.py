"""Models of images and texts: two encoders whose outputs are compared."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.layers import activation, attention, feed_forward, head_width, layer_norm
from attnviz.models.build.tensors import Tensors
from attnviz.nn.masks import Mask
from attnviz.nn.transformer import Block, Stack, Sublayer


def section(config: Config, name: str) -> Config:
    """`text_config` or `vision_config`; what old files have under that name with `_dict` counts
    instead, as in transformers."""
    for key in (f"{name}_dict", name):
        if config.has(key):
            part = config.section(key)
            config.inert(name)
            return part
    return config.part({}, name)


def tower(tensors: Tensors, config: Config, at: str, eps: float, act: str, mask: Mask) -> Stack:
    """The encoder of either, whose tensors are below `at`; `eps` and `act` are the family's
    defaults."""
    d, n_head = config.count("hidden_size"), config.count("num_attention_heads")
    head_width(config, d, n_head)
    d_ff, eps = config.count("intermediate_size"), config.above(0, "layer_norm_eps", eps)
    function = activation(config, "hidden_act", act)

    def block(layer: int) -> Block:
        name = f"{at}.encoder.layers.{layer}"
        projections = ("q_proj", "k_proj", "v_proj", "out_proj")
        return (
            Sublayer(
                attention(tensors, f"{name}.self_attn", projections, d, n_head, mask=mask),
                before=layer_norm(tensors, f"{name}.layer_norm1", d, eps),
            ),
            Sublayer(
                feed_forward(tensors, (f"{name}.mlp.fc1", f"{name}.mlp.fc2"), d, d_ff, function),
                before=layer_norm(tensors, f"{name}.layer_norm2", d, eps),
            ),
        )

    return Stack("encoder", tuple(map(block, range(config.count("num_hidden_layers")))))
