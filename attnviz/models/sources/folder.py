"""A folder that holds a checkpoint: which files of it are the config and the weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.build.tensors import UNQUANTISED, TensorFile
from attnviz.models.formats import weight_format, weight_formats, whole_formats
from attnviz.models.formats.mlx import MLXWeights, is_affine
from attnviz.models.formats.shards import read_index
from attnviz.models.json_object import read_object
from attnviz.models.sources.adapter import CONFIG as ADAPTER
from attnviz.models.sources.adapter import MERGE, holds_adapter
from attnviz.models.sources.naming import card_base
from attnviz.tokens import label

CONFIG = "config.json"
ADAPTER_WEIGHTS = "adapter_model."
"""How the names of PEFT's files of weights begin."""
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ONNX = "onnx"
"""The folder of a checkpoint that exports lie in."""

QUANTISED = {
    "quantization_config": "quantization_config",
    "compression_config": "compressed-tensors",
    "quantization": "MLX",
}
"""Fields of configs that say that the weights are, and how if the field itself does not say."""

SHARD = re.compile(r".+-\d+-of-(?!0*1\.)\d+\.safetensors")
"""One of several files; `-00001-of-00001` is the only one."""

PICKLE = re.compile(r"(?!training_args|optimizer|scheduler|scaler|rng_state).+\.(bin|pt|pth|ckpt)")
"""Weights that PyTorch pickled, but not what training leaves beside them."""

EXPORTED = "take the checkpoint that it was exported from"
OLDER = (
    "convert it with transformers 4 and {}: "
    "{{}}.from_pretrained(folder, {}=True).save_pretrained(folder)"
)
OTHERS = {
    ".h5": ("a file of TensorFlow", OLDER.format("TensorFlow", "from_tf")),
    ".msgpack": ("a file of Flax", OLDER.format("Flax", "from_flax")),
    ".onnx": ("a file of ONNX", EXPORTED),
}
"""By suffix: what a file of weights is, and what to do with it where it is the only one; {} stands
for the class of transformers."""
PICKLED = (
    "a pickle, which is never loaded",
    "convert it where transformers is installed: "
    "{}.from_pretrained(folder).save_pretrained(folder)",
)

DEQUANTISED = {
    "bitsandbytes": "{}.from_pretrained(folder).dequantize().save_pretrained(new_folder)",
    "fp8": "{}.from_pretrained(folder, quantization_config=FineGrainedFP8Config(dequantize=True))"
    ".save_pretrained(new_folder)",
}
"""By the method of quantisation: how transformers undoes it."""


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json says, unless the weights are quantised in a way that attnviz cannot read."""
    path = folder / CONFIG
    if not path.exists():
        raise _no_config(folder)
    config = read_object(path)
    for key, method in QUANTISED.items() if not is_affine(config) else ():
        if quantised := config.get(key):
            named = quantised.get("quant_method") if isinstance(quantised, dict) else None
            if named in _read_by_family(config):
                continue
            raise AttnvizError(
                f"{path}: the weights are quantised ({label(str(named or method))}), "
                "which is not supported",
                _original(folder, config, str(named)),
            )
    return config


def _read_by_family(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Ways of quantising of which the family reads the tensors itself."""
    name = family_name(str(config.get("model_type")))
    return getattr(FAMILIES[name], "QUANTISED", ()) if name in FAMILIES else ()


def _original(folder: Path, config: Mapping[str, Any], method: str) -> str:
    """What to take instead of weights that were quantised by a method."""
    base = card_base(folder)
    hint = f"take the checkpoint that they were made of, {base}" if base else UNQUANTISED
    if method not in DEQUANTISED:
        return hint
    return f"{hint}; or, with transformers: {DEQUANTISED[method].format(_class(config))}"


def open_weights(folder: Path, config: Mapping[str, Any]) -> TensorFile:
    """The weights in a folder. `config` tells which class of transformers could convert them."""
    name = choose_weights(_names_with_exports(folder), str(folder), config)
    file_format = weight_format(name)
    assert file_format is not None, name
    weights: TensorFile = file_format.open_weights(folder / name)
    return MLXWeights(weights, config) if is_affine(config) else weights


def reads_weights(folder: Path) -> bool:
    """Whether the weights in a folder, if there are any, are in files that attnviz reads."""
    try:
        config, names = read_config(folder), _names_with_exports(folder)
        if any(map(_is_weights, names)):
            choose_weights(names, str(folder), config)
    except AttnvizError:
        return False
    return True


def choose_weights(names: Collection[str], where: str, config: Mapping[str, Any]) -> str:
    """Which of the files in `where` to open: model.safetensors, an index, or the only other one.

    Raises:
        AttnvizError: which says what is there instead.
    """
    if WEIGHTS in names:
        return WEIGHTS
    if INDEX in names:
        return INDEX
    if holds_adapter(names):
        raise AttnvizError(f"{where} holds an adapter (LoRA or another), not a whole model", MERGE)
    others = [name for name in sorted(names) if weight_format(name) is not None]
    shards = [name for name in others if SHARD.fullmatch(name)]
    if shards:
        raise AttnvizError(
            f"{where} has {label(shards[0])} without {INDEX}, which says what is in it",
            "download the index too",
        )
    if len(others) > 1:
        raise AttnvizError(
            f"{where} has no {WEIGHTS}, but {len(others)} other files of weights: "
            f"{label(', '.join(others[:3]))}{', …' if len(others) > 3 else ''}",
            f"leave one of them in a copy of the folder, or name one {WEIGHTS}",
        )
    if others:
        return others[0]
    raise _no_weights(names, where, config)


def is_adapter(folder: Path) -> bool:
    """Whether there is an adapter of PEFT in a folder, beside its base or alone."""
    return holds_adapter(_names(folder))


def is_adapter_alone(folder: Path) -> bool:
    """Whether a folder holds an adapter of PEFT, and no weights of its base."""
    names = _names(folder)
    return ADAPTER in names and not any(
        _is_weights(name) and not name.startswith(ADAPTER_WEIGHTS) for name in names
    )


def base_of(folder: Path) -> Path:
    """The folder of the model that the adapter in a folder was made for: a path, from here or from
    beside the adapter, or a model of Hugging Face's cache.

    Raises:
        AttnvizError: it is not here.
    """
    from attnviz.models.sources.hub import find, parse_name

    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    base = base if isinstance(base, str) else ""
    named = label(base) if base else "a model that it does not name"
    for path in (Path(base), folder / base, folder.parent / base, folder.parent / Path(base).name):
        if base and path != folder and path.is_dir() and (path / CONFIG).exists():
            return path
    on_hub = parse_name(base)
    snapshot = None if on_hub is None else find(on_hub)
    if snapshot is not None:
        return snapshot
    raise AttnvizError(
        f"{folder} holds an adapter of {named}, which is not here",
        f"attnviz models {base} --download fetches it" if on_hub else
        f"put its base into {folder.parent / (Path(base).name or 'base')}",
    )  # fmt: skip


def missing_files(folder: Path) -> list[str]:
    """What an interrupted download has left out, of config.json and the weights."""
    names = _names(folder)
    if CONFIG not in names:
        return [CONFIG]
    if INDEX in names and WEIGHTS not in names:
        return sorted(set(read_index(folder / INDEX).values()) - names)
    return [] if any(map(_is_weights, names)) else [WEIGHTS]


def _names(folder: Path) -> set[str]:
    """The files in a folder, without links that lead nowhere."""
    try:
        return {path.name for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        raise AttnvizError(
            f"cannot read {folder}: {error.strerror or error}", "check its permissions"
        ) from error


def _names_with_exports(folder: Path) -> set[str]:
    """The files in a folder; where none are weights, those in its folder of exports too."""
    names = _names(folder)
    if not any(map(_is_weights, names)) and (folder / ONNX).is_dir():
        names |= {f"{ONNX}/{name}" for name in _names(folder / ONNX)}
    return names


def _no_config(folder: Path) -> AttnvizError:
    names = _names(folder)
    if holds_adapter(names):
        return AttnvizError(f"{folder} holds an adapter without its {ADAPTER}", MERGE)
    models = sorted(name for name in names if name.endswith(_suffixes(whole_formats())))
    return AttnvizError(
        f"{folder} is not a checkpoint: it has no {CONFIG}",
        f"name the file: {folder / models[0]}"
        if models
        else f"name the folder that holds {CONFIG} and {WEIGHTS}; "
        "attnviz models FOLDER looks below it",
    )


def _no_weights(names: Collection[str], where: str, config: Mapping[str, Any]) -> AttnvizError:
    name = min(filter(_is_weights, names), default="")
    if not name:
        return AttnvizError(f"{where} has no {WEIGHTS}", "name the folder that holds the weights")
    if name.endswith(_suffixes(whole_formats())):
        return AttnvizError(f"{where} has no {WEIGHTS}", f"name the file: {label(name)}")
    what, hint = OTHERS.get(Path(name).suffix, PICKLED)
    return AttnvizError(
        f"{where} has its weights in {label(name)} only, {what}", hint.format(_class(config))
    )


def _class(config: Mapping[str, Any]) -> str:
    """The class of transformers that a checkpoint is of."""
    kinds = config.get("architectures") or ["AutoModel"]
    return label(kinds[0]) if isinstance(kinds, list) and isinstance(kinds[0], str) else "AutoModel"


def _is_weights(name: str) -> bool:
    suffixes = _suffixes((*weight_formats(), *whole_formats()))
    return name.endswith((*suffixes, *OTHERS)) or bool(PICKLE.fullmatch(name))


def _suffixes(formats: Iterable[ModuleType]) -> tuple[str, ...]:
    return tuple(each.SUFFIX for each in formats)
