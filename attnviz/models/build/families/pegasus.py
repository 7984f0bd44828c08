"""Pegasus, which writes summaries: Marian with its norms before the sublayers. Source: Zhang et al.
2020; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.marian import marian_model
from attnviz.models.model import Model

TOKENIZER = "PegasusTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    return marian_model(checkpoint, is_pre_norm=True)
