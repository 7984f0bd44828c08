"""A manifest and named arrays, as `.npz`, `.safetensors` or `.json`, and back.

The three hold the same content. Nothing is ever unpickled, and JSON never holds NaN or Infinity:
such numbers are `null` there, and the key `non_finite` says which are not simply masked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.nn.types import Array

Manifest = dict[str, Any]


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


def json_text(manifest: Manifest, arrays: Mapping[str, Array]) -> Iterator[str]:
    """One JSON object on one line: the manifest's keys, `dtypes`, `non_finite`, `arrays`."""
    extra = {
        "dtypes": {name: _dtype_name(array) for name, array in arrays.items()},
        "non_finite": {
            name: cells for name, array in arrays.items() if (cells := _non_finite(name, array))
        },
    }
    text = json.dumps({**manifest, **extra}, allow_nan=False)
    yield text[:-1] + ', "arrays": {'
    for position, (name, array) in enumerate(arrays.items()):
        comma = ", " if position else ""
        yield f"{comma}{json.dumps(name)}: {json.dumps(_nested(array), allow_nan=False)}"
    yield "}}"


def read(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    """The manifest, None if the file has none, and the arrays of any file of these formats.

    A bare `.npy` gives one array, named by the file.
    """
    if not path.exists():
        raise AttnvizError(f"no such file: {path}", "attnviz run TEXT -o trace.npz writes one")
    if path.is_dir():
        raise AttnvizError(
            f"{path} is a folder; expected a file of arrays",
            "name a file in it; the attention of a model: attnviz run TEXT -m FOLDER",
        )
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise AttnvizError(
            f"{path}: cannot tell the format of {path.suffix or 'a name without suffix'!r}",
            f"known: {', '.join(READERS)}; the attention of a model: attnviz run TEXT -m MODEL",
        )
    try:
        manifest, arrays = reader(path)
        return manifest, {name: _portable(path, name, each) for name, each in arrays.items()}
    except AttnvizError:
        raise
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check who may read it"
        ) from error
    except Exception as error:  # readers fail in as many ways as files can be broken
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in reason or "Object arrays" in reason:
            raise AttnvizError(
                f"{path} holds pickled Python objects, which are never loaded",
                "save plain arrays of numbers: np.savez(path, weights=np.asarray(weights))",
            ) from error
        raise AttnvizError(
            f"{path} is damaged or not a {path.suffix} file: {reason}", "write the file again"
        ) from error


def _read_npz(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    _check_magic(path, b"PK")
    # NumPy leaves a file open that turns out not to be one of its own
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} is not an array")
    text = arrays.pop("manifest", None)
    if text is None or text.dtype.kind != "U" or text.ndim:
        return None, arrays if text is None else {**arrays, "manifest": text}
    return _manifest(str(text)), arrays


def _read_npy(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    _check_magic(path, b"\x93NUMPY")
    return None, {path.stem: np.load(path, allow_pickle=False)}


def _check_magic(path: Path, magic: bytes) -> None:
    """NumPy takes whatever begins otherwise for a pickle, and says so."""
    with path.open("rb") as file:
        if not file.read(len(magic)) == magic:
            raise ValueError(f"it does not begin with {magic!r}")


def _read_safetensors(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get("manifest")
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return (None if text is None else _manifest(text)), arrays


def _read_json(path: Path) -> tuple[Manifest | None, dict[str, Array]]:
    manifest = json.loads(path.read_text("utf-8"))
    if isinstance(manifest, list):
        return None, {path.stem: _numbers(path.stem, manifest, None)}
    if not isinstance(manifest, dict) or not isinstance(manifest.get("arrays"), dict):
        raise ValueError("expected an object with the key `arrays`, or nested lists of numbers")
    arrays = manifest.pop("arrays")
    dtypes = manifest.pop("dtypes", {})
    non_finite = manifest.pop("non_finite", {})
    read = {name: _numbers(name, values, dtypes.get(name)) for name, values in arrays.items()}
    for name, cells in non_finite.items():
        for cell, value in cells:
            read[name][tuple(cell)] = float(value)
    return manifest if "format" in manifest else None, read


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


READERS = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
    ".json": _read_json,
}


def _manifest(text: str) -> Manifest:
    manifest = json.loads(text)
    if not isinstance(manifest, dict):
        raise ValueError("the manifest is not a JSON object")
    return manifest


def _numbers(name: str, values: Any, dtype: str | None) -> Array:
    # null is -inf among logits (a masked cell) and NaN elsewhere, until `non_finite` says more
    missing = -np.inf if name.endswith("/logits") else np.nan
    array = np.array(values, dtype=object)
    array[array == None] = missing  # noqa: E711
    return array.astype(dtype or (np.float64 if array.size else np.float32))


def _nested(array: Array) -> Any:
    if array.dtype.kind != "f":
        return array.tolist()
    # the shortest decimals that give the same float32 back, instead of all digits of a float64
    wide = _double(array) if array.dtype.itemsize >= 8 else _shortest(array)
    if np.isfinite(wide).all():
        return wide.tolist()
    return np.where(np.isfinite(wide), wide, None).tolist()  # type: ignore[call-overload]


def _dtype_name(array: Array) -> str:
    """Of the numbers as they are written: JSON has no extended precision."""
    is_long = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return "float64" if is_long else array.dtype.name


def _double(array: Array) -> Array:
    """As JSON holds numbers: of extended precision, what is beyond float64 is infinite."""
    with np.errstate(all="ignore"):
        return array.astype(np.float64)


def _shortest(array: Array) -> Array:
    return array.astype("U32").astype(np.float64)


def _non_finite(name: str, array: Array) -> list[list[Any]]:
    if array.dtype.kind != "f":
        return []
    array = _double(array) if array.dtype.itemsize > 8 else array
    odd = ~np.isfinite(array)
    if name.endswith("/logits"):
        odd &= ~np.isneginf(array)
    cells = np.argwhere(odd)
    return [[cell.tolist(), str(array[tuple(cell)])] for cell in cells]
