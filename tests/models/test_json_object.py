"""JSON objects: what json itself reads, and no others."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.models.json_object import parse_object, read_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_was_written_comes_back(value):
    assert parse_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes(content):
    try:
        expected = json.loads(content.decode("utf-8-sig"))
    except ValueError:
        expected = None
    try:
        found = parse_object(content)
    except ValueError:
        found = None
    assert found == (expected if isinstance(expected, dict) else None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' appears twice"),
        (b'{"x": [{"a": 1, "a": 2}]}', "the key 'a' appears twice"),
        (b"[1]", "expected a JSON object"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "codec can't decode"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a whole number of 5000 digits"),
        (b'{"a": 1' + b', "a": 1' * 100_000 + b"}", "the key 'a' appears twice"),
        (
            b'{"' + b'": 1, "'.join(str(n % 50_000).encode() for n in range(90_000)) + b'": 1}',
            "the key '0' appears twice",
        ),
    ],
)
def test_reasons(content, reason):
    with pytest.raises(ValueError, match=reason):
        parse_object(content)


def test_the_file_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(AttnvizError, match=r"cannot read .*a\.json: No such file"):
        read_object(path)
    path.write_bytes(b"[]")
    with pytest.raises(AttnvizError, match=r"a\.json is damaged or not a JSON file") as error:
        read_object(path, "write it again")
    assert error.value.hint == "write it again"


def test_what_stands_there_instead_is_named(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(
        AttnvizError, match=r"config\.json is not a JSON file, but a Git LFS"
    ) as error:
        read_object(path)
    assert error.value.hint == "git lfs pull"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(AttnvizError, match=r"config\.json is not a file"):
        read_object(tmp_path / "config.json")
