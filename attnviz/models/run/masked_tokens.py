"""What a model expects where a token of its text is masked."""

from __future__ import annotations

import numpy as np

from attnviz.models.model import Model
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

MOST = 5


def masked_places(model: Model, source: Tokens) -> list[int]:
    """Where the text has the mask's token, for a model that fills it."""
    mask = model.tokenizer.mask if model.task == "fill" else None
    return [place for place, id in enumerate(source.ids) if id == mask and mask is not None]


def expectations(model: Model, source: Tokens, logits: Array) -> list[str]:
    """The most probable tokens at each masked place, a sentence each.

    `logits` is [n_token, n_vocabulary].
    """
    told = []
    for place in masked_places(model, source):
        row = logits[place].astype(np.float64)
        exp = np.exp(row - row.max())
        best = np.argsort(-exp, kind="stable")[:MOST]
        labels = model.tokenizer.take(best.tolist()).labels
        words = (f"{name} {p:.3f}" for name, p in zip(labels, exp[best] / exp.sum(), strict=True))
        told.append(f"at {place} {source.labels[place]} it expects {', '.join(words)}")
    return told
