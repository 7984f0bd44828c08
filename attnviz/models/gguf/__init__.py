"""A GGUF file -> a model: its metadata as a config, its tensors under Hugging Face's names, its
tokenizer."""

from __future__ import annotations

from pathlib import Path

from attnviz.models.build.checkpoint import Checkpoint, build_model
from attnviz.models.formats.gguf import GGUFFile
from attnviz.models.gguf.architectures import translate
from attnviz.models.gguf.tokenizer import read_tokenizer
from attnviz.models.model import Model


def load_gguf(path: Path, dtype: str = "float32") -> Model:
    """The model in a GGUF file."""
    file = GGUFFile(path)
    config, tensors = translate(file.metadata, file)
    tokenizer = read_tokenizer(file.metadata, path)
    return build_model(Checkpoint(path.stem, config, tensors, tokenizer, dtype=dtype))
