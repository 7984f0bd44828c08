"""An image in, its trace, answer and saliency out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.forward import forward
from attnviz.models.images import Pixels, cut, patch_tokens, read_image
from attnviz.models.model import Model
from attnviz.nn.embedding import Input
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.types import Array
from attnviz.selection import Selection
from attnviz.trace import Trace


class Seen(NamedTuple):
    """What a model made of an image."""

    pixels: Pixels
    trace: Trace
    probabilities: Array
    """[n_class]"""


def see(
    model: Model,
    image: str | Path | Array,
    *,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    mask: Mask = NONE,
    fingerprint: bool = True,
    hidden_states: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Seen:
    """Run a vision model on an image; what was done to the image is among the trace's notes."""
    if model.image is None:
        raise AttnvizError(f"{model.name} reads text, no images", "attnviz image FILE -m digits")
    pixels = read_image(image, model.image)
    patches = cut(pixels.values, model.image["patch"]).astype(model.dtype)
    trace = forward(
        model,
        {"source": patch_tokens(model.image)},
        {"source": Input(pixels=patches, mask=mask)},
        stages=stages,
        select=select,
        logits=True,
        fingerprint=fingerprint,
        hidden_states=hidden_states,
        progress=progress,
    )
    notes = [*trace.model["notes"], *pixels.notes]
    trace = replace(trace, model={**trace.model, "notes": notes})
    assert trace.logits is not None
    logits = trace.logits[0].astype(np.float64)
    exp = np.exp(logits - logits.max())
    return Seen(pixels, trace, exp / exp.sum())


def class_logit(model: Model, label: int) -> Callable[[Array], Array]:
    """Images [n, height, width] -> the logits of `label` [n]: what a saliency map is of."""
    assert model.image is not None
    transformer, patch = model.transformer, model.image["patch"]

    def logit(images: Array) -> Array:
        patches = np.stack([cut(image, patch) for image in images])
        output = transformer(Input(pixels=patches), logits=True).logits
        assert output is not None
        chosen: Array = output[:, 0, label]
        return chosen

    return logit
