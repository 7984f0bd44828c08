"""What a file is that is not of the format its name promises, by its first bytes."""

from __future__ import annotations

CONVERT = "pickles are never loaded: convert it where PyTorch is installed, with save_pretrained"

KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file", "git lfs pull"),
    (b"PK\x03\x04", "a zip archive, as torch.save writes it", CONVERT),
    (b"\x80", "a pickle", CONVERT),
    (b"\x89HDF", "an HDF5 file, as TensorFlow writes it", "take the safetensors of this model"),
    (b"GGUF", "a GGUF file", "give it a name that ends in .gguf"),
    (b"<", "a web page", "download the file itself, not the page that tells of it"),
    (b"{", "a JSON file", "download the file itself: this may be a server's message"),
)
"""(first bytes, what begins so, hint)"""

N_BYTE = 64
"""How much of a file has to be looked at."""


def what_it_is(head: bytes) -> tuple[str, str] | None:
    """(what a file is that begins so, hint), if that is one of the things often found."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, what, hint in KINDS:
        if text.startswith(magic):
            return what, hint
    return None
