"""A wrong factor on q · k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import (
    Computation,
    Step,
    add_bias,
    cap,
    hide,
    scale,
    to_weights,
)
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array

COMPUTED = "softmax(QKᵀ{factor})"
WANTED = "softmax(QKᵀ{right})"
LN2 = math.log(2)

CONSTANTS = (0.5, 1 / 8, 8.0, 0.1, 0.25, 2**-0.5, 2.0)
PADDED_TO = (16, 32, 64, 128)
SHARDS = (2, 4, 8)
LAYERS = tuple(range(2, 13))
DEEP_LAYERS = tuple(range(13, 65))

YARN = (
    (40, 1.0, "DeepSeek-V3"),
    (40, 0.707, "DeepSeek-V2"),
    (32, 1.0, "Kimi-K2, gpt-oss"),
    (4, 1.0, "Qwen"),
    (2, 1.0, ""),
    (8, 1.0, ""),
    (16, 1.0, ""),
    (64, 1.0, ""),
    (128, 1.0, ""),
)
"""How far a context is stretched, mscale, and models that publish both: the factor on rotated q
and k is 0.1 · mscale · ln(stretch) + 1 (Peng et al. 2023, DeepSeek-AI 2024)."""

LONGROPE = ((32, 4096, "Phi-3-128k"),)
"""How far a context is stretched, and from which length: √(1 + ln(stretch) / ln(length))."""


def default(c: Computation) -> float:
    """1/√d_k"""
    return float(c.d_k**-0.5)


def is_scale(c: Computation, value: float) -> bool:
    """Whether this is the scale that is wanted."""
    return bool(np.allclose(c.scale, value, rtol=1e-9, atol=0))


def right(c: Computation) -> str:
    """The wanted scale, as it follows `QKᵀ`."""
    if is_scale(c, 1):
        return ""
    if is_scale(c, default(c)):
        return f"/√{c.d_k}"
    values = np.unique(c.scale)
    return f" · {values[0]:.6g}" if len(values) == 1 else " · scale"


def scaled(c: Computation, factor: str, value: float | Array, /, **parameter: Any) -> Variant:
    """The same with another scale; `factor` is that scale as it follows `QKᵀ`.

    value: one number, or broadcasts to [n_batch, n_head, n_q, n_k].
    """
    if np.ndim(value) == 0:
        parameter = {"scale": float(value), **parameter}
    return Variant(
        replace(c, scale=value),
        {**parameter, "factor": factor, "right": right(c)},
        "" if factor in ("", "/√d_k") else f"1{factor}" if factor[0] == "/" else factor.strip(" ·"),
    )


def different(c: Computation, choices: Iterable[tuple[float, str]]) -> Iterator[Variant]:
    """The scales that are neither the wanted one nor one of those before, with their factors."""
    seen: list[float] = []
    for value, factor in choices:
        if not is_scale(c, value) and not any(math.isclose(value, s, rel_tol=1e-9) for s in seen):
            seen.append(value)
            yield scaled(c, factor, value)


def root(width: float) -> tuple[float, str]:
    return width**-0.5, f"/√{width:g}"


@MISTAKES.add(
    id="S1",
    family="scale",
    title=to_say("no scale"),
    computed="softmax(QKᵀ)",
    wanted=WANTED,
    fix="scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5",
    threads=(
        "mlc-ai/mlc-llm#3426",
        "Project-MONAI/GenerativeModels#146",
        "microsoft/MInference#69",
        "PAIR-code/tiny-transformers#71",
    ),
    pairs=True,
    rarity=2,
)
def no_scale(c: Computation) -> Iterator[Variant]:
    """The scores are not scaled: softmax is too sharp."""
    yield from different(c, [(1.0, "")])


@MISTAKES.add(
    id="S2",
    family="scale",
    title=to_say("scores divided by √{width:g}, the width of the model: a head is {d_k} wide"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scores / math.sqrt(q.shape[-1]), after the heads are split: d_k = {d_k}, not {width:g}",
    threads=(
        "lucidrains/vit-pytorch#65",
        "karpathy/ng-video-lecture#6",
        "chelsea0x3b/dfdx#171",
        "FareedKhan-dev/train-llm-from-scratch#3",
        "juho-lee/set_transformer#18",
        "omihub777/ViT-CIFAR#11",
    ),
    detect="parameter",
    pairs=True,
    rarity=1,
)
def scale_of_the_model(c: Computation) -> Iterator[Variant]:
    """1/√d_model, or 1/√(n_head · d_k), the width of all heads together."""
    yield from of_width(c, c.facts.d_model or c.n_head * c.d_k, c.n_head * c.d_k)


@MISTAKES.add(
    id="S2",
    family="scale",
    title=to_say("scores divided by √{width:g}, hidden_size / num_heads: a head is {d_k} wide"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scores / math.sqrt(head_dim), head_dim = {d_k} of the config, not hidden_size / num_heads",
    threads=(
        "ggml-org/llama.cpp#8444",
        "ggml-org/llama.cpp#13951",
        "huggingface/transformers#31891",
        "TransformerLensOrg/TransformerLens#693",
        "antonellof/ferrox#40",
    ),
    detect="parameter",
    pairs=True,
    rarity=2,
)
def scale_of_hidden_per_head(c: Computation) -> Iterator[Variant]:
    """1/√(hidden/heads) where the configuration gives heads another width: Gemma 2 and 3."""
    yield from of_width(c, (c.facts.d_model or c.n_head * c.d_k) / c.n_head)


def of_width(c: Computation, *widths: float) -> Iterator[Variant]:
    """One over the root of widths, none of which is that of a head."""
    for width in dict.fromkeys(widths):
        value, factor = root(width)
        if width != c.d_k and not is_scale(c, value):
            yield scaled(c, factor, value, width=width, d_k=c.d_k)._replace(words="")


@MISTAKES.add(
    id="S3",
    family="scale",
    title=to_say("a scale without the square root"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scores / math.sqrt(q.shape[-1])",
    threads=("delzac/cntkx#10",),
    pairs=True,
    rarity=4,
)
def scale_without_root(c: Computation) -> Iterator[Variant]:
    """1/d_k: softmax is too flat."""
    yield from different(c, [(1 / c.d_k, f"/{c.d_k}")])


@MISTAKES.add(
    id="S4",
    family="scale",
    title=to_say("the scale applied twice"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scaled_dot_product_attention(q, k, v, scale=1.0), if q is scaled before",
    threads=(
        "huggingface/transformers#38290",
        "AI-Hypercomputer/maxtext#3138",
        "tracel-ai/burn-onnx#453",
    ),
    rarity=3,
)
def scale_twice(c: Computation) -> Iterator[Variant]:
    """q comes scaled, and a kernel scales the scores again: by its default, or by the same."""
    if is_scale(c, 1):
        return
    again = right(c)
    default_again = scaled(c, f"{again}/√{c.d_k}", c.scale * default(c))
    yield default_again
    if not is_scale(c, default(c)):
        yield scaled(c, again * 2, c.scale * c.scale)


@MISTAKES.add(
    id="S5",
    family="scale",
    title=to_say("the scores multiplied by the root of the width, not divided by it"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scores * scale, with scale = q.shape[-1] ** -0.5: not scores / scale",
    threads=("esceptico/perceiver-io#9", "AI-Hypercomputer/maxtext#1370"),
    pairs=True,
    rarity=4,
)
def scale_inverted(c: Computation) -> Iterator[Variant]:
    """QKᵀ · √d_k: nearly one-hot rows."""
    yield from different(c, [(math.sqrt(c.d_k), f" · √{c.d_k}"), (float(c.d_k), f" · {c.d_k}")])
    if not is_scale(c, default(c)) and not is_scale(c, 1):
        yield scaled(c, right(c).replace(" · ", "/"), 1 / np.asarray(c.scale, float))


@MISTAKES.add(
    id="S6",
    family="scale",
    title=to_say("a scale that is not made from the width of a head"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scale = q.shape[-1] ** -0.5",
    threads=(
        "tenstorrent/tt-metal#56789",
        "BobMcDear/attorch#14",
        "lucidrains/muse-maskgit-pytorch#40",
    ),
    detect="parameter",
    rarity=5,
)
def scale_of_something_else(c: Computation) -> Iterator[Variant]:
    """The number of heads, queries or keys under the root, the width of the values, another root,
    or a constant."""
    counts = {"n_head": c.n_head, "n_k": c.n_k, "n_q": c.n_q, "n_kv_head": c.n_kv_head}
    counts |= {
        "n_kv_head · d_k": c.n_kv_head * c.d_k,
        "d_v": int(c.v.shape[-1]),
        "2 d_k": 2 * c.d_k,
    }
    roots = [(n**-0.5, f"/√{n} ({name})") for name, n in counts.items()]
    powers = [(c.d_k**-0.25, f"/{c.d_k}^¼"), (c.d_k**-0.75, f"/{c.d_k}^¾")]
    whole = [(1 / n, f"/{n} ({name})") for name, n in counts.items() if n > 1]
    constants = [(each, f" · {each:.5g}") for each in CONSTANTS]
    common = roots[:1] + constants[:3] + roots[1:] + powers + constants[3:] + whole
    yield from different(c, [each for each in common if each[0] != 1])


@MISTAKES.add(
    id="S7",
    family="scale",
    title=to_say("a scale from the padded width of a head"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="take scale = head_dim ** -0.5 before q and k are padded, and pass it to the kernel",
    threads=("intel/ipex-llm#12619", "huggingface/transformers#35984"),
    pairs=True,
    rarity=4,
)
def scale_of_padded_width(c: Computation) -> Iterator[Variant]:
    """A kernel pads 80 features to 96 or 128, and scales by what it sees."""
    padded = [math.ceil(c.d_k / to) * to for to in PADDED_TO]
    powers = [1 << (c.d_k - 1).bit_length(), 256]
    yield from different(c, [root(each) for each in [*padded, *powers] if each > c.d_k])


@MISTAKES.add(
    id="S8",
    family="scale",
    title=to_say("the default scale, not the one that was asked for"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="pass the scale to the kernel: its default comes from the width that it sees",
    threads=(
        "huggingface/pytorch-image-models#2280",
        "tenstorrent/tt-metal#33304",
        "tenstorrent/tt-xla#2343",
        "NVIDIA/Megatron-LM#3698",
    ),
    detect="parameter",
    rarity=3,
)
def custom_scale_dropped(c: Computation) -> Iterator[Variant]:
    """1/√d_k, whatever the configuration says."""
    yield from different(c, [root(c.d_k)])


@MISTAKES.add(
    id="S8",
    family="scale",
    title=to_say("a scale from the part of a head's width that one device holds"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="take the scale from the whole head_dim, before the heads are split over devices",
    threads=("huggingface/transformers#43481",),
    rarity=7,
)
def scale_of_a_shard(c: Computation) -> Iterator[Variant]:
    """1/√(d_k/2), 1/√(d_k/4), …: the width was computed anew under tensor parallelism."""
    yield from different(c, [root(c.d_k / n) for n in SHARDS if c.d_k % n == 0])


@MISTAKES.add(
    id="S9",
    family="scale",
    title=to_say("a factor of {number}, the number of a layer, on the scores"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="read scale_attn_by_inverse_layer_idx (or apply_query_key_layer_scaling) from the config",
    threads=(
        "TransformerLensOrg/TransformerLens#27",
        "NVIDIA/Megatron-LM#848",
        "Oneflow-Inc/libai#54",
    ),
    detect="parameter",
    rarity=7,
)
def scale_by_layer(c: Computation) -> Iterator[Variant]:
    """1/(layer + 1) on the scores: missed, or used where it is cancelled later."""
    yield from by_layer(c, LAYERS)


@MISTAKES.add(
    id="S9",
    family="scale",
    title=to_say("a factor of {number}, the number of a layer, on the scores"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="read scale_attn_by_inverse_layer_idx (or apply_query_key_layer_scaling) from the config",
    threads=("TransformerLensOrg/TransformerLens#27", "NVIDIA/Megatron-LM#848"),
    detect="parameter",
    rarity=9,
)
def scale_by_deep_layer(c: Computation) -> Iterator[Variant]:
    """The same of layers from 12 to 63."""
    yield from by_layer(c, DEEP_LAYERS)


def by_layer(c: Computation, numbers: Iterable[int]) -> Iterator[Variant]:
    for number in numbers:
        layer = {"number": number, "layer": number - 1}
        yield scaled(c, f"{right(c)}/{number}", c.scale / number, **layer)
        yield scaled(c, f"{right(c)} · {number}", c.scale * number, **layer)


def mscales() -> Iterator[tuple[float, str]]:
    """The published factors of stretched contexts, squared, and whose they are."""
    for stretch, mscale, models in YARN:
        named = f"YaRN ×{stretch:g}" + (f", mscale {mscale:g}" if mscale != 1 else "")
        yield (
            (0.1 * mscale * math.log(stretch) + 1) ** 2,
            f"{named}: {models}" if models else named,
        )
    for stretch, length, models in LONGROPE:
        yield 1 + math.log(stretch) / math.log(length), f"LongRoPE ×{stretch:g}: {models}"


LONGER = ("onnxruntime/mobius#548", "NVIDIA/Megatron-LM#1429", "AI-Hypercomputer/maxtext#1370")


@MISTAKES.add(
    id="S10",
    family="scale",
    title=to_say("{name} = {value}, a factor for longer contexts, on the scores ({model})"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scale = d_k ** -0.5 * mscale ** 2 if the config has rope_scaling with it, and once",
    threads=LONGER,
    detect="parameter",
    rarity=6,
)
def scale_of_longer_context(c: Computation) -> Iterator[Variant]:
    """mscale² of YaRN where it is not wanted, or is there already; or mscale of one side."""
    for value, named in factors_of_longer_contexts():
        yield scaled(c, f"{right(c)} · {value:.5g}", c.scale * value, **named)._replace(words="")


@MISTAKES.add(
    id="S10",
    family="scale",
    title=to_say("the scores without {name} = {value}, a factor for longer contexts ({model})"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="scale = d_k ** -0.5 * mscale ** 2, with rope_scaling of the config",
    threads=LONGER,
    detect="parameter",
    rarity=6,
)
def longer_context_missed(c: Computation) -> Iterator[Variant]:
    """mscale² of YaRN, which is part of the wanted scale, left out; or mscale of one side."""
    for value, named in factors_of_longer_contexts():
        yield scaled(c, f"{right(c)} / {value:.5g}", c.scale / value, **named)._replace(words="")


def factors_of_longer_contexts() -> Iterator[tuple[float, dict[str, Any]]]:
    """mscale² of all, and mscale of what models publish, with their names."""
    published = tuple(mscales())
    known = tuple(each for each in published if ": " in each[1])
    for power, name, models in ((1.0, "mscale²", published), (0.5, "mscale", known)):
        for squared, model in models:
            value = squared**power
            named = {"name": name, "value": f"{value:.5g}", "model": model}
            yield value, {**named, "mscale": round(math.sqrt(squared), 6)}


def has_finite_bias(c: Computation) -> bool:
    """Whether something is added to the scores that is neither 0 nor -inf."""
    return c.bias is not None and bool(np.any(np.isfinite(c.bias) & (c.bias != 0)))


@MISTAKES.add(
    id="S11",
    family="scale",
    title=to_say("the scale on the bias too"),
    computed="softmax((QKᵀ + B){right})",
    wanted="softmax(QKᵀ{right} + B)",
    fix="scores = q @ k.transpose(-1, -2) * scale + bias",
    threads=("tenstorrent/tt-metal#42891",),
    rarity=3,
)
def scale_on_bias(c: Computation) -> Iterator[Variant]:
    """The bias is added before the scores are scaled, or not scaled where it should be."""
    if has_finite_bias(c) and not is_scale(c, 1):
        assert c.bias is not None
        yield Variant(replace(c, bias=c.bias * c.scale), {"right": right(c)})


@MISTAKES.add(
    id="S11",
    family="scale",
    title=to_say("the bias divided by the scale"),
    computed="softmax(QKᵀ{right} + B / scale)",
    wanted="softmax(QKᵀ{right} + B)",
    fix="divide the bias by the scale only where the kernel multiplies it by the scale again",
    threads=("tenstorrent/tt-metal#42891",),
    rarity=6,
)
def bias_over_scale(c: Computation) -> Iterator[Variant]:
    """A kernel that does not scale the bias is given one that makes up for it."""
    if has_finite_bias(c) and not is_scale(c, 1):
        assert c.bias is not None
        yield Variant(replace(c, bias=c.bias / c.scale), {"right": right(c)})


def times(factor: float) -> Step:
    """A step that multiplies everything by a factor."""

    def multiply(x: Array, c: Computation) -> Array:
        return np.asarray(x * x.dtype.type(factor))

    return multiply


def before(c: Computation, step: Step, new: Step) -> Computation:
    """With one step more."""
    return c.instead_of(step, new, step)


BASES = (
    "lightseekorg/tokenspeed#571",
    "deepseek-ai/FlashMLA#106",
    "flashinfer-ai/flashinfer#2114",
    "flashinfer-ai/flashinfer#4485",
)


@MISTAKES.add(
    id="S12",
    family="scale",
    title=to_say("exp2 of scores that were not multiplied by log2(e)"),
    computed="2^(QKᵀ{right}) / Σ 2^(QKᵀ{right})",
    wanted="exp(QKᵀ{right}) / Σ exp(QKᵀ{right})",
    fix="exp2(scores * 1.442695 - max): log2(e) belongs to the scale, the bias and the sinks",
    threads=BASES,
    pairs=True,
    rarity=3,
)
def exp2_without_log2e(c: Computation) -> Iterator[Variant]:
    """The base of the softmax is 2: all logits are too small by ln 2."""
    if to_weights not in c.steps:
        return
    smaller = before(c, to_weights, times(LN2))
    if c.sinks is None:
        yield Variant(smaller, {"right": right(c)})
    else:
        yield Variant(replace(smaller, sinks=c.sinks * LN2), {"right": right(c), "sink": "2^sink"})
        yield Variant(smaller, {"right": right(c), "sink": "exp(sink)"}, "exp(sink)")


@MISTAKES.add(
    id="S12",
    family="scale",
    title=to_say("exp of scores that were multiplied by log2(e)"),
    computed="exp(QKᵀ{right} · log2(e)) / Σ …",
    wanted="exp(QKᵀ{right}) / Σ …",
    fix="log2(e) only where the kernel uses exp2",
    threads=BASES,
    rarity=5,
)
def exp_with_log2e(c: Computation) -> Iterator[Variant]:
    """The logits are too large by 1/ln 2; the bias may be too."""
    if to_weights not in c.steps or scale not in c.steps:
        return
    last = cap if c.softcap and cap in c.steps else scale
    on_scores = c.instead_of(last, last, times(1 / LN2))
    yield Variant(on_scores, {"right": right(c), "on": "QKᵀ"})
    if has_finite_bias(c):
        both = {"right": right(c), "on": "QKᵀ + B"}
        yield Variant(before(c, to_weights, times(1 / LN2)), both, "(QKᵀ + B) · log2(e)")


@MISTAKES.add(
    id="S12",
    family="scale",
    title=to_say("exp2, and a bias that was not multiplied by log2(e)"),
    computed="softmax(QKᵀ{right} + B · ln 2)",
    wanted="softmax(QKᵀ{right} + B)",
    fix="bias * 1.442695, where the kernel uses exp2",
    threads=BASES,
    rarity=5,
)
def bias_without_log2e(c: Computation) -> Iterator[Variant]:
    """The bias is too small by ln 2."""
    if has_finite_bias(c):
        assert c.bias is not None
        yield Variant(replace(c, bias=c.bias * LN2), {"right": right(c)})


@MISTAKES.add(
    id="S13",
    family="scale",
    title=to_say("the scale of another kind of model"),
    computed=COMPUTED,
    wanted=WANTED,
    fix="T5 and Gemma 4 do not scale: scale=1.0; most others do: scale=q.shape[-1] ** -0.5",
    threads=("ml-explore/mlx-examples#1013", "mlc-ai/mlc-llm#3485"),
    detect="parameter",
    rarity=4,
)
def scale_of_another_model(c: Computation) -> Iterator[Variant]:
    """1/√d_k where the model has none, as T5; or none where it has one."""
    if is_scale(c, 1):
        yield from different(c, [root(c.d_k)])
    else:
        yield from different(c, [(1.0, "")])


# the same numbers, and no mistakes


@MISTAKES.add(
    id="S0",
    family="scale",
    title=to_say("q scaled, not the scores"),
    computed="softmax((Q · scale)Kᵀ)",
    wanted="softmax(QKᵀ · scale)",
    threads=("facebookresearch/XLM#357",),
    detect="equal",
)
def scale_on_queries(c: Computation) -> Iterator[Variant]:
    """Only q is scaled, or only k."""
    if isinstance(c.scale, float | int) and scale in c.steps:
        yield Variant(replace(c, q=c.q * c.scale, scale=1.0), {"scaled": "q"})
        yield Variant(replace(c, k=c.k * c.scale, scale=1.0), {"scaled": "k"})


@MISTAKES.add(
    id="S0",
    family="scale",
    title=to_say("q and k each scaled by the root of the scale"),
    computed="softmax((Q/d_k^¼)(K/d_k^¼)ᵀ)",
    wanted="softmax(QKᵀ · scale)",
    threads=("openai/improved-diffusion#54", "huggingface/transformers#21627"),
    detect="equal",
)
def scale_on_both(c: Computation) -> Iterator[Variant]:
    """Half of the scale on either side, as for half precision."""
    if isinstance(c.scale, float | int) and c.scale > 0 and scale in c.steps:
        half = math.sqrt(c.scale)
        yield Variant(replace(c, q=c.q * half, k=c.k * half, scale=1.0))


@MISTAKES.add(
    id="S0",
    family="scale",
    title=to_say("the scale after the mask"),
    computed="softmax((QKᵀ + M) · scale), M of 0 and -inf",
    wanted="softmax(QKᵀ · scale)",
    detect="equal",
)
def scale_after_mask(c: Computation) -> Iterator[Variant]:
    """-inf stays -inf, whatever it is multiplied by."""
    plain = not has_finite_bias(c) and not c.softcap
    in_order = {scale, cap, add_bias, hide} <= set(c.steps)
    if plain and in_order and np.all(np.asarray(c.scale) > 0):
        yield Variant(c.moved(scale, after=hide))


@MISTAKES.add(
    id="S8",
    family="scale",
    title=to_say("another scale than the one that is wanted"),
    computed="softmax({scale} QKᵀ)",
    wanted="softmax({wanted} QKᵀ)",
    fix=to_say("find where {scale} = 1/√{square} comes from"),
    threads=("huggingface/pytorch-image-models#2280", "tenstorrent/tt-metal#33304"),
    detect="parameter",
    rarity=5,
    searched=True,
)
def another_scale(c: Computation) -> Iterator[Variant]:
    """One that no other entry explains, as a search found it."""
    if c.facts.scale is not None:
        scale, name = c.facts.scale
        parameter = {"scale": scale, "square": scale**-2, "wanted": float(np.mean(c.scale))}
        yield Variant(replace(c, scale=scale), parameter, name)
