"""`attnviz encode`: positions and tokens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from attnviz.nn.schemes import SCHEMES


@pytest.mark.parametrize("scheme", [*SCHEMES, "rope:style=interleaved,base=500", "t5:buckets=8"])
def test_every_scheme(call, scheme):
    done = call("encode", "positions", "--scheme", scheme)
    assert (done.code, done.err) == (0, "")
    assert f"{scheme} · positions 0 to 15" in done.out


def test_sinusoidal_in_full(call):
    out = call("encode", "positions").out
    for title in (
        "added to the embeddings",
        "single dimensions",
        "PE(p) · PE(p')",
        "wavelengths",
        "checked",
    ):
        assert title in out
    flat = " ".join(out.split())
    assert "PE(p + k) is PE(p) turned by R(k)" in flat
    assert flat.count(" yes") == 3
    assert " NO" not in flat


def test_a_shift_is_a_rotation_in_numbers(call):
    out = call("encode", "positions").out
    assert "R(3) turns PE(1) into PE(4)" in out
    assert "the first dimensions in numbers" in out
    point = r"\((-?\d\.\d{4}), (-?\d\.\d{4})\)"
    rows = re.findall(rf"{point}\s+{point}\s+{point}", out)
    assert len(rows) == 4
    for row in rows:
        assert row[2:4] == row[4:6]
        assert row[0:2] != row[2:4]


def test_the_numbers(call):
    content = json.loads(call("encode", "positions", "-n", "4", "--d-model", "4", "--json").out)
    np.testing.assert_allclose(content["arrays"]["added"][1], [0.8415, 0.5403, 0.01, 1], atol=5e-5)
    assert all(check["holds"] for check in content["checks"])


def test_chosen_dimensions_and_offset(call):
    out = call("encode", "positions", "--dims", "6,7", "--offset", "100").out
    assert "dimension 6" in out
    assert "dimension 31" not in out
    assert "positions 100 to 115" in out


def test_plot_writes_a_png_here_and_prints_its_path(call, tmp_path):
    done = call("encode", "positions", "--scheme", "rope:base=500", "--plot")
    path = Path(done.out.splitlines()[-1])
    assert path.parent == tmp_path
    assert path.name == "positions-rope-base-500.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_tokens(call):
    out = call("encode", "tokens", "I saw a saw", "-m", "random").out
    assert "vectors · [4, 32]" in out
    assert "similarity (cosine)" in out
    assert "random weights" in out


def test_the_same_word_without_positions(call):
    content = json.loads(
        call("encode", "tokens", "I saw a saw", "--positions", "none", "--json").out
    )
    similarity = np.array(content["arrays"]["similarity"])
    assert similarity[1, 3] == pytest.approx(1)
    with_positions = json.loads(
        call("encode", "tokens", "I saw a saw", "-m", "random", "--json").out
    )["arrays"]["similarity"]
    assert with_positions[1][3] < 0.999


def test_embedded_and_output_differ(call):
    both = [json.loads(call("encode", "tokens", "I saw", "--where", w, "--json").out)["arrays"]["vectors"]
            for w in ("embedded", "output")]  # fmt: skip
    assert both[0] != both[1]


def test_encode_alone_says_what_there_is(call):
    done = call("encode")
    assert "positions" in done.out
    assert "tokens" in done.out
