"""GGUF: its metadata are read as a config, its tensors under Hugging Face's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnviz.models.model import Model

SUFFIX = ".gguf"
MAGIC = b"GGUF"


def load(path: Path, dtype: str = "float32") -> Model:
    """The model in a GGUF file."""
    from attnviz.models.build.checkpoint import Checkpoint, build_model
    from attnviz.models.chat.files import gguf_template
    from attnviz.models.gguf.file import GGUFFile
    from attnviz.models.gguf.tokenizer import read_tokenizer
    from attnviz.models.gguf.translate import translate
    from attnviz.models.tokenizers.tokenizer import DecoderTokenizer

    file = GGUFFile(path)
    config, tensors = translate(file.metadata, file)
    tokenizer, target = read_tokenizer(file.metadata, path), None
    if config.has("decoder_start_token_id"):
        target = DecoderTokenizer(tokenizer, config.whole("decoder_start_token_id"), tokenizer.end)
    name = _name(path, file.metadata)
    model = build_model(Checkpoint(name, config, tensors, tokenizer, target, dtype=dtype))
    return model._replace(chat=gguf_template(file.metadata, path))


def _name(path: Path, metadata: Mapping[str, Any]) -> str:
    """The file's, if that says anything; else what the file itself says."""
    from attnviz.models.sources.naming import is_generic
    from attnviz.tokens import label

    inside = metadata.get("general.name")
    return (
        label(inside) if is_generic(path.stem) and inside and isinstance(inside, str) else path.stem
    )


def identify(path: Path) -> tuple[str, bool]:
    """The architecture that the file's header names, and whether it is supported."""
    from attnviz.models.formats.content import map_file
    from attnviz.models.gguf.architectures import ARCHITECTURES, module_name
    from attnviz.models.gguf.header import read_architecture

    architecture = str(read_architecture(map_file(path), str(path)))
    return architecture, module_name(architecture) in ARCHITECTURES
