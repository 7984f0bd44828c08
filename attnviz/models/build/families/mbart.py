"""mBART: BART of many languages, with its norms before the sublayers. Source: Liu et al. 2020;
tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.families.bart import bart_model
from attnviz.models.model import Model

TOKENIZER = "MBartTokenizer"


def build(checkpoint: Checkpoint) -> Model:
    padding = checkpoint.config.whole("pad_token_id", 1)
    return bart_model(checkpoint, is_pre_norm=True, wraps=padding)
