"""What a config says of rotary positions, in its old and new spellings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.read_names import ROPE
from attnviz.nn.multi_head import Rotary
from attnviz.nn.positions import RopeStyle, frequencies, rotary_width
from attnviz.nn.rotary import (
    ByGrowth,
    ByLength,
    RotaryEmbedding,
    llama3_frequencies,
    longrope_gain,
    yarn_frequencies,
    yarn_gain,
)
from attnviz.nn.types import Array

ORIGINAL_LENGTH = "original_max_position_embeddings"
TOP_LEVEL = ("rope_theta", "partial_rotary_factor", ORIGINAL_LENGTH)
"""Fields that may also stand outside the section."""

MAX_HEAD_WIDTH = 1 << 16
"""Frequencies are computed before any tensor is looked at, so the config alone is trusted."""


class Rope(NamedTuple):
    """Rotary positions."""

    rotary: Rotary
    description: str
    """For the screen."""


class Scaling(NamedTuple):
    """What the scaling of frequencies to long texts depends on."""

    config: Config
    section: Config
    """The fields of rotary positions."""
    frequencies: Array
    """[n_pair]: those of the base, unscaled."""
    base: float
    style: RopeStyle
    """Which features make a pair."""

    def rotary(self, frequencies: Array, gain: float = 1.0) -> RotaryEmbedding:
        return RotaryEmbedding(frequencies, gain, self.style)

    def length(self) -> int:
        """The longest text that the model reads."""
        return self.config.count("max_position_embeddings")

    def original_length(self) -> float:
        """The length of text that the model was first trained on."""
        return self.section.above(1, ORIGINAL_LENGTH, self.length())

    def factors(self, key: str) -> Array:
        """[n_pair]: a divisor of each frequency."""
        return np.asarray(self.section.numbers(key, len(self.frequencies)))


def read_rope(
    config: Config,
    d_head: int,
    *,
    base: float = 10000.0,
    fraction: float | None = None,
    style: RopeStyle = "half",
) -> Rope:
    """The rotation of queries and keys.

    Reads `rope_parameters`, or `rope_theta`, `rope_scaling` and `partial_rotary_factor`; `base`
    and `fraction` (of the features that are rotated) hold where the config does not say.
    Without a `fraction`, the family rotates all features; `style` says which of them make a pair.
    """
    return read_rope_section(
        config, _section(config), d_head, base=base, fraction=fraction, style=style
    )


def softmax_gain(config: Config) -> float:
    """The factor on the scores of a model with latent attention whose rotations are scaled: the
    square of YaRN's. Source: DeepSeek's code, as transformers has it."""
    section = _section(config)
    if _kind(section) == "default" or not section.has("mscale_all_dim"):
        return 1.0
    scale = section.number("mscale_all_dim")
    return yarn_gain(section.above(0, "factor"), scale) ** 2 if scale else 1.0


def _section(config: Config) -> Config:
    """The fields of rotary positions, whatever the spelling, with those outside the section."""
    outside = {key: config.get(key) for key in TOP_LEVEL if config.has(key)}
    spellings = [key for key in ("rope_parameters", "rope_scaling") if config.has(key)]
    if len(spellings) > 1:
        raise AttnvizError(
            f"{config.where} has both {' and '.join(spellings)}", "delete the one that is wrong"
        )
    if not spellings:
        return config.part(outside)
    section = config.section(spellings[0])
    fields = {**outside, **section.values()}
    if ORIGINAL_LENGTH in outside:  # here transformers prefers the field outside
        fields[ORIGINAL_LENGTH] = outside[ORIGINAL_LENGTH]
    return section.part(fields)


def read_rope_section(
    config: Config,
    section: Config,
    d_head: int,
    *,
    base: float = 10000.0,
    fraction: float | None = None,
    style: RopeStyle = "half",
) -> Rope:
    """As `read_rope`, from one section."""
    base = section.above(0, "rope_theta", base)
    if fraction is None:
        section.require("partial_rotary_factor", 1.0)
    if d_head > MAX_HEAD_WIDTH:
        raise config.error(f"heads of {d_head} features are wider than {MAX_HEAD_WIDTH}")
    fraction = section.above(0, "partial_rotary_factor", fraction or 1.0)
    if int(d_head * fraction) % 2:
        raise section.error(
            f"{fraction:g} of {d_head} features is an odd number, but features are rotated in pairs"
        )
    kind = _kind(section)
    unscaled = frequencies(rotary_width(d_head, fraction), base)
    rotary = SCALINGS[kind](Scaling(config, section, unscaled, base, style))
    section.inert("factor", ORIGINAL_LENGTH)
    section.finish(ROPE)
    description = f"rope base {base:g}"
    if fraction < 1:
        description += f", {fraction:g} of the features"
    if kind != "default":
        description += f", {kind} scaling"
    return Rope(rotary, description)


def read_nested_ropes(
    config: Config, d_head: int, *, base: float = 10000.0, full_base: float | None = None
) -> tuple[Rope, Rope] | None:
    """The rotations of sliding and of full layers, where `rope_parameters` has a section for each;
    None where it has not. `full_base`, where it is another one, holds for full layers."""
    nested = config.section("rope_parameters") if config.has("rope_parameters") else None
    if nested is None or not nested.has("full_attention"):
        return None
    sliding, full = (
        read_rope_section(config, nested.section(kind), d_head, base=default)
        for kind, default in (("sliding_attention", base), ("full_attention", full_base or base))
    )
    nested.finish()
    return sliding, full


def _kind(section: Config) -> str:
    """How frequencies are scaled: `rope_type`, or its older spelling `type`."""
    kinds = list(SCALINGS)
    old_kind = section.choice("type", "default", "su", *kinds[1:]).replace("su", "longrope")
    others = (kind for kind in kinds if kind != old_kind)
    kind: str = section.choice("rope_type", old_kind, *others)
    return kind


def _default(scaling: Scaling) -> Rotary:
    return scaling.rotary(scaling.frequencies)


def _linear(scaling: Scaling) -> Rotary:
    return scaling.rotary(scaling.frequencies / scaling.section.above(0, "factor"))


def _dynamic(scaling: Scaling) -> Rotary:
    factor = scaling.section.above(0, "factor")
    return ByGrowth(scaling.frequencies, scaling.base, factor, scaling.length(), scaling.style)


def _llama3(scaling: Scaling) -> Rotary:
    section = scaling.section
    return scaling.rotary(
        llama3_frequencies(
            scaling.frequencies,
            section.above(0, "factor"),
            section.above(0, "low_freq_factor"),
            section.above(0, "high_freq_factor"),
            scaling.original_length(),
        )
    )


def _yarn(scaling: Scaling) -> Rotary:
    section, original = scaling.section, scaling.original_length()
    factor = section.above(0, "factor", scaling.length() / original)
    scaled = yarn_frequencies(
        scaling.frequencies,
        scaling.base,
        factor,
        section.above(0, "beta_fast", 32.0),
        section.above(0, "beta_slow", 1.0),
        original,
        section.switch("truncate", True),
    )
    gain = yarn_gain(factor)
    if section.has("mscale") and section.has("mscale_all_dim"):
        gain = yarn_gain(factor, section.above(0, "mscale"))
        gain /= yarn_gain(factor, section.above(0, "mscale_all_dim"))
    return scaling.rotary(scaled, section.above(0, "attention_factor", gain))


def _longrope(scaling: Scaling) -> Rotary:
    section, original = scaling.section, scaling.original_length()
    factor = section.above(0, "factor", scaling.length() / original)
    gain = section.above(0, "attention_factor", longrope_gain(factor, original))
    short, long = (
        scaling.rotary(scaling.frequencies / scaling.factors(key), gain)
        for key in ("short_factor", "long_factor")
    )
    return ByLength(short, long, int(original))


def _by_factors(scaling: Scaling) -> Rotary:
    """Each frequency has its own divisor: how GGUF files store a scaling."""
    return scaling.rotary(scaling.frequencies / scaling.factors("factors"))


SCALINGS: Mapping[str, Callable[[Scaling], Rotary]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "factors": _by_factors,
}
"""By the names that configs use."""
