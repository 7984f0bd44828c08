"""A model of images and texts as one that tells which of some texts an image is most like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.models.run.answer import embed
from attnviz.models.run.inputs import Text, read_text
from attnviz.nn.linear import Linear
from attnviz.nn.pooling import Similarity


def with_texts(model: Model, texts: Sequence[Text]) -> Model:
    """The tower for images, whose logits are those of the texts; without texts it has no output.

    Raises:
        AttnvizError: the model does not compare images with texts.
    """
    vision = model.vision
    if vision is None:
        raise AttnvizError(
            f"{model.name} does not compare images with texts", "CLIP does: -m MODEL_FOLDER"
        )
    if not texts:
        return vision.model
    vectors = [embed(model, read_text(model, text)).embedding for text in texts]
    weights = vision.scale * np.stack([vector for vector in vectors if vector is not None])
    bias = np.full(len(texts), vision.bias) if vision.bias else None
    output = Similarity(vision.embed, Linear(weights.astype(model.dtype), bias))
    return vision.model._replace(
        transformer=vision.model.transformer._replace(unembed=output),
        task="classify",
        labels=tuple(text if isinstance(text, str) else str(text) for text in texts),
        problem="several" if vision.independent else "",
    )
