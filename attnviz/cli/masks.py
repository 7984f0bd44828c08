"""A mask as the command line names it: by its rules, a file, or an array beside the others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnviz.cli.emit import talk
from attnviz.cli.inputs import named_file
from attnviz.errors import AttnvizError
from attnviz.nn.masks import NONE, Mask, as_visible, custom, parse

if TYPE_CHECKING:
    from attnviz.nn.types import Array, Bool

TEXT = (".csv", ".tsv", ".txt")
WORDS = {"true": 1.0, "false": 0.0}


def mask_of(text: str, arrays: Mapping[str, Array] | None = None) -> Mask:
    """`causal`, `window:size=3`, … joined by `+`, `mask.npy`, or the name of one of the arrays.

    Raises:
        AttnvizError: nothing of this name, or numbers that are no mask.
    """
    mask = NONE
    for part in text.split("+"):
        name = part.strip()
        path = array_file(name)
        if name in (arrays or {}):
            values = (arrays or {})[name]
            while values.ndim > 3 and len(values) == 1:
                values = values[0]
            mask += custom(as_visible(f"--mask {name}", values), _rule_name(name))
        elif path is not None:
            mask += custom(read_mask(path, "--mask"), _rule_name(name))
        else:
            mask += parse(name)
    return mask


def named_array(name: str, arrays: Mapping[str, Array]) -> Array | None:
    """The array of this name, or the one array of this file; None if it names neither."""
    if name in arrays:
        return arrays[name]
    path = array_file(name)
    return None if path is None else _array(path, "the file")


def array_file(name: str) -> Path | None:
    """The file that a name stands for, if it is not one of something else."""
    is_file = os.path.isfile(name) or Path(name).suffix.lower() in TEXT
    return named_file(name) or (Path(name) if is_file else None)


def _rule_name(name: str) -> str:
    """A file's name without what joins names, or gives options, in the name of a mask."""
    return Path(name).stem.replace("+", "-").replace(":", "-") or "custom"


def read_mask(path: Path, option: str = "--mask-file") -> Bool:
    """[n_q, n_k] or [n_head, n_q, n_k], True = visible, or what broadcasts to it: booleans, 0 and
    1, or 0 and -inf. How numbers are read is said.

    Raises:
        AttnvizError: no such file, several arrays in it, or one that is no mask.
    """
    values = _numbers(path, option) if path.suffix.lower() in TEXT else _array(path, option)
    while values.ndim > 2 and values.shape[0] == 1:  # a batch of one, and all heads alike
        values = values[0]
    if not 1 <= values.ndim <= 3 or not values.size:
        raise AttnvizError(
            f"{option} {path}: expected the axes [n_q, n_k] or [n_head, n_q, n_k], got the shape "
            f"{list(values.shape)}",
            "a batch of one is left out; for several texts, a file each",
        )
    visible = as_visible(f"{option} {path}", values)
    if values.dtype != bool:
        is_added = not np.array_equal(visible, values == 1)
        read = "0 is visible, -inf is masked" if is_added else "1 is visible, 0 is masked"
        talk(f"{path}: {read}")
    return visible


def _array(path: Path, option: str) -> Array:
    from attnviz import archive

    arrays = list(archive.read(path)[1].values())
    if len(arrays) != 1:
        raise AttnvizError(
            f"{option} {path}: expected one array, got {len(arrays)}", "np.save(path, mask)"
        )
    return arrays[0]


def _numbers(path: Path, option: str) -> Array:
    """A text file with a row of numbers a line."""
    from attnviz.files import read_file
    from attnviz.parse import decoded

    try:
        lines = decoded(read_file(path, "check its name, and who may read it")).splitlines()
    except ValueError as error:
        raise AttnvizError(f"{option} {path}: not UTF-8: {error}", "iconv -t utf-8") from error
    rows = []
    for number, line in enumerate(lines, 1):
        words = [word for word in re.split(r"[\s,;]+", line.lower()) if word]
        try:
            rows.append([WORDS[word] if word in WORDS else float(word) for word in words])
        except ValueError as error:
            raise AttnvizError(
                f"{option} {path}: line {number} is no row of numbers: {line[:40]!r}",
                "write 1 for visible and 0 for masked: 1,0,0",
            ) from error
        if len(rows[-1]) != len(rows[0]):
            raise AttnvizError(
                f"{option} {path}: line {number} has {len(rows[-1])} numbers, the first "
                f"{len(rows[0])}",
                "a row for each query, a number for each key",
            )
    values = np.array(rows, float)
    return (
        values
        if np.isneginf(values).any() or not np.isin(values, (0, 1)).all()
        else values.astype(int)
    )
