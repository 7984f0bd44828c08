"""mT5: T5 v1.1 of many languages. Source: Xue et al. 2021; tensor names as in Hugging Face's
checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.t5 import t5_model
from attnviz.models.model import Model

TOKENIZER = "T5Tokenizer"


def build(checkpoint: Checkpoint) -> Model:
    return t5_model(checkpoint, net="gated-gelu", is_scaled=False)
