"""Config and tensors -> transformer parts: one file an architecture, named as its `model_type`.

Each has `build(config, file, dtype) -> Built` and, in one order: what it reads of the config,
the embedding, the blocks, the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attnviz.models.build.config import Config
from attnviz.models.model import Tokenizer
from attnviz.models.build.tensors import Tensors
from attnviz.models.vision.images import ImageReader
from attnviz.nn.transformer import Transformer


@dataclass(frozen=True)
class Built:
    """What a family makes of a config and a file of weights."""

    transformer: Transformer
    shape: Mapping[str, Any]
    tensors: Tensors
    """Where the weights came from: all of them have been taken."""
    max_tokens: int | None
    n_vocabulary: int | None
    n_target: int | None = None
    """Of what the decoder writes, where it has a vocabulary of its own."""
    tokenizer: Tokenizer | None = None
    """Where the config itself says how text is read; else it is in `tokenizer.json`."""
    target_tokenizer: Tokenizer | None = None
    trained_tokens: int | None = None
    task: str = ""
    labels: tuple[str, ...] = ()
    image: Callable[[Config | None], ImageReader] | None = None
    """What reads images, given `preprocessor_config.json`, if there is one."""


__all__ = ["Built", "Config"]
