"""Text in, trace out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.edit.override import hide
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import Text, as_input, read_target, read_text
from attnviz.nn.masks import NONE, Mask, custom
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Selection


def run(
    text: Text | None = None,
    *,
    pair: Text | None = None,
    target: Text | None = None,
    image: str | Path | Array | None = None,
    model: str | Model | None = None,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    hidden_states: bool = False,
    logits: bool = False,
    mask: str | Mask | Array | None = None,
    fingerprint: bool = True,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Trace:
    """Run a model on a text or an image and record its attention.

    Args:
        text: a string, or token ids, which are taken as they are.
        pair: a second text for models that read two; ids follow `text` as the second segment.
        target: what the decoder of an encoder-decoder has so far; by default what the model
            writes when it decodes greedily, or the text itself if it has no output.
        image: instead of a text: a path, or an array [height, width(, channel)], of bytes or of
            numbers from 0 to 1; or, prepared as a checkpoint wants it, [channel, height, width].
        model: a name or path as for `-m`, or a loaded model; by default `tagger`.
        stages: which stages to keep; the mask is kept with any of them.
        select: keep only these layers.
        hidden_states: keep the residual stream after each block.
        logits: compute the output, where the model has one.
        mask: a name replaces the model's own mask: "causal+window:size=3"; a Mask, or a boolean
            array [n_q, n_k] with True = visible, hides cells besides those that it hides.
        fingerprint: put the SHA-256 of the weights into the trace (reads the whole file).
        progress: called as `progress(attentions_done, attentions)`.
        changes: fields of the stack, as in `load_model`.

    Raises:
        AttnvizError: an unknown model, a text the model cannot read, too little memory.
    """
    if isinstance(mask, str):
        changes["mask"] = mask
    if not isinstance(model, Model):
        model = load_model(model, changes)
    elif changes:
        raise AttnvizError(
            "changes are for models given by name: load_model(name, changes)", "give the name"
        )
    if isinstance(mask, np.ndarray):
        model = hide(model, custom(mask))
    own_mask = mask if isinstance(mask, Mask) else NONE
    if image is not None:
        if not (text is pair is target is None):
            raise AttnvizError("give a text or an image, not both", "run(image=PATH, model=…)")
        from attnviz.models.vision.seeing import read_pixels, run_vision

        seen = run_vision(
            model,
            read_pixels(model, image),
            stages=stages,
            select=select,
            mask=own_mask,
            fingerprint=fingerprint,
            hidden_states=hidden_states,
            progress=progress,
        )
        return seen.trace
    if text is None:
        raise AttnvizError("there is no text", 'run("I saw a saw")')
    source = read_text(model, text, pair)
    if not isinstance(text, str) and model.tokenizer.n_piece:
        told = "ids say nothing of a word's spelling: it is read as the list spells it"
        model = model._replace(notes=(*model.notes, told))
    streams = {"source": source}
    if model.kind == "encoder-decoder":
        if target is None and model.task == "continue":
            from attnviz.models.run.generate import generate

            streams["target"] = generate(model, source).read
            model = model._replace(
                notes=(*model.notes, "the target is what the model itself writes")
            )
        else:
            streams["target"] = read_target(model, text if target is None else target)
    elif target is not None:
        raise AttnvizError(
            f"{model.name} is no encoder-decoder: it reads no target",
            "leave out --target" if model.trained else "--kind encoder-decoder",
        )
    inputs = {
        name: as_input(model, tokens, own_mask, target=name == "target")
        for name, tokens in streams.items()
    }
    return forward(
        model,
        streams,
        inputs,
        stages=stages,
        select=select,
        hidden_states=hidden_states,
        logits=logits,
        fingerprint=fingerprint,
        progress=progress,
    )
