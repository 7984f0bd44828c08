"""Gemma."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import LLAMA_NAMES, Architecture, Values, llama_like
from attnviz.models.gguf.architectures.gemma2 import gains


def _config(fields: Config, file: TensorFile) -> Values:
    return llama_like(fields, file, "gemma")


ARCHITECTURE = Architecture(_config, LLAMA_NAMES, gains)
