"""What a model expects where a token of its text is masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.models.model import Model
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

N_EXPECTED = 5


def masked_positions(model: Model, source: Tokens) -> list[int]:
    """Where the text has the mask's token, for a model that fills it."""
    mask = model.tokenizer.mask if model.task == "fill" else None
    return [i for i, id in enumerate(source.ids) if id == mask and mask is not None]


def expectations(
    model: Model, source: Tokens, positions: Sequence[int], logits: Array
) -> list[str]:
    """The most probable tokens at these positions, a sentence each.

    `logits` is [n_token, n_vocabulary].
    """
    sentences = []
    for position in positions:
        row = logits[position].astype(np.float64)
        exp = np.exp(row - row.max())
        best = np.argsort(-exp, kind="stable")[:N_EXPECTED]
        labels = model.tokenizer.take(best.tolist()).labels
        words = (f"{name} {p:.3f}" for name, p in zip(labels, exp[best] / exp.sum(), strict=True))
        sentences.append(f"at {position} {source.labels[position]} it expects {', '.join(words)}")
    return sentences
