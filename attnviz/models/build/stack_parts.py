"""A config and a source of weights -> the parts of a stack."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple, Protocol

from attnviz.models.build.stack import StackConfig
from attnviz.nn import masks
from attnviz.nn.activations import ACTIVATIONS
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import BatchNorm, LayerNorm, Norm, RMSNorm
from attnviz.nn.schemes import SCHEMES, Scheme, SchemeContext
from attnviz.nn.scores import build_score
from attnviz.nn.transformer import Block, Part, Stack, Sublayer
from attnviz.nn.types import Array
from attnviz.nn.window import WindowNet
from attnviz.registry import parse_spec


class Weights(Protocol):
    """Where arrays come from: a seed, or a file. The names are those of the packaged files."""

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        """A learned array; a seed draws it with this deviation."""
        ...

    def constant(self, name: str, size: int, value: float) -> Array:
        """A learned vector that starts as `value`."""
        ...


class Stacks(NamedTuple):
    """The stacks of a transformer, with the position schemes of what they read."""

    encoder: Stack | None
    decoder: Stack | None
    source: Scheme
    target: Scheme | None
    """None unless there are two stacks."""


def build_stacks(config: StackConfig, weights: Weights) -> Stacks:
    """All stacks that the config asks for."""
    first = "decoder" if config.kind == "decoder" else "encoder"
    source = build_scheme(config, weights, first)
    stacks = {first: build_stack(config, weights, first, source, cross=False)}
    target = None
    if config.kind == "encoder-decoder":
        target = build_scheme(config, weights, "decoder")
        stacks["decoder"] = build_stack(config, weights, "decoder", target, cross=True)
    return Stacks(stacks.get("encoder"), stacks.get("decoder"), source, target)


def build_stack(
    config: StackConfig, weights: Weights, name: str, scheme: Scheme, cross: bool
) -> Stack:
    """The blocks of the `encoder` or the `decoder`."""
    blocks = []
    for layer in range(config.layers):
        where = f"{name}.{layer}"
        parts: dict[str, Part] = mixers(config, weights, where, scheme, cross)
        if config.width_ff:
            parts["feed_forward"] = _feed_forward(config, weights, f"{where}.feed_forward")
        blocks.append(_block(config, weights, where, parts))
    pre = config.norm_place == "pre"
    return Stack(name, tuple(blocks), _norm(config, weights, f"{name}.norm") if pre else None)


def mixers(
    config: StackConfig, weights: Weights, where: str, scheme: Scheme, cross: bool
) -> dict[str, Part]:
    """What mixes the tokens: the parts of a block before its feed-forward net."""
    name, options = parse_spec(config.mix)
    if name == "attention":
        parts: dict[str, Part] = {"self": _attention(config, weights, where, "self", scheme)}
        if cross:
            parts["cross"] = _attention(config, weights, where, "cross", Scheme())
        return parts
    if name == "window":
        reach, d = int(options.get("reach", "2")), config.d_model
        net = WindowNet(
            up=linear(weights, f"{where}.window.up", (2 * reach + 1) * d, config.width_ff),
            down=linear(weights, f"{where}.window.down", config.width_ff, d),
            activation=ACTIVATIONS[config.activation].activation,
            reach=reach,
        )
        return {"window": net}
    return {}


def linear(weights: Weights, name: str, d_in: int, d_out: int, bias: bool = True) -> Linear:
    """A linear map; the deviation 1/√d_in keeps the variance of what passes through."""
    weight = weights.array(f"{name}.weight", (d_out, d_in), 1 / math.sqrt(d_in))
    return Linear(weight, weights.constant(f"{name}.bias", d_out, 0) if bias else None)


def build_scheme(config: StackConfig, weights: Weights, stack: str) -> Scheme:
    """The position scheme of a stack, with its learned arrays."""
    name, options = parse_spec(config.positions)
    stream = "target" if stack == "decoder" and config.kind == "encoder-decoder" else "source"

    def draw(what: str, shape: tuple[int, ...]) -> Array:
        return weights.array(f"{stream if what == 'positions' else stack}.{what}", shape)

    context = SchemeContext(config.d_model, config.heads, stack == "decoder", draw)
    scheme: Scheme = SCHEMES[name].function(context, **SCHEMES.options(name, options))
    return scheme


def _block(config: StackConfig, weights: Weights, where: str, parts: dict[str, Any]) -> Block:
    place = "before" if config.norm_place == "pre" else "after"
    return tuple(
        Sublayer(part, **{place: _norm(config, weights, f"{where}.{name}.norm")})
        for name, part in parts.items()
    )


def _norm(config: StackConfig, weights: Weights, name: str) -> Norm | None:
    if config.norm == "none":
        return None
    gain = weights.constant(f"{name}.weight", config.d_model, 1)
    if config.norm == "rms":
        return RMSNorm(gain)
    shift = weights.constant(f"{name}.bias", config.d_model, 0)
    return BatchNorm(gain, shift) if config.norm == "batch" else LayerNorm(gain, shift)


def _attention(
    config: StackConfig, weights: Weights, where: str, kind: str, scheme: Scheme
) -> MultiHeadAttention:
    d, d_k, d_v, name = config.d_model, config.width_k, config.width_v, f"{where}.{kind}"
    entry, score = build_score(config.score, d_k, partial(_score_array, weights, name))
    n_head, n_kv_head, bias = config.heads, config.n_kv_head, config.bias
    return MultiHeadAttention(
        query=linear(weights, f"{name}.query", d, n_head * d_k, bias),
        key=linear(weights, f"{name}.key", d, n_kv_head * d_k, bias),
        value=linear(weights, f"{name}.value", d, n_kv_head * d_v, bias),
        output=linear(weights, f"{name}.output", n_head * d_v, d, bias),
        n_head=n_head,
        n_kv_head=n_kv_head,
        kind=kind,
        score=score,
        score_name=config.score,
        scale=entry.default_scale(d_k) / config.temperature,
        softcap=config.softcap,
        mask=_mask(config, where, kind),
        rotary=scheme.rotary,
        bias=scheme.bias,
    )


def _score_array(weights: Weights, where: str, key: str, shape: tuple[int, ...]) -> Array:
    return weights.array(f"{where}.{key}", shape, 1 / math.sqrt(shape[-1]))


def _mask(config: StackConfig, where: str, kind: str) -> masks.Mask:
    """The config's mask holds for the first stack; a decoder that has an encoder is causal."""
    if kind == "cross":
        return masks.NONE
    is_decoder = where.startswith("decoder")
    if config.mask is None or (is_decoder and config.kind == "encoder-decoder"):
        return masks.CAUSAL if is_decoder else masks.NONE
    return masks.parse(config.mask)


def _feed_forward(config: StackConfig, weights: Weights, name: str) -> FeedForward:
    d, d_ff = config.d_model, config.width_ff
    return FeedForward(
        up=linear(weights, f"{name}.up", d, d_ff),
        down=linear(weights, f"{name}.down", d_ff, d),
        activation=ACTIVATIONS[config.activation].activation,
        gate=linear(weights, f"{name}.gate", d, d_ff) if config.gated else None,
    )
