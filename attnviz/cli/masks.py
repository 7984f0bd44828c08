"""A mask of the user's own, from a file of any usual kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnviz.cli.emit import talk
from attnviz.errors import AttnvizError
from attnviz.nn.masks import as_visible

if TYPE_CHECKING:
    from attnviz.nn.types import Array, Bool

TEXT = (".csv", ".tsv", ".txt")
WORDS = {"true": 1.0, "false": 0.0}


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
