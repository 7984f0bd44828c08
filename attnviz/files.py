"""Writing files so that nobody ever finds half of one; reading TOML."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from attnviz.errors import AttnvizError

DATA_FORMATS = (".npz", ".safetensors", ".json")
"""The formats that hold numbers and come back: `attnviz.archive` reads and writes them."""


def check_writable(path: Path) -> None:
    """Raise AttnvizError if `path` clearly cannot be written: better before the work than after."""
    folder = path.parent
    if path.is_dir():
        raise AttnvizError(f"cannot write {path}: it is a folder", "name a file in it")
    if not folder.exists():
        raise AttnvizError(
            f"cannot write {path}: the folder {folder} does not exist", f"mkdir -p {folder}"
        )
    if not folder.is_dir():
        raise AttnvizError(f"cannot write {path}: {folder} is not a folder", "name a folder")
    target = path if path.exists() else folder
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise AttnvizError(
            f"cannot write {path}: no permission to write to {target}", "choose another folder"
        )


def read_toml(path: Path, example: str) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        AttnvizError: it cannot be read or is not TOML; the hint names `example`.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror}", "check its name, and who may read it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AttnvizError(f"{path} is not a TOML file: {error}", f"{example} is one") from error


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` when it is complete, or not at all.

    It is written under a temporary name in the same folder and renamed at the end.
    """
    check_writable(path)
    path = path.resolve()
    if path.exists() and not path.is_file():  # a device or a pipe: renaming would replace it
        with _explained(path), path.open("wb") as file:
            yield file
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _explained(path):
            with temporary.open("xb") as file:
                yield file
            if path.exists():
                temporary.chmod(path.stat().st_mode & 0o7777)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "free some space or write elsewhere; nothing was left behind"
        else:
            hint = "choose another place"
        raise AttnvizError(f"cannot write {path}: {error.strerror or error}", hint) from error
