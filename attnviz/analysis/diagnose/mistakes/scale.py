"""A wrong factor on q · k."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.registry import MISTAKES, Variant

RIGHT = "softmax(QKᵀ/√d_k)"


@MISTAKES.add(
    id="S1",
    family="scale",
    title="no scale",
    computed="softmax(QKᵀ)",
    wanted=RIGHT,
    fix="scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5",
    threads=(
        "mlc-ai/mlc-llm#3426",
        "Project-MONAI/GenerativeModels#146",
        "microsoft/MInference#69",
    ),
    pairs=True,
    rarity=2,
)
def no_scale(c: Computation) -> Iterator[Variant]:
    """The scores are not scaled: softmax is too sharp."""
    yield Variant(replace(c, scale=1.0))


@MISTAKES.add(
    id="S2",
    family="scale",
    title="the width of the model under the root, not that of a head",
    computed="softmax(QKᵀ/√{width})",
    wanted=RIGHT,
    fix="scores / math.sqrt(d_k), d_k = q.shape[-1] = {d_k} after the heads are split",
    threads=(
        "lucidrains/vit-pytorch#65",
        "karpathy/ng-video-lecture#6",
        "chelsea0x3b/dfdx#171",
        "ggml-org/llama.cpp#8444",
    ),
    detect="parameter",
    pairs=True,
    rarity=1,
)
def scale_of_the_model(c: Computation) -> Iterator[Variant]:
    """1/√d_model, or 1/√(hidden/heads) where heads have another width."""
    width = c.facts.d_model or c.n_head * c.d_k
    for each in dict.fromkeys((width, width / c.n_head)):
        if each != c.d_k:
            parameter = {"width": each, "d_k": c.d_k}
            yield Variant(replace(c, scale=1 / math.sqrt(each)), parameter, f"1/√{each:g}")
