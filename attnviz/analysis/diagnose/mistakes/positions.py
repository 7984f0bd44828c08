"""Queries and keys that are rotated wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.facts import Rotary
from attnviz.analysis.diagnose.noise import rounding
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.analysis.diagnose.rotary import (
    QUIET,
    Rotate,
    again,
    angles_at,
    angular,
    rotated,
    with_base,
)
from attnviz.language import to_say
from attnviz.nn.positions import RopeStyle, frequencies, rotate
from attnviz.nn.rotary import llama3_frequencies, yarn_frequencies, yarn_gain
from attnviz.nn.types import Array

BOTH_OR_ONE = ("q, k", "q", "k")


def both_or_one(
    c: Computation, how: Mapping[str, Any] | Rotate
) -> Iterator[tuple[str, Computation]]:
    """Both rotated in another way, or only one of them."""
    for arrays in BOTH_OR_ONE:
        yield arrays, again(c, how if "q" in arrays else None, how if "k" in arrays else None)


WANTED = "q, k rotated by p·θ_i: RoPE"


@MISTAKES.add(
    id="O1",
    family="position",
    title=to_say("RoPE with the pairs of the other style, {style}, on {arrays}"),
    computed="pairs of features {pairs}",
    wanted="pairs of features {wanted}",
    fix=to_say(
        "one style for weights and code: (i, i + d/2) in Hugging Face, (2i, 2i + 1) in Meta, GPT-J"
    ),
    threads=(
        "huggingface/transformers#25199",
        "pytorch/torchtitan#801",
        "tenstorrent/tt-metal#26844",
        "huggingface/nanotron#427",
        "rasbt/LLMs-from-scratch#750",
        "InternLM/lmdeploy#2639",
    ),
    detect="more",
    pairs=True,
    rarity=1,
)
def rope_of_the_other_style(c: Computation) -> Iterator[Variant]:
    """Interleaved or halves: a checkpoint's weights are permuted for one of the two."""
    rotary = c.facts.rotary
    if rotary is None or angular(rotary, c.d_k).size < 2:
        return
    style = "half" if rotary.style == "interleaved" else "interleaved"
    pairs = {"half": "(i, i + d/2)", "interleaved": "(2i, 2i + 1)"}
    for arrays, made in both_or_one(c, {"style": style}):
        parameter = {
            "style": style,
            "arrays": arrays,
            "pairs": pairs[style],
            "wanted": pairs[rotary.style],
        }
        yield Variant(made, parameter)


@MISTAKES.add(
    id="O1",
    family="position",
    title=to_say("RoPE of the style {style} on weights that are laid out for the other one"),
    computed="q, k with the features {order}, rotated in pairs {pairs}",
    wanted="weights and rotation of one style",
    fix=to_say("permute the rows of w_q and w_k for the style, head by head, as converters do"),
    threads=("huggingface/transformers#25199", "huggingface/nanotron#427"),
    detect="more",
    rarity=3,
)
def rope_on_weights_of_the_other_style(c: Computation) -> Iterator[Variant]:
    """Weights of Meta in the code of Hugging Face, or the other way round, without the
    permutation."""
    rotary = c.facts.rotary
    if rotary is None or angular(rotary, c.d_k).size < 3:
        return
    width = 2 * angular(rotary, c.d_k).size
    halves = np.arange(width).reshape(2, -1)
    half = rotary.style == "half"
    order = halves.T.ravel() if half else halves.reshape(-1, 2).T.ravel()

    def permuted(x: Array, at: Array, rotary: Rotary) -> Array:
        features = np.r_[order, width : x.shape[-1]]
        return rotated(x[..., features], at, rotary)

    parameter = {
        "style": rotary.style,
        "order": "[0, d/2, 1, d/2 + 1, …]" if half else "[0, 2, 4, …, 1, 3, 5, …]",
        "pairs": "(i, i + d/2)" if half else "(2i, 2i + 1)",
    }
    yield Variant(again(c, permuted, permuted), parameter)


@MISTAKES.add(
    id="O1",
    family="position",
    title=to_say("RoPE with cos and sin in one order of the features and pairs in the other"),
    computed="x · cos + rotate(x) · sin, cos and sin {angles}, pairs {pairs}",
    wanted="cos and sin [θ₀, θ₁, … θ₀, θ₁, …] with halves, [θ₀, θ₀, θ₁, θ₁, …] with neighbours",
    fix=to_say(
        "torch.cat((freqs, freqs), -1) with rotate_half; repeat_interleave(2) with neighbours"
    ),
    threads=("xiangking/ark-nlp#47", "raiyanyahya/how-to-train-your-gpt#6"),
    detect="more",
    rarity=4,
)
def rope_of_mixed_styles(c: Computation) -> Iterator[Variant]:
    """Each feature of a pair turns by another angle: this is no rotation any more."""
    rotary = c.facts.rotary
    if rotary is None or angular(rotary, c.d_k).size < 2:
        return

    @QUIET
    def mixed(x: Array, at: Array, rotary: Rotary) -> Array:
        angles = angles_at(at, rotary, x.shape[-1])
        half = rotary.style == "half"
        each = np.repeat(angles, 2, -1) if half else np.concatenate((angles, angles), -1)
        d = each.shape[-1]
        partner = rotate(x[..., :d], np.zeros(d // 2), np.ones(d // 2), rotary.style)
        made = x.copy()
        cos, sin = (f(each).astype(x.dtype) for f in (np.cos, np.sin))
        made[..., :d] = rotary.gain * (x[..., :d] * cos + partner * sin)
        return made

    orders = "[θ₀, θ₁, … θ₀, θ₁, …]", "[θ₀, θ₀, θ₁, θ₁, …]"
    half = rotary.style == "half"
    parameter = {
        "angles": orders[1 if half else 0],
        "pairs": "(i, i + d/2)" if half else "(2i, 2i + 1)",
    }
    yield Variant(again(c, mixed, mixed), parameter)


BASES = (
    10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 5_000_000.0, 150_000.0, 10_000_000.0, 1_000.0,
    20_000.0, 25_000.0, 50_000.0, 160_000.0, 250_000.0, 256.0, 100.0, 8_000_000.0, 1e8,
)  # fmt: skip
"""Bases of known checkpoints, commonest first."""


@MISTAKES.add(
    id="O2",
    family="position",
    title=to_say("RoPE with the base {base:g}, not {wanted:g}"),
    computed="θ_i = {base:g}^(-2i/d)",
    wanted="θ_i = {wanted:g}^(-2i/d)",
    fix="base = config.rope_theta = {wanted:g}",
    threads=(
        "intel/ipex-llm#10787",
        "huggingface/candle#3746",
        "lyogavin/airllm#369",
        "sgl-project/SpecForge#265",
        "apple/axlearn#116",
    ),
    detect="more",
    rarity=2,
    searched=True,
)
def rope_of_another_base(c: Computation) -> Iterator[Variant]:
    """The base of another checkpoint, or the default, while the config says another."""
    rotary = c.facts.rotary
    if rotary is None or angular(rotary, c.d_k).size < 2:
        return
    for base in BASES if c.facts.base is None else (c.facts.base,):
        if base != rotary.base:
            parameter = {"base": base, "wanted": rotary.base}
            yield Variant(with_base(c, base), parameter, f"{base:g}")


@MISTAKES.add(
    id="O2",
    family="position",
    title=to_say("RoPE on {arrays} without its scaling for long contexts ({left_out})"),
    computed="θ_i = {base:g}^(-2i/d)",
    wanted="θ_i scaled as config.rope_scaling says",
    fix=to_say("apply config.rope_scaling to the frequencies, and its factor to cos and sin"),
    threads=(
        "TransformerLensOrg/TransformerLens#910",
        "lablup/mlxcel#1385",
        "unslothai/unsloth#6197",
        "Xilinx/mlir-air#1948",
    ),
    detect="more",
    rarity=2,
)
def rope_scaling_left_out(c: Computation) -> Iterator[Variant]:
    """Llama 3.1 and YaRN change the frequencies; YaRN multiplies q and k by a factor too."""
    rotary = c.facts.rotary
    if rotary is None or (rotary.frequencies is None and rotary.gain == 1):
        return
    parts: list[dict[str, Any]] = []
    if rotary.frequencies is not None:
        parts.append({"frequencies": None, "gain": 1.0})
    if rotary.gain != 1:
        parts.append({"gain": 1.0})
        parts.append({"frequencies": None})
    for how in parts:
        left = ", ".join(NAMES[name] for name in how)
        for arrays, made in both_or_one(c, how):
            parameter = {"left_out": left, "arrays": arrays, "base": rotary.base}
            yield Variant(made, parameter)


NAMES = {"frequencies": "inv_freq", "gain": "attention_factor"}
"""As transformers calls what a scaling changes."""


SCALINGS: Mapping[str, Callable[[Array, int, float], tuple[Array, float]]] = {
    "llama3, factor 8": lambda f, d, base: (llama3_frequencies(f, 8, 1, 4, 8192), 1.0),
    "llama3, factor 32": lambda f, d, base: (llama3_frequencies(f, 32, 1, 4, 8192), 1.0),
    "linear, factor 2": lambda f, d, base: (f / 2, 1.0),
    "linear, factor 4": lambda f, d, base: (f / 4, 1.0),
    "linear, factor 8": lambda f, d, base: (f / 8, 1.0),
    "yarn, factor 4 of 32768": lambda f, d, base: (
        yarn_frequencies(f, base, 4, 32, 1, 32768),
        yarn_gain(4),
    ),
    "yarn, factor 40 of 4096": lambda f, d, base: (
        yarn_frequencies(f, base, 40, 32, 1, 4096),
        yarn_gain(40),
    ),
    "yarn, factor 32 of 4096": lambda f, d, base: (
        yarn_frequencies(f, base, 32, 32, 1, 4096),
        yarn_gain(32),
    ),
    "ntk, factor 2": lambda f, d, base: (frequencies(d, base * 2 ** (d / max(d - 2, 1))), 1.0),
    "ntk, factor 4": lambda f, d, base: (frequencies(d, base * 4 ** (d / max(d - 2, 1))), 1.0),
}
"""Frequencies [d/2], d and the base -> scaled frequencies and the factor on q and k."""


@MISTAKES.add(
    id="O2",
    family="position",
    title=to_say("RoPE scaled for long contexts ({scaling}) where that is not wanted"),
    computed="θ_i scaled: {scaling}",
    wanted="θ_i = {base:g}^(-2i/d)",
    fix=to_say("take rope_scaling from the checkpoint's own config"),
    threads=("TransformerLensOrg/TransformerLens#910",),
    detect="more",
    rarity=5,
)
def rope_scaling_added(c: Computation) -> Iterator[Variant]:
    """The scaling of another checkpoint of the family, or one that should begin later."""
    rotary = c.facts.rotary
    if rotary is None or rotary.frequencies is not None or rotary.gain != 1:
        return
    plain = angular(rotary, c.d_k)
    if len(plain) < 2 or rotary.base <= 1:
        return
    for name, scaled in SCALINGS.items():
        changed, gain = scaled(plain, 2 * len(plain), rotary.base)
        moved = not np.allclose(changed, plain, rtol=1e-9)
        ways = [(name, gain)] if moved or gain != 1 else []
        ways += [(f"{name}, attention_factor 1", 1.0)] if moved and gain != 1 else []
        for words, factor in ways:
            how = {"frequencies": changed, "gain": factor}
            yield Variant(again(c, how, how), {"scaling": words, "base": rotary.base}, words)


@MISTAKES.add(
    id="O3",
    family="position",
    title=to_say("RoPE with {arrays} at the wrong positions: {positions}"),
    computed="{arrays} rotated at {positions}",
    wanted="q rotated at its position among the keys, p = n_cached + i",
    fix="positions = torch.arange(n_cached, n_cached + n_new)",
    threads=(
        "Blaizzy/mlx-vlm#1983",
        "skyzh/tiny-llm#46",
        "flashinfer-ai/flashinfer#847",
        "fla-org/flash-linear-attention#766",
        "microsoft/onnxruntime-genai#2354",
        "ml-explore/mlx-lm#1699",
    ),
    detect="more",
    rarity=1,
)
def rope_positions_off(c: Computation) -> Iterator[Variant]:
    """Not moved on by the length of the cache, by one too many, every new token at the same one;
    or the keys, which is the same the other way round."""
    rotary = c.facts.rotary
    if rotary is None:
        return
    at, keys = np.asarray(rotary.q_positions), np.asarray(rotary.k_positions)
    tried, with_keys = [at], c.n_k - c.n_q > 0
    for words, new in _other_positions(at, keys):
        if any(np.array_equal(new, old) for old in tried):
            continue
        tried.append(new)
        parameter: dict[str, Any] = {"arrays": "q", "positions": words}
        if new.shape == at.shape and np.ptp(new - at) == 0:
            parameter["shift"] = int((new - at).flat[0])
        yield Variant(again(c, q={"positions": new}), parameter, words)
        if with_keys and len(tried) < 8 and new.ndim == keys.ndim:
            moved = np.concatenate((keys[..., : c.n_k - c.n_q], new), -1)
            both = again(c, {"positions": new}, {"positions": moved})
            yield Variant(both, {**parameter, "arrays": "q, k_new"})


SHIFTS = tuple(sign * step for step in range(1, 9) for sign in (1, -1))


def _other_positions(at: Array, keys: Array) -> Iterator[tuple[str, Array]]:
    """Those of the queries in words, and as numbers with the axes of `at`."""
    n = at.shape[-1]
    first = at[..., :1]
    yield "0, 1, 2, …", at - first
    yield "p + 1", at + 1
    yield "p - 1", at - 1
    yield "0, 0, 0, …", at * 0
    yield "p_0, p_0, p_0, …", first + at * 0
    yield "p + n_q", at + n
    yield "p + n_k", at + keys.shape[-1]
    for shift in SHIFTS:
        yield f"p {'+' if shift > 0 else '-'} {abs(shift)}", at + shift
    yield "n_q - 1 - i", first + (at - first)[..., ::-1]


@MISTAKES.add(
    id="O3",
    family="position",
    title=to_say("RoPE with the number of the head in the position, {positions}, on {arrays}"),
    computed="head h of {arrays} rotated by {positions} times θ_i",
    wanted=WANTED,
    fix=to_say("transpose to [batch, head, n, d] before RoPE, which turns along the axis before d"),
    threads=(
        "vukrosic/leo-optimizer#2",
        "elixir-nx/emlx#121",
        "rasbt/LLMs-from-scratch#411",
    ),
    detect="more",
    rarity=4,
)
def rope_by_heads(c: Computation) -> Iterator[Variant]:
    """The rotation runs along the axis before the last, where the heads are in [b, n, h, d]. Where
    q and k have as many heads, both turn alike, and it is as if they were not rotated."""
    if c.facts.rotary is None or c.n_head < 2:
        return

    def by_head(x: Array, at: Array, rotary: Rotary) -> Array:
        return rotated(x.swapaxes(1, 2), np.arange(x.shape[1]), rotary).swapaxes(1, 2)

    def shifted(x: Array, at: Array, rotary: Rotary) -> Array:
        return by_head(rotated(x, at, rotary), at, replace(rotary, gain=1.0))

    for positions, how in (("h", by_head), ("p + h", shifted)):
        for arrays, made in both_or_one(c, how):
            alike = arrays == "q, k" and c.n_head == c.n_kv_head
            if not (alike and how is shifted):
                yield Variant(made, {"positions": positions, "arrays": arrays})


@MISTAKES.add(
    id="O4",
    family="position",
    title=to_say("RoPE with queries and keys moved by {shift} positions together"),
    computed="q, k rotated at p + {shift}",
    wanted=WANTED,
    fix="nothing: q · k depends on the difference of the positions only",
    threads=(),
    detect="equal",
)
def rope_moved_together(c: Computation) -> Iterator[Variant]:
    """Only the difference of two positions counts."""
    rotary = c.facts.rotary
    if rotary is not None:
        for shift in (1, 7):
            q, k = ({"positions": p + shift} for p in (rotary.q_positions, rotary.k_positions))
            yield Variant(again(c, q, k), {"shift": shift})


@MISTAKES.add(
    id="O5",
    family="position",
    title=to_say("another part of the features rotated, or by other frequencies: {features}"),
    computed="{features}",
    wanted="the first {width} of {d_k} features rotated, θ_i = base^(-2i/{width})",
    fix=to_say(
        "rotate x[..., :rotary_dim] by θ_i = base ** (-2 * i / rotary_dim), pass on the rest"
    ),
    threads=(
        "pie-project/pie#603",
        "vllm-project/vllm#41185",
        "vllm-project/vllm#43770",
        "huggingface/transformers#48652",
        "apple/coreai-models#66",
        "Lightricks/LTX-Video#224",
    ),
    detect="more",
    rarity=2,
)
def rope_of_another_width(c: Computation) -> Iterator[Variant]:
    """All features where a part is wanted, or a part where all are; frequencies by the width of
    the head; pairs across the whole head; the last features, not the first."""
    rotary = c.facts.rotary
    if rotary is None or rotary.frequencies is not None:
        return
    d, width = c.d_k, rotary.width or c.d_k
    for words, how in _other_widths(rotary, d, width):
        parameter = {"features": words, "width": width, "d_k": d}
        yield Variant(again(c, how, how), parameter, words)


def _other_widths(
    rotary: Rotary, d: int, width: int
) -> Iterator[tuple[str, Mapping[str, Any] | Rotate]]:
    """The other ways to rotate a part of d features, in words and for `again`."""
    base, half = rotary.base, rotary.style == "half"
    if width < d and d % 2 == 0:
        own, whole = frequencies(width, base), frequencies(d, base)[: width // 2]
        rest = np.zeros(d // 2 - width // 2)
        yield f"rotary_dim = {d}", {"width": None}
        yield f"θ_i = base^(-2i/{d})", {"frequencies": whole}
        if half:
            across = {"width": None, "frequencies": np.r_[whole, rest]}
            yield f"pairs (i, i + {d // 2}), θ_i = base^(-2i/{d})", across
            across = {"width": None, "frequencies": np.r_[own, rest]}
            yield f"pairs (i, i + {d // 2})", across
        yield f"x[..., -{width}:]", _last
    if width == d and d % 2 == 0:
        yield "[b, n, h·d], before the heads are split", _all_heads
    for other in dict.fromkeys(2 * (d * part // 8) for part in (4, 2, 6, 1)):
        if 2 <= other < d and other != width:
            yield f"rotary_dim = {other}", {"width": other}
            whole = base ** (-2 * np.arange(other // 2) / d)
            yield (
                f"rotary_dim = {other}, θ_i = base^(-2i/{d})",
                {"width": other, "frequencies": whole},
            )
    if width >= 4:
        i = np.arange(width // 2)
        yield f"θ_i = base^(-i/{width})", {"frequencies": base ** (-i / width)}
        yield f"θ_i = base^(-4i/{width})", {"frequencies": base ** (-4 * i / width)}
        yield f"θ_i = base^(-2(i + 1)/{width})", {"frequencies": base ** (-2 * (i + 1) / width)}


def _all_heads(x: Array, at: Array, rotary: Rotary) -> Array:
    """Rotated as one vector [h·d] a token."""
    b, h, n, d = x.shape
    merged = x.swapaxes(1, 2).reshape(b, 1, n, h * d)
    turned = rotated(merged, at, replace(rotary, width=None))
    return turned.reshape(b, n, h, d).swapaxes(1, 2)


def _last(x: Array, at: Array, rotary: Rotary) -> Array:
    """The last features rotated in the place of the first."""
    width = rotary.width or x.shape[-1]
    turned = rotated(x[..., -width:], at, rotary)
    return np.concatenate((x[..., :-width], turned), -1)


@MISTAKES.add(
    id="O6",
    family="position",
    title=to_say("RoPE with {part} in {dtype}"),
    computed="{part} rounded to {dtype}",
    wanted="positions, frequencies, cos and sin in float32",
    fix=to_say("compute positions, frequencies and angles in float32, also under autocast"),
    threads=(
        "huggingface/transformers#29285",
        "KellerJordan/modded-nanogpt#39",
        "NVIDIA/Megatron-LM#535",
        "ml-explore/mlx-lm#1076",
        "huggingface/candle#3520",
    ),
    detect="rounding",
    rarity=3,
)
def rope_in_low_precision(c: Computation) -> Iterator[Variant]:
    """Above 256, bfloat16 does not know every position: 15 962 becomes 15 968."""
    rotary = c.facts.rotary
    if rotary is None:
        return
    for dtype in ("bfloat16", "float16"):
        low = rounding(dtype)
        for part in ("position_ids", "freqs", "inv_freq", "cos, sin"):

            def rounded(x: Array, at: Array, r: Rotary, part: str = part, low: Any = low) -> Array:
                return _rounded(x, at, r, part, low)

            parameter = {"part": part, "dtype": dtype}
            yield Variant(again(c, rounded, rounded), parameter)


@QUIET
def _rounded(
    x: Array, at: Array, rotary: Rotary, part: str, low: Callable[[Array], Array]
) -> Array:
    """Rotated, with one of the parts of the angle rounded."""
    omega = angular(rotary, x.shape[-1]).astype(np.float32)
    at = np.asarray(at, np.float32)
    if part in ("position_ids", "freqs"):
        at = low(at)
    if part in ("inv_freq", "freqs"):
        omega = low(omega)
    angles = at[..., None] * omega
    if part == "freqs":
        angles = low(angles)
    cos, sin = rotary.gain * np.cos(angles), rotary.gain * np.sin(angles)
    if part in ("cos, sin", "freqs"):
        cos, sin = low(cos), low(sin)
    if np.ndim(at) > 1:
        cos, sin = cos[:, None], sin[:, None]
    return rotate(x, cos.astype(x.dtype), sin.astype(x.dtype), rotary.style)


@MISTAKES.add(
    id="O7",
    family="position",
    title=to_say("padding on the left, and {arrays} rotated at other positions: {positions}"),
    computed="{arrays} rotated at {positions}",
    wanted="positions counted from the first token that is no padding, for q and k alike",
    fix=to_say(
        "position_ids = attention_mask.cumsum(-1) - 1, and the same offset for every new token"
    ),
    threads=(
        "unslothai/unsloth#3699",
        "ndif-team/nnsight#673",
        "turboderp-org/exllamav2#606",
        "tloen/alpaca-lora#315",
        "huggingface/transformers#18478",
    ),
    detect="more",
    rarity=2,
)
def rope_positions_of_padding(c: Computation) -> Iterator[Variant]:
    """Only one of q and k (a cache, say) has positions that skip the padding, or all items take
    those of one."""
    rotary = c.facts.rotary
    if rotary is None or c.n_q > c.n_k:
        return
    for words, q_new, k_new in _positions_of_padding(c, rotary):
        for role, new, old in (("q", q_new, rotary.q_positions), ("k", k_new, rotary.k_positions)):
            if not np.array_equal(np.broadcast_to(old, new.shape), new):
                parameter = {"arrays": role, "positions": words}
                yield Variant(again(c, **{role: {"positions": new}}), parameter)


def _positions_of_padding(c: Computation, rotary: Rotary) -> Iterator[tuple[str, Array, Array]]:
    """Positions of queries and keys that treat padding in another way, [n_batch, n] each."""
    b = c.q.shape[0]
    keys = np.arange(c.n_k)
    start = c.n_k - c.n_q
    q_at, k_at = (np.asarray(x) for x in (rotary.q_positions, rotary.k_positions))
    if max(q_at.ndim, k_at.ndim) > 1:
        q_at, k_at = (np.broadcast_to(x, (b, x.shape[-1])) for x in (q_at, k_at))
        yield "arange(n_k)", np.tile(keys[start:], (b, 1)), np.tile(keys, (b, 1))
        yield "position_ids[0]", np.tile(q_at[:1], (b, 1)), np.tile(k_at[:1], (b, 1))
        longest = int(q_at[:, -1].argmax())
        yield (
            "position_ids[longest]",
            np.tile(q_at[longest], (b, 1)),
            np.tile(k_at[longest], (b, 1)),
        )
    elif c.masking.keys is not None:
        seen = np.broadcast_to(c.masking.keys[:, 0, 0], (b, c.n_k))
        counted = np.maximum(seen.cumsum(-1) - 1, 0)
        yield "mask.cumsum(-1) - 1", counted[:, start:], counted


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE left out of {arrays}"),
    computed="{arrays} not rotated",
    wanted=WANTED,
    fix="q, k = apply_rotary_pos_emb(q, k, cos, sin)",
    threads=(),
    detect="more",
    pairs=True,
    rarity=2,
)
def rope_left_out(c: Computation) -> Iterator[Variant]:
    """q, k or both enter the product as they were projected."""
    if c.facts.rotary is None:
        return

    def still(x: Array, at: Array, rotary: Rotary) -> Array:
        return x

    for arrays, made in both_or_one(c, still):
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE on v too"),
    computed="v rotated by p·θ_i",
    wanted="v as it was projected",
    fix=to_say("q, k = apply_rotary_pos_emb(q, k, cos, sin); v stays as it is"),
    threads=("mistralai/mistral-inference#147",),
    detect="more",
    rarity=4,
)
def rope_on_values(c: Computation) -> Iterator[Variant]:
    """Values carry no positions."""
    rotary = c.facts.rotary
    if rotary is not None and (rotary.width or c.d_k) <= c.v.shape[-1] == c.d_k:
        yield Variant(replace(c, v=rotated(c.v, rotary.k_positions, rotary)))


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE in the other direction on {arrays}"),
    computed="{arrays} rotated by -p·θ_i",
    wanted=WANTED,
    fix="x1 * cos - x2 * sin, x2 * cos + x1 * sin",
    threads=("karpathy/nanochat#489", "trymirai/lalamo#268"),
    detect="more",
    rarity=3,
)
def rope_backwards(c: Computation) -> Iterator[Variant]:
    """The sign of the sines: a model that was trained so does not mind, a checkpoint does."""
    if c.facts.rotary is None:
        return

    def backwards(x: Array, at: Array, rotary: Rotary) -> Array:
        return rotated(x, -np.asarray(at), rotary)

    for arrays, made in both_or_one(c, backwards):
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE without the minus sign in rotate_half"),
    computed="x · cos + [x2, x1] · sin",
    wanted="x · cos + [-x2, x1] · sin",
    fix="torch.cat((-x2, x1), dim=-1)",
    threads=("trymirai/lalamo#268",),
    detect="more",
    rarity=5,
)
def rope_without_minus(c: Computation) -> Iterator[Variant]:
    """No rotation any more: both features of a pair grow."""
    if c.facts.rotary is None:
        return

    @QUIET
    def grown(x: Array, at: Array, rotary: Rotary) -> Array:
        angles = angles_at(at, rotary, x.shape[-1])
        cos, sin = (rotary.gain * f(angles) for f in (np.cos, np.sin))
        with_minus = rotate(x, cos.astype(x.dtype), sin.astype(x.dtype), rotary.style)
        width = 2 * cos.shape[-1]
        half = rotary.style == "half"
        first = slice(0, width // 2) if half else slice(0, width, 2)
        other = slice(width // 2, width) if half else slice(1, width, 2)
        with_minus[..., first] += 2 * x[..., other] * sin.astype(x.dtype)
        return with_minus

    yield Variant(again(c, grown, grown))


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE with cos and sin swapped on {arrays}"),
    computed="x · sin + rotate(x) · cos",
    wanted="x · cos + rotate(x) · sin",
    fix="cos, sin = angles.cos(), angles.sin()",
    threads=(),
    detect="more",
    rarity=7,
)
def rope_with_cos_and_sin_swapped(c: Computation) -> Iterator[Variant]:
    """A rotation by 90° less the angle."""
    if c.facts.rotary is None:
        return

    @QUIET
    def swapped(x: Array, at: Array, rotary: Rotary) -> Array:
        angles = angles_at(at, rotary, x.shape[-1])
        sin, cos = (rotary.gain * f(angles) for f in (np.cos, np.sin))
        return rotate(x, cos.astype(x.dtype), sin.astype(x.dtype), rotary.style)

    for arrays, made in both_or_one(c, swapped):
        yield Variant(made, {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("RoPE applied twice to {arrays}"),
    computed="{arrays} rotated by 2p·θ_i",
    wanted=WANTED,
    fix=to_say("rotate keys once, before they are cached"),
    threads=(
        "labmlai/annotated_deep_learning_paper_implementations#251",
        "NeuraLegion/shainet#110",
    ),
    detect="more",
    rarity=3,
)
def rope_applied_twice(c: Computation) -> Iterator[Variant]:
    """Keys of a cache are rotated again, or the projection and the kernel both rotate."""
    rotary = c.facts.rotary
    if rotary is None:
        return

    def twice(x: Array, at: Array, rotary: Rotary) -> Array:
        return rotated(rotated(x, at, rotary), at, rotary)

    for arrays, made in both_or_one(c, twice):
        yield Variant(made, {"arrays": arrays}, arrays)
    if c.n_k > c.n_q:
        cached = np.where(np.arange(c.n_k) < c.n_k - c.n_q, 2, 1) * np.asarray(rotary.k_positions)
        yield Variant(again(c, k={"positions": cached}), {"arrays": "k_cache"})


@MISTAKES.add(
    id="O8",
    family="position",
    title=to_say("q and k rotated (RoPE, base {base:g}, {style}): those in the dump are not"),
    computed="q, k rotated by p·{base:g}^(-2i/d)",
    wanted="q, k as they are in the dump",
    fix=to_say("dump q and k after they are rotated, as they enter q · k"),
    threads=(),
    rarity=6,
)
def rope_missing_in_the_dump(c: Computation) -> Iterator[Variant]:
    """The output is right, and q and k were dumped too early; or RoPE is not wanted here."""
    d = c.d_k
    if c.facts.rotary is not None or d % 2 or d < 4 or c.n_k < 2:
        return
    k_at = np.arange(c.n_k)
    q_at = np.arange(c.n_q) + c.n_k - c.n_q
    styles: tuple[tuple[float, RopeStyle], ...] = (
        (10_000.0, "half"),
        (10_000.0, "interleaved"),
        (500_000.0, "half"),
        (1_000_000.0, "half"),
    )
    for base, style in styles:
        rotary = Rotary(c.q, c.k, q_at, k_at, base, style)
        q, k = rotated(c.q, q_at, rotary), rotated(c.k, k_at, rotary)
        parameter = {"base": base, "style": style}
        yield Variant(replace(c, q=q, k=k), parameter, f"{base:g}, {style}")
