"""An image in, its trace, answer and saliency out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.vision.images import Pixels
from attnviz.nn.embedding import Input
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Selection


class Seen(NamedTuple):
    """What a model made of an image."""

    trace: Trace
    probabilities: Array | None
    """[n_class], of a model that classifies."""


def read_pixels(model: Model, image: str | Path | Array) -> Pixels:
    """An image as the model sees it."""
    if model.image is None:
        raise AttnvizError(f"{model.name} reads text, no images", "attnviz image FILE -m digits")
    return model.image.read(image)


def run_vision(
    model: Model,
    pixels: Pixels,
    *,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    mask: Mask = NONE,
    fingerprint: bool = True,
    hidden_states: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Seen:
    """Run a vision model on an image; what was done to the image is among the trace's notes."""
    trace = forward(
        model,
        {"source": pixels.tokens},
        {"source": Input(pixels=pixels.values.astype(model.dtype), mask=mask)},
        stages=stages,
        select=select,
        logits=True,
        fingerprint=fingerprint,
        hidden_states=hidden_states,
        progress=progress,
    )
    notes = [*trace.model["notes"], *pixels.notes]
    trace = replace(trace, model={**trace.model, "notes": notes})
    if trace.logits is None:
        return Seen(trace, None)
    logits = trace.logits[0].astype(np.float64)
    exp = np.exp(logits - logits.max())
    return Seen(trace, exp / exp.sum())


def class_logit(model: Model, label: int) -> Callable[[Array], Array]:
    """Images [..., channel, height, width] -> logits [...] of `label`."""

    def logit(images: Array) -> Array:
        output = model.transformer(Input(pixels=images), logits=True).logits
        assert output is not None
        chosen: Array = output[..., 0, label]
        return chosen

    return logit


def operations(model: Model, n_token: int) -> int:
    """About how many additions and multiplications a pass takes: two for each parameter and token,
    those of the attention left out."""
    return 2 * model.n_parameter * n_token
