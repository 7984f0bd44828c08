"""What the readers of file formats share: bytes of a file, and what kind of file they suggest."""

from __future__ import annotations

import mmap
from pathlib import Path

from attnviz.errors import AttnvizError
from attnviz.files import file_size

CONVERT = "pickles are never loaded: convert it where PyTorch is installed, with save_pretrained"

KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file", "git lfs pull"),
    (b"PK\x03\x04", "a zip archive, as torch.save writes it", CONVERT),
    (b"\x80", "a pickle", CONVERT),
    (b"\x89HDF", "an HDF5 file, as TensorFlow writes it", "take the safetensors of this model"),
    (b"GGUF", "a GGUF file", "give it a name that ends in .gguf"),
    (b"<", "a web page", "download the file itself, not the page that describes it"),
    (b"{", "a JSON file", "download the file itself: this may be a server's message"),
)
"""(first bytes, what begins with them, hint)"""

N_BYTE = 64
"""How many of the first bytes are needed."""


def kind_of(head: bytes) -> tuple[str, str] | None:
    """(what a file is that begins with `head`, hint), if that is known."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind, hint in KINDS:
        if text.startswith(magic):
            return kind, hint
    return None


def map_file(path: Path) -> mmap.mmap | bytes:
    """The bytes of a file, read from the disk where they are accessed."""
    size = file_size(path, "check its permissions")
    try:
        with path.open("rb") as file:
            if not size:
                return b""  # which cannot be mapped
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise AttnvizError(
            f"cannot read {path}: {error.strerror or error}", "check its permissions"
        ) from error
