"""Writing files so that nobody ever finds half of one; reading files, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from attnviz.errors import AttnvizError

DATA_FORMATS = (".npz", ".safetensors", ".json")
"""The formats that hold numbers and come back: `attnviz.archive` reads and writes them."""

MAX_BYTES = 1 << 28
"""How large a file of text may be that is read at once: vocabularies have up to some 50 MB."""

NAME_LENGTH = 24
"""Characters of a file's name in the name under which it is written."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def file_size(path: Path, hint: str = "check its name, and who may read it") -> int:
    """The number of bytes in a file. Reading what is not one might wait or never end.

    Raises:
        AttnvizError: there is no such file, or it is a folder, a pipe or a device.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise AttnvizError(f"cannot read {shortened(path)}: {_reason(error)}", hint) from error
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        instead = "name a file in it" if kind == "a folder" else "save its content to a file"
        raise AttnvizError(f"{path} is not a file, but {kind}", instead)
    return status.st_size


def read_file(
    path: Path,
    hint: str = "check its name, and who may read it",
    maximum: int = MAX_BYTES,
) -> bytes:
    """The content of a file of at most `maximum` bytes.

    Raises:
        AttnvizError: there is no such file, it is something else, it is too large, or it cannot
            be read.
    """
    size = file_size(path, hint)
    if size > maximum:
        raise AttnvizError(
            f"{path} has {size:,} bytes; expected at most {maximum:,}", "is it the right file?"
        )
    try:
        with path.open("rb") as file:
            content = file.read(size + 1)
    except OSError as error:
        raise AttnvizError(f"cannot read {path}: {_reason(error)}", hint) from error
    if len(content) > size:  # files of the system say that they have 0 bytes
        raise AttnvizError(
            f"{path} has more bytes than its size says", "save its content to a file"
        )
    return content


def check_writable(path: Path) -> None:
    """Raise AttnvizError if `path` clearly cannot be written: better before the work than after."""
    try:
        end = _target(path)
    except (OSError, ValueError) as error:
        raise AttnvizError(
            f"cannot write {shortened(path)}: {_reason(error)}", "choose another name"
        ) from error
    folder = end.parent if path.is_symlink() else path.parent
    if end.is_dir():
        raise AttnvizError(f"cannot write {path}: it is a folder", "name a file in it")
    if not folder.exists():
        raise AttnvizError(
            f"cannot write {path}: the folder {folder} does not exist", f"mkdir -p {folder}"
        )
    if not folder.is_dir():
        raise AttnvizError(f"cannot write {path}: {folder} is not a folder", "name a folder")
    target = path if end.exists() else folder
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise AttnvizError(
            f"cannot write {path}: no permission to write to {target}", "choose another folder"
        )


class WholeFiles:
    """Files that all appear when all are complete, or none of them.

    Each is written under a name of its own in its folder, and renamed at the end of the `with`.
    """

    def __init__(self) -> None:
        self._written: list[tuple[Path, Path]] = []
        """(temporary name, name), in the order of writing."""
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for temporary, path in self._written:
                    with _explained(path):
                        _keep_mode(temporary, path)
                        temporary.replace(path)
        finally:
            for temporary, _path in self._written:
                temporary.unlink(missing_ok=True)
            for folder in self._made if kind is not None else ():
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def make_folder(self, folder: Path) -> None:
        """A folder for files, unless it is there; taken away again if they fail."""
        with _explained(folder):
            if not folder.is_dir():
                folder.mkdir()
                self._made.append(folder)

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """A binary file that will be `path`. A device or a pipe is written to at once."""
        check_writable(path)
        path = _target(path)
        with _explained(path):
            if path.exists() and not path.is_file():  # renaming would replace it
                with path.open("wb") as device:
                    yield device
                return
            temporary, file = _temporary(path)
            try:
                with file:
                    yield file
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._written.append((temporary, path))


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` when it is complete, or not at all."""
    with WholeFiles() as files, files.open(path) as file:
        yield file


def shortened(path: Path) -> str:
    """A path as errors name it: what is too long to be one may also be a whole text."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:60]}… ({len(text)} characters)"


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, under a name that nobody else has, whichever its process is."""
    while True:
        name = f".{path.name[:NAME_LENGTH]}.{os.urandom(8).hex()}.part"
        temporary = path.with_name(name)
        with contextlib.suppress(FileExistsError):
            return temporary, temporary.open("xb")


def _target(path: Path) -> Path:
    """The file itself, at the end of all links.

    Raises:
        OSError: it leads to itself, or no file can have such a name.
    """
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def _keep_mode(temporary: Path, path: Path) -> None:
    """Give the new file the permissions of the old one."""
    with contextlib.suppress(FileNotFoundError):
        temporary.chmod(path.stat().st_mode & 0o7777)


def why_unreachable(name: str | Path) -> str | None:
    """Why nobody can say what there is under a name; None if there is something, or nothing."""
    try:
        os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return "it is a link that leads to itself" if _is_loop(error) else reason


def _is_loop(error: Exception) -> bool:
    return getattr(error, "errno", None) == errno.ELOOP


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
