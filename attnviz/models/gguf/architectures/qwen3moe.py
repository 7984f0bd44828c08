"""Qwen3-MoE."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import (
    MIXTURE_NAMES,
    Architecture,
    Values,
    llama_like,
    mixture,
)


def _config(fields: Config, file: TensorFile) -> Values:
    values = mixture(fields, llama_like(fields, file, "qwen3_moe"))
    return values | {"norm_topk_prob": True}  # as llama.cpp computes it; files do not say


ARCHITECTURE = Architecture(_config, MIXTURE_NAMES)
