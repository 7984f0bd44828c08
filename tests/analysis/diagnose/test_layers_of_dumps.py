"""A dump of several layers."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.layers import first_that_differs
from attnviz.errors import AttnvizError
from attnviz.nn.stages import STAGES
from attnviz.trace.dump import read_dumps

B, H, N, D = 2, 3, 11, 7


def folder_of(tmp_path, generator, scales, without=()):
    """As tools write it: one file an array, the heads side by side."""
    for number, scale in enumerate(scales):
        q, k, v = generator.normal(size=(3, B, H, N, D)).astype(np.float32)
        out = attnviz.attend(q, k, v, scale=scale, causal=True).context
        own = tmp_path / f"layers.{number}.self_attn"
        for name, x in {"q_proj": q, "k_proj": k, "v_proj": v, "attn_out": out}.items():
            if name != "attn_out" or number not in without:
                np.save(f"{own}.{name}.npy", x.swapaxes(1, 2).reshape(B, N, -1))
    return read_dumps([tmp_path])


WANTED = Request(n_head=H, causal=True)


def test_the_first_layer_that_differs_is_shown(tmp_path, generator):
    dumps = folder_of(tmp_path, generator, [None] * 3 + [1.0] + [None] * 8)
    assert [dump.layer[1] for dump in dumps] == [str(number) for number in range(12)]
    found = first_that_differs(dumps, WANTED)
    assert found.verdict == "differs"
    assert found.causes[0].id == "S1"
    assert found.case.reading[0].startswith(
        "layers.3.self.attn, the first of 12 layers that differs"
    )


@pytest.mark.parametrize("without", [(), (0, 2)])
def test_layers_that_match(tmp_path, generator, without):
    found = first_that_differs(folder_of(tmp_path, generator, [None] * 4, without), WANTED)
    assert found.verdict == "match"
    n = 4 - len(without)
    assert found.case.reading[0] == f"all {n} layers match; the last is layers.3.self.attn"
    assert ("2 layers have no output" in found.case.reading[1]) == bool(without)


def test_a_trace_says_its_scale_and_cap_itself(tmp_path):
    model = "random:kind=encoder-decoder,kv_heads=2,softcap=5,temperature=2"
    trace = attnviz.run("I saw a saw", target="Ich sah", model=model, stages=STAGES)
    trace.save(tmp_path / "trace.npz")
    dumps = read_dumps([tmp_path / "trace.npz"])
    assert [dump.layer[0] for dump in dumps] == ["encoder"] * 2 + ["decoder"] * 4
    assert first_that_differs(dumps, Request()).verdict == "match"


def test_python_takes_files_or_arrays(tmp_path, generator):
    q, k, v = generator.normal(size=(3, B, H, N, D)).astype(np.float32)
    out = attnviz.attend(q, k, v).context
    np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=out)
    paths = [tmp_path / f"{name}.npy" for name in ("q", "k", "v", "out")]
    for path, x in zip(paths, (q, k, v, out), strict=True):
        np.save(path, x)
    for given in ([tmp_path / "dump.npz"], [str(tmp_path / "dump.npz")], [paths], [q, k, v, out]):
        assert attnviz.diagnose(*given).verdict == "match"
    with pytest.raises(AttnvizError, match="and beside it out"):
        attnviz.diagnose(tmp_path / "dump.npz", out=out)
