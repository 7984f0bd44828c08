"""What the readers of files of tensors share: the bytes of a file, and a type NumPy lacks."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array


def mapped(path: Path) -> mmap.mmap | bytes:
    """The bytes of a file, read where they are looked at."""
    try:
        if not path.is_file():  # opening a pipe would wait for whoever writes into it
            raise AttnvizError(f"{path} is no file", "name the file of weights")
        with path.open("rb") as file:
            if not path.stat().st_size:
                return b""  # which cannot be mapped
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check who may read it"
        ) from error


def widened(bits: Array) -> Array:
    """bfloat16, given as its bits, as float32, of which it is the upper half."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
