"""ELECTRA: BERT with narrower vectors for tokens. Source: Clark et al. 2020."""

from __future__ import annotations

from typing import Any

import numpy as np

from attnviz.models.build.families import Built, Config
from attnviz.models.build.families.bert import IGNORED, embedding, encoder
from attnviz.models.build.layers import LanguageModelHead, linear
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.nn.activations import gelu

HEAD = LanguageModelHead(
    "generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head", gelu
)
DISCRIMINATOR = r"|discriminator_predictions\..*"


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    tensors = Tensors(file, ("electra.",), dtype)
    d_model = config.count("hidden_size")
    d = config.count("embedding_size", d_model)
    source = embedding(config, tensors, d)
    if d != d_model:
        source = source._replace(widen=linear(tensors, "embeddings_project", d, d_model))
    return encoder(config, tensors, source, HEAD, IGNORED + DISCRIMINATOR)
