"""JSON and TOML that anybody may have written."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.parse import TOML_BYTES, parse_json, parse_toml, read_toml

JSON = {
    "many digits": (b"[[" + b"9" * 5000 + b"]]", "a whole number of 5000 digits"),
    "too large for a float": (b"[-" + b"9" * 309 + b"]", "a whole number of 309 digits"),
    "deep lists": (b"[" * 100_000, "nested too deeply"),
    "deep objects": (b'{"a":' * 100_000, "nested too deeply"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16, as PowerShell"),
    "not UTF-8": (b'"\xff"', "codec can't decode"),
    "nothing": (b"", "Expecting value"),
}


@pytest.mark.parametrize("case", JSON)
def test_json_that_is_refused(case):
    content, reason = JSON[case]
    with pytest.raises(ValueError, match=reason):
        parse_json(content)


@pytest.mark.parametrize(
    "text", ["9" * 308, '"' + "9" * 400 + '"', "0." + "9" * 400, "1e400", "1e5"]
)
def test_json_that_is_read(text):
    assert parse_json(text.encode()) == json.loads(text)
    assert parse_json(b"\xef\xbb\xbf" + text.encode()) == json.loads(text)


def test_thousands_of_keys_that_appear_twice_take_no_time():
    """The first of them is named, whether it is the first key or the last."""
    keys = [f'"k{i}": 1' for i in range(30_000)]
    for content, first in ((keys + keys, "k0"), (keys + keys[::-1], "k29999")):
        start = time.monotonic()
        with pytest.raises(ValueError, match=f"the key '{first}' appears twice"):
            parse_json(f"{{{', '.join(content)}}}".encode(), unique_keys=True)
        assert time.monotonic() - start < 2


TOML = {
    "many digits": ("a = " + "9" * 5000, "more than 64 bits"),
    "too large for a float": ("a = " + "9" * 400, "a is a whole number of more than 64 bits"),
    "65 bits": ("[a]\nb = [1, [2, 9223372036854775808]]", "a is a whole number of more than 64"),
    "deep lists": ("a = " + "[" * 100_000, "nested too deeply"),
    "deep tables": ("a = " + "{a=" * 100_000, "nested too deeply"),
    "deep lists that end": ("a = " + "[" * 90 + "]" * 90, "nested too deeply"),
    "dotted keys": (".".join("a" * 100_000) + " = 1", "nested too deeply"),
    "spaced keys": (" . ".join(["a-b", "'c d'", '"e"'] * 30_000) + " = 1", "nested too deeply"),
    "a dotted table": ("[" + ".".join("a" * 100_000) + "]", "nested too deeply"),
    "a dotted key inside": ("x = {" + ".".join("a" * 100_000) + " = 1}", "nested too deeply"),
    "UTF-16": (b"\xff\xfea\x00", "UTF-16, as PowerShell"),
    "not UTF-8": (b"a = '\xff'", "codec can't decode"),
    "no TOML": ("a", "Expected '='"),
}


@pytest.mark.parametrize("case", TOML)
def test_toml_that_is_refused(tmp_path, case):
    content, reason = TOML[case]
    (tmp_path / "a.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.monotonic()
    with pytest.raises(AttnvizError, match=f"a.toml is not a TOML file: .*{reason}") as error:
        read_toml(tmp_path / "a.toml", "samples/b.toml")
    assert error.value.hint == "samples/b.toml is one"
    assert time.monotonic() - start < 3


def test_toml_that_is_read():
    assert parse_toml(b"a = [1.5, 2.5]\n[b.c]\nd = -9223372036854775808") == {
        "a": [1.5, 2.5],
        "b": {"c": {"d": -(1 << 63)}},
    }
    assert parse_toml(b"\xef\xbb\xbfa = 'x.y.z'") == {"a": "x.y.z"}


def test_no_person_writes_so_much(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"#" * (TOML_BYTES + 1))
    with pytest.raises(AttnvizError, match="expected at most"):
        read_toml(tmp_path / "a.toml", "b")


@given(st.binary(max_size=60) | st.text(alphabet="a.=[]{}'\"\n1,", max_size=60).map(str.encode))
def test_any_bytes(content):
    for parse in (parse_json, parse_toml):
        with contextlib.suppress(ValueError):
            parse(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("d_model = " + "9" * 30, "d_model is a whole number of more than 64 bits"),
        ("temperature = " + "9" * 400, "temperature is a whole number of more than 64 bits"),
        ("layers = " + "9" * 5000, "it has a whole number of more than 64 bits"),
        ("layers = " + "[" * 9999, "it is nested too deeply"),
    ],
)
def test_on_the_command_line(cli, tmp_path, text, reason):
    (tmp_path / "s.toml").write_text(text)
    for arguments in (("run", "hi", "-m", "s.toml"), ("learn", "s.toml")):
        done = cli(*arguments)
        assert done.returncode == 2
        assert f"error: s.toml is not a TOML file: {reason}" in done.stderr.decode()
