"""Where transformers' eager attention, which alone gives the weights, is not what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

CORRECTED = "FalconAttention"


def correct(model: Any) -> Any:
    """`model`, computing what it does without `output_attentions`.

    Falcon's ALiBi is part of the mask that FalconModel makes (transformers 4.40 or so to 5.23);
    eager FalconAttention adds it once more. Neither its other implementations nor the code that
    was published with the weights do so, nor does the eager one any more if it is given zeros.
    """
    for module in model.modules():
        if type(module).__name__ == CORRECTED:
            module.forward = _without_second_alibi(module.forward)
    return model


def check_correction(
    model: Any, load_other: Callable[[], Any], case: Mapping[str, Any], outputs: Any
) -> None:
    """What a corrected `model` computed of a case must be what the same model of another
    implementation computes where nobody asks for weights."""
    if CORRECTED not in {type(module).__name__ for module in model.modules()}:
        return
    ids = torch.from_numpy(case["ids"])
    mask = torch.from_numpy(case["mask"]) if "mask" in case else None
    with torch.no_grad():
        logits = load_other().eval()(input_ids=ids, attention_mask=mask).logits.numpy()
    seen = case.get("mask", np.ones_like(case["ids"])) == 1
    assert np.abs(logits - outputs["logits"])[seen].max() < 1e-4


def _without_second_alibi(forward: Any) -> Any:
    def once(hidden: Any, *, alibi: Any, **given: Any) -> Any:
        return forward(hidden, alibi=None if alibi is None else 0 * alibi, **given)

    return once
