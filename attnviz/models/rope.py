"""What a config says of rotary positions, in its old and new spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnviz.models.config import Config
from attnviz.nn.multi_head import Turn
from attnviz.nn.positions import frequencies, rotary_width
from attnviz.nn.rotary import (
    ByLength,
    Rotary,
    llama3_frequencies,
    longrope_gain,
    yarn_frequencies,
    yarn_gain,
)
from attnviz.nn.types import Array

KINDS = ("default", "linear", "llama3", "yarn", "longrope", "factors")


def rope(
    config: Config, d_head: int, *, base: float = 10000.0, fraction: float = 1.0
) -> tuple[Turn, str]:
    """The rotation of queries and keys, and its name for the screen.

    Reads `rope_parameters`, or `rope_theta`, `rope_scaling` and `partial_rotary_factor`; `base`
    and `fraction` (of the features that turn) are what holds where the config does not say.
    """
    return from_parameters(config, _parameters(config), d_head, base=base, fraction=fraction)


def _parameters(config: Config) -> Config:
    """One section, whatever the spelling; `rope_theta` and the fraction beside it are taken in."""
    beside = {
        key: config.get(key)
        for key in ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings")
        if config.has(key)
    }
    for key in ("rope_parameters", "rope_scaling"):
        if config.has(key):
            section = config.section(key)
            config.inert("rope_scaling")
            return Config({**beside, **section.values()}, section.where)
    return Config(beside, config.where)


def from_parameters(
    config: Config,
    given: Config,
    d_head: int,
    *,
    base: float = 10000.0,
    fraction: float = 1.0,
) -> tuple[Turn, str]:
    """As `rope`, from one section: Gemma 3 has one for each kind of layer."""
    base = given.number("rope_theta", base)
    fraction = given.number("partial_rotary_factor", fraction)
    old_kind = given.choice("type", "default", "su", *KINDS[1:]).replace("su", "longrope")
    others = (known for known in KINDS if known != old_kind)
    kind = given.choice("rope_type", old_kind, *others)
    plain = frequencies(rotary_width(d_head, fraction), base)
    turn = _SCALED[kind](config, given, plain, base)
    given.inert("factor", "original_max_position_embeddings")
    given.finish()
    name = f"rope base {base:g}" + (f", {fraction:g} of the features" if fraction < 1 else "")
    return turn, name + ("" if kind == "default" else f", {kind} scaling")


def _default(config: Config, given: Config, plain: Array, base: float) -> Turn:
    return Rotary(plain)


def _linear(config: Config, given: Config, plain: Array, base: float) -> Turn:
    return Rotary(plain / given.number("factor"))


def _llama3(config: Config, given: Config, plain: Array, base: float) -> Turn:
    return Rotary(
        llama3_frequencies(
            plain,
            given.number("factor"),
            given.number("low_freq_factor"),
            given.number("high_freq_factor"),
            given.number("original_max_position_embeddings"),
        )
    )


def _yarn(config: Config, given: Config, plain: Array, base: float) -> Turn:
    factor = given.number("factor")
    turned = yarn_frequencies(
        plain,
        base,
        factor,
        given.number("beta_fast", 32.0),
        given.number("beta_slow", 1.0),
        _original(config, given),
        given.switch("truncate", True),
    )
    gain = yarn_gain(factor)
    if given.has("mscale") and given.has("mscale_all_dim"):
        gain = yarn_gain(factor, given.number("mscale"))
        gain /= yarn_gain(factor, given.number("mscale_all_dim"))
    return Rotary(turned, given.number("attention_factor", gain))


def _longrope(config: Config, given: Config, plain: Array, base: float) -> Turn:
    original = _original(config, given)
    factor = given.number("factor", config.count("max_position_embeddings") / original)
    gain = given.number("attention_factor", longrope_gain(factor, original))
    short, long = (
        Rotary(plain / _factors(given, key, len(plain)), gain)
        for key in ("short_factor", "long_factor")
    )
    return ByLength(short, long, int(original))


def _by_factors(config: Config, given: Config, plain: Array, base: float) -> Turn:
    """Each frequency has a divisor of its own: how GGUF files store a scaling."""
    return Rotary(plain / _factors(given, "factors", len(plain)))


def _factors(given: Config, key: str, n: int) -> Array:
    return np.asarray(given.numbers(key, n))


def _original(config: Config, given: Config) -> float:
    own = config.count("max_position_embeddings")
    return given.number("original_max_position_embeddings", own)


_SCALED: Mapping[str, Any] = {
    "default": _default,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "factors": _by_factors,
}
