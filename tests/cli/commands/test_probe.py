"""`attnviz probe`: lines to paste, and inputs that tell mistakes apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.snippets import SNIPPETS


@pytest.mark.parametrize("name", SNIPPETS)
def test_lines_are_printed_as_they_are(call, name):
    done = call("probe", name)
    assert (done.code, done.err) == (0, "")
    assert done.out == SNIPPETS[name].code


def test_without_a_name_all_are_listed_and_the_most_common_is_printed(call):
    done = call("probe")
    assert done.code == 0
    assert all(name in done.out for name in SNIPPETS)
    assert done.out.endswith(SNIPPETS["transformers"].code)
    content = json.loads(call("probe", "--json").out)
    assert set(content["snippets"]) == set(SNIPPETS)
    assert content["snippets"]["mlx"]["code"] == SNIPPETS["mlx"].code


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_inputs_are_written_and_their_right_output_matches(call, tmp_path, suffix):
    done = call("probe", "-o", f"probe.{suffix}")
    assert (done.code, done.out) == (0, "")
    assert f"wrote probe.{suffix}" in done.err
    from attnviz import archive

    _, arrays = archive.read(tmp_path / f"probe.{suffix}")
    out = attnviz.attend(arrays["q"], arrays["k"], arrays["v"], mask=arrays["mask"]).context
    np.savez(tmp_path / "dump.npz", **arrays, out=out)
    assert call("diagnose", "dump.npz").code == 0
    wrong = attnviz.attend(arrays["q"], arrays["k"], arrays["v"], mask=arrays["mask"], scale=1.0)
    np.savez(tmp_path / "dump.npz", **arrays, out=wrong.context)
    content = json.loads(call("diagnose", "dump.npz", "--json").out)
    assert content["causes"][0]["id"] == "S1"


def test_features(call, tmp_path):
    assert call("probe", "-o", "probe.npz", "--with", "causal,softcap", "--with", "sinks").code == 0
    arrays = np.load(tmp_path / "probe.npz")
    assert {"softcap", "sinks", "mask"} <= set(arrays)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torch",), "no lines for 'torch'"),
        (("jax", "-o", "x.npz"), "-o writes inputs"),
        (("-o", "x.npz", "--with", "casual"), "did you mean `causal`"),
        (("-o", "x.png"), "inputs are data"),
        (("--with", "causal"), "-o probe.npz"),
    ],
)
def test_errors(call, tmp_path, arguments, message):
    done = call("probe", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert list(tmp_path.iterdir()) == []
