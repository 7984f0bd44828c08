"""Parts of a transformer out of a file of tensors, where several families lay them out alike."""

from __future__ import annotations

from typing import Any

from attnviz.models.build.config import Config
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Rows, Tensors
from attnviz.nn.activations import Activation, gelu, gelu_tanh, quick_gelu, relu, silu, tanh
from attnviz.nn.embedding import Unembedding
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm, RMSNorm
from attnviz.nn.weights import Weight

ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "quick_gelu": quick_gelu,
    "relu": relu,
    "silu": silu,
    "swish": silu,
    "tanh": tanh,
}
"""By the names that configs use."""

OLD_NORM = {".weight": ".gamma", ".bias": ".beta"}
"""How norms were spelled in TensorFlow's checkpoints."""


def activation(config: Config, key: str, default: str) -> Activation:
    """The activation that the config names."""
    others = (name for name in ACTIVATIONS if name != default)
    return ACTIVATIONS[config.choice(key, default, *others)]


def head_width(config: Config, d_model: int, n_head: int) -> int:
    """The width of each of the heads that share `d_model` evenly."""
    if d_model % n_head:
        raise config.error(f"{n_head} heads do not share a width of {d_model} evenly")
    return d_model // n_head


def linear(
    tensors: Tensors,
    name: str,
    d_in: int,
    d_out: int,
    *,
    bias: bool = True,
    rows: Rows | None = None,
) -> Linear:
    """x Wᵀ + b from NAME.weight [d_out, d_in] and NAME.bias [d_out], or from some of their rows."""
    shift = tensors.take(f"{name}.bias", d_out) if bias else None
    if shift is not None and rows is not None:
        shift = shift[rows]
    return Linear(tensors.weight(f"{name}.weight", d_out, d_in, rows=rows), shift)


def layer_norm(tensors: Tensors, name: str, d: int, eps: float, *, bias: bool = True) -> LayerNorm:
    gain = tensors.take(f"{name}.weight", d, spellings=OLD_NORM)
    return LayerNorm(
        gain, tensors.take(f"{name}.bias", d, spellings=OLD_NORM) if bias else None, eps
    )


def rms_norm(tensors: Tensors, name: str, d: int, eps: float, *, offset: float = 0.0) -> RMSNorm:
    """`offset` is added to the stored gain: 1 for Gemma."""
    gain = tensors.take(f"{name}.weight", d)
    return RMSNorm(gain + gain.dtype.type(offset) if offset else gain, eps)


def attention(
    tensors: Tensors,
    at: str,
    names: tuple[str, str, str, str],
    d_model: int,
    n_head: int,
    *,
    bias: bool = True,
    key_bias: bool | None = None,
    **fields: Any,
) -> MultiHeadAttention:
    """Multi-head attention whose heads share the width of the model evenly.

    `names` are those of the projections of query, key, value and output below `at`; that of the
    key may lack the `bias` that the others have.
    """
    of_key = bias if key_bias is None else key_bias
    query, key, value, output = (
        linear(tensors, f"{at}.{name}", d_model, d_model, bias=has_bias)
        for name, has_bias in zip(names, (bias, of_key, bias, bias), strict=True)
    )
    scale = (d_model / n_head) ** -0.5  # an odd width is refused where heads are split
    settings = {"n_head": n_head, "n_kv_head": n_head, "scale": scale} | fields
    return MultiHeadAttention(query, key, value, output, **settings)


def feed_forward(
    tensors: Tensors,
    names: tuple[str, str],
    d_model: int,
    d_ff: int,
    activation: Activation,
    *,
    bias: bool = True,
) -> FeedForward:
    """down(activation(up(x))); `names` are those of up and down."""
    up, down = names
    return FeedForward(
        up=linear(tensors, up, d_model, d_ff, bias=bias),
        down=linear(tensors, down, d_ff, d_model, bias=bias),
        activation=activation,
    )


GATED = ("gate_proj", "up_proj", "down_proj")
"""The usual names of the maps of a gated net."""


def gated_feed_forward(
    tensors: Tensors,
    at: str,
    d_model: int,
    d_ff: int,
    activation: Activation,
    names: tuple[str, str, str] = GATED,
    *,
    bias: bool = False,
) -> FeedForward:
    """down(activation(gate(x)) · up(x)); `names` are those of gate, up and down below `at`."""
    gate, up, down = (f"{at}.{name}" for name in names)
    return FeedForward(
        up=linear(tensors, up, d_model, d_ff, bias=bias),
        down=linear(tensors, down, d_ff, d_model, bias=bias),
        activation=activation,
        gate=linear(tensors, gate, d_model, d_ff, bias=bias),
    )


def unembedding(
    config: Config,
    tensors: Tensors,
    table: Weight,
    name: str,
    *,
    tied: bool,
    bias: bool = False,
    **fields: Any,
) -> Unembedding | None:
    """The output: NAME.weight where the file has it, else the embedding's table where the two
    are tied; None where the file has none, or the model's class another one.

    `tied` is what the family does if its config does not say; `bias` that there is a NAME.bias.
    """
    n_vocabulary, d_model = table.shape
    tensors = tensors.outside
    shared = config.switch("tie_word_embeddings", tied)
    if predicts_other(config):
        return None
    if tensors.has(f"{name}.weight"):
        table = tensors.table(f"{name}.weight", n_vocabulary, d_model)
    elif not shared:
        return None
    shift = tensors.take(f"{name}.bias", n_vocabulary) if bias else None
    return Unembedding(Linear(table, shift), **fields)
