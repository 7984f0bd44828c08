"""What a file is by its first bytes, and bytes that are read where they are needed."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.formats.content import N_BYTE, kind_of, map_file


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"PK\x03\x04data", "zip archive"),
        (b"\x80\x04\x95", "pickle"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"GGUF\x03\x00", "GGUF"),
        (b"\xef\xbb\xbf  \n<!DOCTYPE html>", "web page"),
        (b' {"error": 1}', "JSON"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head, kind):
    description, hint = kind_of(head[:N_BYTE])
    assert kind in description
    assert hint


@pytest.mark.parametrize("head", [b"", b"  ", b"\x00\x01", b"PK", b"plain text"])
def test_other_bytes_say_nothing(head):
    assert kind_of(head) is None


def test_bytes_are_mapped(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"some bytes")
    assert bytes(map_file(path)[5:]) == b"bytes"
    path.write_bytes(b"")
    assert map_file(path) == b""


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(AttnvizError, match=f"{tmp_path} is not a file, but a folder"):
        map_file(tmp_path)
    with pytest.raises(AttnvizError, match=r"cannot read .*missing: No such file"):
        map_file(tmp_path / "missing")
