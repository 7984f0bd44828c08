"""Copies of a checkpoint with something changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from attnviz.archive.safetensors import DTYPES
from attnviz.models.build.families.marian import halved_sinusoidal

FAMILIES = Path(__file__).parents[3] / "golden" / "families"

Stored = tuple[str, np.ndarray]
"""The name of a number format in a safetensors header, and its bits."""


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """config and tensors"""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config, load_file(folder / "model.safetensors")


def write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint of float32, or of whatever numbers the tensors have."""
    formats = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}
    stored = {name: (formats[array.dtype], array) for name, array in tensors.items()}
    return write_stored(folder, config, stored)


def write_stored(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Stored]) -> Path:
    """A checkpoint whose tensors may be of formats that NumPy does not have."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    header, start = {}, 0
    for name, (format, array) in tensors.items():
        end = start + array.nbytes
        header[name] = {"dtype": format, "shape": array.shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(np.ascontiguousarray(array).tobytes() for _, array in tensors.values())
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return folder


def with_config(folder: Path, config: Mapping[str, Any], original: Path) -> Path:
    """The weights of `original` with another config."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weights = folder / "model.safetensors"
    if not weights.exists():
        weights.write_bytes((original / "model.safetensors").read_bytes())
    return folder


def of_class(folder: Path, name: str, head: Mapping[str, Any]) -> Path:
    """A golden's weights under the names that a class of transformers has, with random ones for the
    rest; `head` is an entry of heads.json."""
    config, tensors = read(FAMILIES / head["variant"])
    config |= head["config"] | {"architectures": [name]}
    before, after = head["prefix"]
    renamed = {
        (after if key.startswith(before) else "") + key.removeprefix(before): tensor
        for key, tensor in tensors.items()
    }
    generator = np.random.default_rng(1)
    extra = {
        key: generator.standard_normal(shape).astype(np.float32)
        for key, shape in head["extra"].items()
    }
    for key, table in extra.items():
        if key.endswith("embed_positions.weight"):  # of Marian: what it would compute
            extra[key] = halved_sinusoidal(np.arange(len(table)), table.shape[1]).astype("f4")
    there = {key: tensor for key, tensor in renamed.items() if key not in head["lacks"]}
    return write(folder, config, there | extra)
