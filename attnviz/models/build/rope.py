"""What a config says of rotary positions, in its old and new spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.nn.multi_head import Rotary
from attnviz.nn.positions import frequencies, rotary_width
from attnviz.nn.rotary import (
    ByLength,
    RotaryEmbedding,
    llama3_frequencies,
    longrope_gain,
    yarn_frequencies,
    yarn_gain,
)
from attnviz.nn.types import Array

ORIGINAL = "original_max_position_embeddings"
BESIDE = ("rope_theta", "partial_rotary_factor", ORIGINAL)
"""What may stand in the section or beside it."""

WIDEST = 1 << 16
"""Of the heads that are rotated: frequencies are made before any tensor is looked at."""

KINDS = ("default", "linear", "llama3", "yarn", "longrope", "factors")


def rope(
    config: Config, d_head: int, *, base: float = 10000.0, fraction: float | None = None
) -> tuple[Rotary, str]:
    """The rotation of queries and keys, and its name for the screen.

    Reads `rope_parameters`, or `rope_theta`, `rope_scaling` and `partial_rotary_factor`; `base`
    and `fraction` (of the features that turn) are what holds where the config does not say.
    Without a `fraction`, the family turns all features.
    """
    return from_parameters(config, _parameters(config), d_head, base=base, fraction=fraction)


def _parameters(config: Config) -> Config:
    """One section, whatever the spelling, with what the config says beside it."""
    beside = {key: config.get(key) for key in BESIDE if config.has(key)}
    spellings = [key for key in ("rope_parameters", "rope_scaling") if config.has(key)]
    if len(spellings) > 1:
        raise AttnvizError(
            f"{config.where} has both {' and '.join(spellings)}", "delete the one that is wrong"
        )
    if not spellings:
        return config.part(beside)
    section = config.section(spellings[0])
    # the original length beside the section is what transformers goes by
    return section.part({**beside, **section.values(), **_only(beside, ORIGINAL)})


def _only(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: values[key]} if key in values else {}


def from_parameters(
    config: Config,
    given: Config,
    d_head: int,
    *,
    base: float = 10000.0,
    fraction: float | None = None,
) -> tuple[Rotary, str]:
    """As `rope`, from one section: Gemma 3 has one for each kind of layer."""
    base = given.above(0, "rope_theta", base)
    if fraction is None:
        given.require("partial_rotary_factor", 1.0)
    if d_head > WIDEST:
        raise config.error(f"heads of {d_head} features are wider than {WIDEST}")
    share = given.above(0, "partial_rotary_factor", fraction or 1.0)
    if int(d_head * share) % 2:
        raise given.error(
            f"{share:g} of {d_head} features turn, an odd number; features turn in pairs"
        )
    old_kind = given.choice("type", "default", "su", *KINDS[1:]).replace("su", "longrope")
    others = (known for known in KINDS if known != old_kind)
    kind = given.choice("rope_type", old_kind, *others)
    plain = frequencies(rotary_width(d_head, share), base)
    rotary = _SCALED[kind](config, given, plain, base)
    given.inert("factor", ORIGINAL)
    given.finish()
    name = f"rope base {base:g}" + (f", {share:g} of the features" if share < 1 else "")
    return rotary, name + ("" if kind == "default" else f", {kind} scaling")


def _default(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    return RotaryEmbedding(plain)


def _linear(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    return RotaryEmbedding(plain / given.above(0, "factor"))


def _llama3(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    return RotaryEmbedding(
        llama3_frequencies(
            plain,
            given.above(0, "factor"),
            given.above(0, "low_freq_factor"),
            given.above(0, "high_freq_factor"),
            given.above(1, ORIGINAL),
        )
    )


def _yarn(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    factor = given.above(0, "factor")
    turned = yarn_frequencies(
        plain,
        base,
        factor,
        given.above(0, "beta_fast", 32.0),
        given.above(0, "beta_slow", 1.0),
        _original(config, given),
        given.switch("truncate", True),
    )
    gain = yarn_gain(factor)
    if given.has("mscale") and given.has("mscale_all_dim"):
        gain = yarn_gain(factor, given.above(0, "mscale"))
        gain /= yarn_gain(factor, given.above(0, "mscale_all_dim"))
    return RotaryEmbedding(turned, given.above(0, "attention_factor", gain))


def _longrope(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    original = _original(config, given)
    factor = given.above(0, "factor", config.count("max_position_embeddings") / original)
    gain = given.above(0, "attention_factor", longrope_gain(factor, original))
    short, long = (
        RotaryEmbedding(plain / _factors(given, key, len(plain)), gain)
        for key in ("short_factor", "long_factor")
    )
    return ByLength(short, long, int(original))


def _by_factors(config: Config, given: Config, plain: Array, base: float) -> Rotary:
    """Each frequency has a divisor of its own: how GGUF files store a scaling."""
    return RotaryEmbedding(plain / _factors(given, "factors", len(plain)))


def _factors(given: Config, key: str, n: int) -> Array:
    return np.asarray(given.numbers(key, n))


def _original(config: Config, given: Config) -> float:
    own = config.count("max_position_embeddings")
    return given.above(1, ORIGINAL, own)


_SCALED: Mapping[str, Any] = {
    "default": _default,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "factors": _by_factors,
}
