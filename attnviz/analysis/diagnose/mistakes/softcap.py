"""A cap on the scores, c · tanh(x / c), that is missing, misplaced or misspelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, Step, add_bias, cap, hide, scale
from attnviz.analysis.diagnose.mistakes.scale import has_finite_bias
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.language import to_say
from attnviz.nn.types import Array

WANTED = "{cap:g} · tanh(x / {cap:g}), then the mask"
CAPS = (50.0, 30.0, 20.0, 15.0, 10.0)
"""Of Gemma 2 (50 in attention, 30 at the end), Grok and others."""

DROPPED = (
    "vllm-project/vllm-metal#666",
    "kekzl/imp#688",
    "ml-explore/mlx-swift-examples#99",
    "vllm-project/vllm#7425",
    "sgl-project/sglang#33915",
    "EricLBuehler/mistral.rs#1928",
)


def has_cap(c: Computation) -> bool:
    return bool(c.softcap) and cap in c.steps


@MISTAKES.add(
    id="P1",
    family="softmax",
    title=to_say("the softcap left out"),
    computed="softmax(x)",
    wanted="softmax(" + WANTED + ")",
    fix="scores = cap * tanh(scores / cap), with attn_logit_softcapping of the config: {cap:g}",
    threads=DROPPED,
    detect="parameter",
    pairs=True,
    rarity=2,
)
def softcap_dropped(c: Computation) -> Iterator[Variant]:
    """The scores are not capped; little changes where they are far below the cap."""
    if has_cap(c):
        yield Variant(replace(c, softcap=0.0), {"cap": c.softcap})


@MISTAKES.add(
    id="P1",
    family="softmax",
    title=to_say("a softcap of {cap:g} that is not the wanted one"),
    computed="softmax({cap:g} · tanh(x / {cap:g}))",
    wanted="softmax({right})",
    fix="attn_logit_softcapping of the config, not final_logit_softcapping",
    threads=(),
    detect="parameter",
    rarity=6,
)
def other_softcap(c: Computation) -> Iterator[Variant]:
    """The cap of another model, or of the final logits."""
    if cap not in c.steps:
        return
    right = f"{c.softcap:g} · tanh(x / {c.softcap:g})" if c.softcap else "x"
    for each in CAPS:
        if each != c.softcap:
            yield Variant(replace(c, softcap=each), {"cap": each, "right": right})


@MISTAKES.add(
    id="P2",
    family="softmax",
    title=to_say("the softcap after the mask"),
    computed="{cap:g} · tanh((x + mask) / {cap:g}): masked keys get -{cap:g}, not -inf",
    wanted=WANTED,
    fix="mask behind the cap: scores = (cap * tanh(scores / cap)).masked_fill(~visible, -inf)",
    threads=(
        "onnx/onnx#7865",
        "onnx/onnx#7867",
        "microsoft/onnxruntime#28370",
        "microsoft/onnxruntime#28379",
        "flashinfer-ai/flashinfer#350",
    ),
    detect="parameter",
    pairs=True,
    rarity=3,
)
def softcap_after_mask(c: Computation) -> Iterator[Variant]:
    """Masked keys leak: their score is the cap below 0."""
    if has_cap(c) and hide in c.steps and c.steps.index(cap) < c.steps.index(hide):
        yield Variant(c.moved(cap, after=hide), {"cap": c.softcap})


@MISTAKES.add(
    id="P2",
    family="softmax",
    title=to_say("the softcap in another place: {formula}"),
    computed="{formula}",
    wanted=WANTED,
    fix="scale, then cap, then bias and mask",
    threads=("onnx/onnx#7865", "microsoft/onnxruntime#28370", "flashinfer-ai/flashinfer#350"),
    detect="parameter",
    rarity=4,
)
def softcap_in_another_place(c: Computation) -> Iterator[Variant]:
    """Before the scale, after the bias, or before a mask that it should follow."""
    if not has_cap(c):
        return
    steps = c.steps
    t = f"{c.softcap:g} · tanh"
    if scale in steps and steps.index(scale) < steps.index(cap):
        formula = f"{t}(QKᵀ / {c.softcap:g}) · scale"
        named = {"cap": c.softcap, "formula": formula}
        yield Variant(c.moved(scale, after=cap), named)
    if add_bias in steps and steps.index(cap) < steps.index(add_bias) and has_finite_bias(c):
        formula = f"{t}((x + bias) / {c.softcap:g})"
        named = {"cap": c.softcap, "formula": formula}
        yield Variant(c.moved(cap, after=add_bias), named)
    if hide in steps and scale in steps and steps.index(hide) < steps.index(cap):
        formula = f"{t}(x / {c.softcap:g}) + mask"
        named = {"cap": c.softcap, "formula": formula}
        yield Variant(c.moved(cap, after=scale), named)


def x_tanh(x: Array, c: Computation) -> Array:
    return np.asarray(x * np.tanh(x / c.softcap))


def tanh_alone(x: Array, c: Computation) -> Array:
    return np.asarray(np.tanh(x / c.softcap))


def tanh_undivided(x: Array, c: Computation) -> Array:
    return np.asarray(c.softcap * np.tanh(x))


def clipped(x: Array, c: Computation) -> Array:
    return np.clip(x, -c.softcap, c.softcap)


WRONG_CAPS: dict[str, Step] = {
    "x · tanh(x / {cap:g})": x_tanh,
    "tanh(x / {cap:g})": tanh_alone,
    "{cap:g} · tanh(x)": tanh_undivided,
    "clip(x, -{cap:g}, {cap:g})": clipped,
}


@MISTAKES.add(
    id="P3",
    family="softmax",
    title=to_say("another function in the place of the softcap: {formula}"),
    computed="softmax({formula})",
    wanted="softmax({cap:g} · tanh(x / {cap:g}))",
    fix="scores = cap * torch.tanh(scores / cap)",
    threads=("unslothai/unsloth-zoo#593",),
    detect="parameter",
    rarity=4,
)
def softcap_misspelled(c: Computation) -> Iterator[Variant]:
    """x · tanh(x / c) caps nothing; tanh(x / c) flattens everything; a clip has corners."""
    if has_cap(c):
        for formula, step in WRONG_CAPS.items():
            named = {"cap": c.softcap, "formula": formula.format(cap=c.softcap)}
            yield Variant(c.instead_of(cap, step), named)
