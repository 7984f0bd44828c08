"""A dump of several layers."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.layers import first_that_differs
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
