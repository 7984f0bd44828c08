"""A folder that holds a checkpoint: which files of it are the config and the weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.tensors import TensorFile
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.formats.shards import Shards, read_index
from attnviz.models.json_object import read_object
from attnviz.tokens import label

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

SHARD = re.compile(r".+-\d+-of-(?!0*1\.)\d+\.safetensors")
"""One of several; `-00001-of-00001` is whole."""

PICKLE = re.compile(r"(?!training_args|optimizer|scheduler|scaler|rng_state).+\.(bin|pt|pth|ckpt)")
"""Weights that PyTorch pickled; what a training leaves beside them is none."""

OTHERS = {".h5": "TensorFlow", ".msgpack": "Flax", ".onnx": "ONNX"}

MERGE = (
    "merge it into its base model where PyTorch is installed: "
    "PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(new_folder)"
)


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says, unless it tells of weights that attnviz cannot read."""
    path = folder / CONFIG
    if not path.exists():
        raise _no_config(folder)
    config = read_object(path)
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise AttnvizError(
            f"{path}: the weights are quantised ({label(str(method or 'quantization_config'))}), "
            "which is not supported",
            "take the checkpoint that they were made from, or a GGUF file of the model",
        )
    return config


def open_weights(folder: Path, config: Mapping[str, Any]) -> TensorFile:
    """The weights in a folder. `config` tells which class of transformers could convert them."""
    names = _names(folder)
    name = choose_weights(names, str(folder), config)
    return Shards(folder / name) if name == INDEX else SafetensorsFile(folder / name)


def choose_weights(names: Collection[str], where: str, config: Mapping[str, Any]) -> str:
    """Which of the files in `where` to open: model.safetensors, an index, or the only other one.

    Raises AttnvizError that says what is there instead.
    """
    if WEIGHTS in names:
        return WEIGHTS
    if INDEX in names:
        return INDEX
    if ADAPTER in names:
        raise AttnvizError(f"{where} holds a LoRA adapter, not a whole model", MERGE)
    found = sorted(name for name in names if name.endswith(".safetensors"))
    shards = [name for name in found if SHARD.fullmatch(name)]
    if shards:
        raise AttnvizError(
            f"{where} has {label(shards[0])} without {INDEX}, which says what is in it",
            "download the index too",
        )
    if len(found) > 1:
        raise AttnvizError(
            f"{where} has no {WEIGHTS}, but {len(found)} other files of weights: "
            f"{label(', '.join(found[:3]))}",
            f"leave one of them in a copy of the folder, or name one {WEIGHTS}",
        )
    if found:
        return found[0]
    raise _no_weights(names, where, config)


def missing_files(folder: Path) -> list[str]:
    """What a download that was broken off has left out, of config.json and the weights."""
    names = _names(folder)
    if CONFIG not in names:
        return [CONFIG]
    if INDEX in names and WEIGHTS not in names:
        return sorted(set(read_index(folder / INDEX).values()) - names)
    return [] if any(map(_is_weights, names)) else [WEIGHTS]


def _names(folder: Path) -> set[str]:
    """The files in a folder; links that lead nowhere are none."""
    try:
        return {path.name for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise AttnvizError(
            f"cannot read {folder}: {error.strerror or error}", "check who may read it"
        ) from error


def _no_config(folder: Path) -> AttnvizError:
    names = _names(folder)
    if ADAPTER in names:
        base = read_object(folder / ADAPTER).get("base_model_name_or_path") or "another model"
        return AttnvizError(
            f"{folder} holds a LoRA adapter of {label(str(base))}, not a whole model", MERGE
        )
    gguf = sorted(name for name in names if name.endswith(".gguf"))
    if gguf:
        return AttnvizError(
            f"{folder} is no checkpoint: it has no {CONFIG}", f"name the file: {folder / gguf[0]}"
        )
    return AttnvizError(
        f"{folder} is no checkpoint: it has no {CONFIG}",
        f"name the folder that holds {CONFIG} and {WEIGHTS}; attnviz models FOLDER looks below it",
    )


def _no_weights(names: Collection[str], where: str, config: Mapping[str, Any]) -> AttnvizError:
    kinds = config.get("architectures") or ["AutoModel"]
    kind = kinds[0] if isinstance(kinds, list) and isinstance(kinds[0], str) else "AutoModel"
    convert = (
        "convert it where transformers is installed: "
        f"{label(kind)}.from_pretrained(folder).save_pretrained(folder)"
    )
    name = min(filter(_is_weights, names), default="")
    if not name:
        return AttnvizError(f"{where} has no {WEIGHTS}", "name the folder that holds the weights")
    if name.endswith(".gguf"):
        return AttnvizError(f"{where} has no {WEIGHTS}", f"name the file: {label(name)}")
    other = OTHERS.get(Path(name).suffix)
    what = f"a file of {other}" if other else "a pickle, which is never loaded"
    return AttnvizError(f"{where} has its weights in {label(name)} only, {what}", convert)


def _is_weights(name: str) -> bool:
    suffix = Path(name).suffix
    return suffix in (".safetensors", ".gguf", *OTHERS) or bool(PICKLE.fullmatch(name))
