"""What a GGUF file says of its model: a config in Hugging Face's fields, and its tensors under
Hugging Face's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values
from attnviz.models.gguf.architectures import ARCHITECTURES, module_name
from attnviz.models.gguf.header import ARCHITECTURE
from attnviz.models.gguf.layout import Renamed
from attnviz.models.gguf.rope import TENSORS
from attnviz.registry import nearest
from attnviz.tokens import label

HINT = "download it again, or take another conversion of the model"
"""What to do about wrong metadata."""

PER_LAYER = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
"""Fields that may be lists with one entry per layer."""

SIZES = ("embedding_length", "feed_forward_length", "attention.head_count",
         "attention.head_count_kv", "attention.key_length")  # fmt: skip
"""Fields that cannot be larger than the file has bytes."""

OTHER_KINDS = {
    "adapter": (
        "a LoRA adapter",
        "merge it into its base: llama-export-lora -m BASE.gguf --lora ADAPTER.gguf -o NEW.gguf",
    ),
    "imatrix": ("an importance matrix", "take the file of the model itself"),
    "mmproj": ("the image part of a model", "take the file of its language model"),
    "vocab": ("a vocabulary", "take the file of the model itself"),
}
"""What a `general.type` other than `model` says -> (what the file is, hint)."""


def translate(metadata: Mapping[str, Any], file: TensorFile) -> tuple[Config, TensorFile]:
    """Config and tensors as a family reads them; a field that is not understood is refused."""
    name = str(metadata.get(ARCHITECTURE))
    kind = str(metadata.get("general.type", "adapter" if "adapter.type" in metadata else "model"))
    if kind in OTHER_KINDS:
        what, hint = OTHER_KINDS[kind]
        raise AttnvizError(f"{file.path} holds {what}, not a model", hint)
    if module_name(name) not in ARCHITECTURES:
        raise AttnvizError(
            f"{file.path}: the architecture {label(name)} is not supported",
            nearest(name, (each.replace("_", "-") for each in ARCHITECTURES)),
        )
    if not file.shapes:
        raise AttnvizError(
            f"{file.path} holds a vocabulary without weights", "take the file of the model itself"
        )
    if metadata.get("split.count", 1) not in (0, 1):
        raise AttnvizError(
            f"{file.path} is one of {metadata['split.count']} parts of a model",
            "join them: llama-gguf-split --merge FIRST-PART NEW-FILE",
        )
    architecture: Architecture = ARCHITECTURES[module_name(name)].ARCHITECTURE
    fields = _fields(metadata, name, file)
    values = architecture.config(fields, file)
    fields.inert("vocab_size", "tensor_data_layout", "pooling_type", "classifier.output_labels")
    values |= _direction(fields, architecture, values)
    if "num_experts" not in values:
        fields.require("expert_count", 0)
        fields.require("expert_used_count", 0)
    fields.finish()
    names = architecture.names(values) if callable(architecture.names) else architecture.names
    renamed = Renamed(architecture.joined(file), names, architecture.changes(values), TENSORS)
    return Config(values, f"{file.path}: its config", HINT), renamed


def _direction(fields: Config, architecture: Architecture, values: Values) -> Values:
    """That a decoder sees both sides, where the file says so: embedders made of decoders."""
    if architecture.is_causal and "sliding_window" not in values:
        return {} if fields.switch("attention.causal", True) else {"is_causal": False}
    fields.require("attention.causal", architecture.is_causal)
    return {}


def _fields(metadata: Mapping[str, Any], name: str, file: TensorFile) -> Config:
    """The fields of the architecture, with sizes that the file can hold."""
    values = {
        key.removeprefix(f"{name}."): value
        for key, value in metadata.items()
        if key.startswith(f"{name}.")
    }
    for key in PER_LAYER:
        if isinstance(values.get(key), list) and len(set(values[key])) == 1:
            values[key] = values[key][0]
    maxima = {**dict.fromkeys(SIZES, file.n_byte), "block_count": len(file.shapes)}
    for key, maximum in maxima.items():
        if isinstance(values.get(key), int) and values[key] > maximum:
            raise AttnvizError(
                f"{file.path}: {name}.{key} = {values[key]} is more than the file holds",
                "download it again",
            )
    return Config(values, f"{file.path}: {name}.*", HINT)
