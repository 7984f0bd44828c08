"""A manifest and named arrays, as `.npz`, `.safetensors` or `.json`, and back.

The three hold the same content. Nothing is ever unpickled, and JSON never holds NaN or Infinity:
such numbers are `null` there, and the key `non_finite` says which are not simply masked.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from attnviz.archive.values import Manifest, json_text, read_json
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, file_size, shortened
from attnviz.nn.types import Array
from attnviz.parse import parse_json

PLAIN = "save plain arrays of numbers: np.savez(path, weights=np.asarray(weights))"

INSTEAD = {
    b"version https://git-lfs": ("a Git LFS pointer, which stands for the file", "git lfs pull"),
    b"<": ("a web page", "download the file itself, not the page that describes it"),
    b"PK\x03\x04": ("a zip archive", "np.savez writes those, as .npz"),
    b"\x93NUMPY": ("one array, as np.save writes it", "give it a name that ends in .npy"),
    b"\x80": ("a pickle, which is never loaded", PLAIN),
    b"GGUF": ("a GGUF file", "attnviz run TEXT -m FILE.gguf"),
    b"\x89HDF": ("an HDF5 file", PLAIN),
}
"""The first bytes of files that have another format than their name says -> (what it is, hint)."""

OWN = {".npz": b"PK\x03\x04", ".npy": b"\x93NUMPY"}
"""Those that are right behind such a name."""


LARGE = 1 << 28
"""Files of so many bytes are mapped rather than read where that is enough."""

Reader = Callable[[Path], tuple[Manifest | None, dict[str, Array]]]


class Stored(NamedTuple):
    """The arrays of a file as they stand in it."""

    arrays: dict[str, Array]
    bfloat16: frozenset[str] = frozenset()
    """The names of those that are the bits of bfloat16."""
    manifest: Manifest | None = None
    """None of files that have none."""


def write(file: BinaryIO, suffix: str, manifest: Manifest, arrays: Mapping[str, Array]) -> None:
    """Write in the format of `suffix`; the same content gives the same bytes."""
    if suffix == ".npz":
        named: dict[str, Any] = {"manifest": np.array(json.dumps(manifest)), **arrays}
        np.savez(file, allow_pickle=False, **named)
    elif suffix == ".safetensors":
        from safetensors.numpy import save

        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        file.write(save(contiguous, {"manifest": json.dumps(manifest)}))
    elif suffix == ".json":
        for piece in json_text(manifest, arrays):
            file.write(piece.encode())
        file.write(b"\n")
    else:
        raise AttnvizError(f"unknown data format {suffix!r}", f"known: {', '.join(DATA_FORMATS)}")


def read(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    """The manifest, None if the file has none, and the arrays of any file of these formats.

    A bare `.npy` gives one array, named by the file.
    """
    reader = _known(path, READERS)
    file_size(path)
    with _explained(path):
        manifest, arrays = reader(path)
        return manifest, {name: _portable(path, name, each) for name, each in arrays.items()}


def read_stored(path: Path) -> Stored:
    """The arrays of a file as they stand in it: the large ones stay there, in a map of the file,
    until they are looked at, and bfloat16 keeps its bits.

    Raises:
        AttnvizError: it cannot be read, or a compressed archive takes more memory than there is.
    """
    reader = _known(path, READERS)
    size = file_size(path)
    with _explained(path):
        if path.suffix.lower() == ".safetensors":
            from attnviz.archive.safetensors import map_tensors

            tensors, bfloat16, metadata = map_tensors(path)
            return Stored(tensors, bfloat16, _manifest_of(metadata))
        if size < LARGE:
            manifest, arrays = reader(path)
            named = {name: _portable(path, name, x) for name, x in arrays.items()}
            return Stored(named, manifest=manifest)
        from attnviz.archive.npy import map_npy, map_npz

        suffix = path.suffix.lower()
        if suffix == ".npy":
            return Stored({path.stem: map_npy(path)})
        manifest, arrays = _without_manifest(map_npz(path)) if suffix == ".npz" else reader(path)
        return Stored(arrays, manifest=manifest)


def _known(path: Path, readers: Mapping[str, Reader]) -> Reader:
    """What reads a file of this name."""
    if not os.path.exists(path):  # which no name is too long for
        raise AttnvizError(
            f"no such file: {shortened(path)}", "attnviz run TEXT -o trace.npz writes one"
        )
    if path.is_dir():
        raise AttnvizError(
            f"{path} is a folder; expected a file of arrays",
            "name a file in it; the attention of a model: attnviz run TEXT -m FOLDER",
        )
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AttnvizError(
            f"{path}: cannot tell the format of {path.suffix or 'a name without suffix'!r}",
            f"known: {', '.join(readers)}; the attention of a model: attnviz run TEXT -m MODEL",
        )
    return reader


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading a file, as an AttnvizError."""
    try:
        yield
    except AttnvizError:
        raise
    except MemoryError as error:
        raise AttnvizError(
            f"{path} takes more memory than there is", "save fewer arrays"
        ) from error
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check who may read it"
        ) from error
    except Exception as error:  # readers fail in as many ways as files can be broken
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> AttnvizError:
    """What is wrong with a file of arrays, or what it is instead."""
    from attnviz.archive.npy import PickledError
    from attnviz.archive.safetensors import DTYPES, UnknownDtype

    if isinstance(error, PickledError):
        return AttnvizError(f"{path} holds pickled Python objects, which are never loaded", PLAIN)
    if isinstance(error, UnknownDtype):
        return AttnvizError(f"{path}: {error}", f"save it in one of {', '.join(DTYPES)}")
    with path.open("rb") as file:
        head = file.read(64)
    for start, (kind, hint) in INSTEAD.items():
        if head.startswith(start) and OWN.get(path.suffix.lower()) != start:
            return AttnvizError(f"{path} is not a {path.suffix} file, but {kind}", hint)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return AttnvizError(
        f"{path} is damaged or not a {path.suffix} file: {reason}", "write the file again"
    )


def _read_npz(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    from attnviz.archive.npy import read_npz

    return _without_manifest(read_npz(path))


def _without_manifest(arrays: dict[str, Array]) -> tuple[Manifest | None, dict[str, Array]]:
    text = arrays.pop("manifest", None)
    if text is None or text.dtype.kind != "U" or text.ndim:
        return None, arrays if text is None else {**arrays, "manifest": text}
    return _manifest(str(text)), arrays


def _read_npy(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    from attnviz.archive.npy import read_npy

    return None, {path.stem: read_npy(path)}


def _read_safetensors(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    from attnviz.archive.safetensors import read_tensors

    arrays, metadata = read_tensors(path)
    return _manifest_of(metadata), arrays


def _manifest_of(metadata: Mapping[str, str]) -> Manifest | None:
    text = metadata.get("manifest")
    return None if text is None else _manifest(text)


def _portable(path: Path, name: str, array: Array) -> Array:
    """An array of any machine as all of this program computes with it: extended precision becomes
    float64, signalling NaN, which NumPy would warn of at every step, a quiet one."""
    if array.dtype.kind != "f":
        return array
    if array.dtype.itemsize > 8:
        with np.errstate(all="ignore"):
            narrow = array.astype(np.float64)
        lost = np.isfinite(array) & ~np.isfinite(narrow)
        if lost.any():
            raise AttnvizError(
                f"{path}: {name} holds numbers beyond the range of float64, in {int(lost.sum())} "
                f"of {lost.size} places; the first is {list(map(int, np.argwhere(lost)[0]))}",
                "attention weights lie between 0 and 1: check what wrote them",
            )
        array = narrow
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    bad = np.isnan(native)
    return np.where(bad, native.dtype.type(np.nan), native) if bad.any() else native


READERS: dict[str, Reader] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
    ".json": read_json,
}


def _manifest(text: str) -> Manifest:
    manifest = parse_json(text.encode("utf-8", "surrogatepass"))
    if not isinstance(manifest, dict):
        raise ValueError("the manifest is not a JSON object")
    return manifest


__all__ = ["READERS", "Manifest", "Stored", "json_text", "read", "read_stored", "write"]
