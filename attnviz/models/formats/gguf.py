"""GGUF: its metadata are read as a config, its tensors under Hugging Face's names."""

from __future__ import annotations

from pathlib import Path

from attnviz.models.build.checkpoint import Checkpoint, build_model
from attnviz.models.formats.content import map_file
from attnviz.models.gguf.architectures import ARCHITECTURES, translate
from attnviz.models.gguf.file import GGUFFile
from attnviz.models.gguf.header import MAGIC, read_architecture
from attnviz.models.gguf.tokenizer import read_tokenizer
from attnviz.models.model import Model

SUFFIX = ".gguf"


def load(path: Path, dtype: str = "float32") -> Model:
    """The model in a GGUF file."""
    file = GGUFFile(path)
    config, tensors = translate(file.metadata, file)
    tokenizer = read_tokenizer(file.metadata, path)
    return build_model(Checkpoint(path.stem, config, tensors, tokenizer, dtype=dtype))


def identify(path: Path) -> tuple[str, bool]:
    """The architecture that the file's header names, and whether it is supported."""
    architecture = str(read_architecture(map_file(path), str(path)))
    return architecture, architecture in ARCHITECTURES


__all__ = ["MAGIC", "SUFFIX", "identify", "load"]
