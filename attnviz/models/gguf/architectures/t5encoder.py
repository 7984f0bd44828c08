"""The encoder of a T5."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values
from attnviz.models.gguf.architectures.t5 import names, read_config


def _config(fields: Config, file: TensorFile) -> Values:
    return read_config(fields, file) | {"architectures": ["T5EncoderModel"]}


ARCHITECTURE = Architecture(_config, names)
