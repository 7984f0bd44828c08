"""Config and tensors -> a model: one file an architecture, named as its `model_type`.

Each has `build(checkpoint) -> Model` and, in one order: what it reads of the config, the blocks,
the embedding and the output, the model. `TOKENIZER`, where it is there, is the tokenizer class of
a checkpoint that names none.
"""

from __future__ import annotations

from attnviz.registry import ModuleRegistry

FAMILIES = ModuleRegistry("architecture", "attnviz.models.build.families")

INTERNAL = "attnviz"
"""The family of the packaged models, which nobody else's checkpoints have."""


def family_name(model_type: str) -> str:
    """The name among the families of a `model_type`, as configs spell it."""
    return model_type.replace("-", "_")
