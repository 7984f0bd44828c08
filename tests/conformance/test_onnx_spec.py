"""ONNX's own cases of Attention, read as dumps by `--spec onnx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.specs import conventions, filled
from tests.analysis.diagnose.dumps import dump_of
from tests.conformance.test_onnx import attributes, by_position, cases

if TYPE_CHECKING:
    from onnx.backend.test.case.test_case import TestCase

INPUTS = ("q", "k", "v", "mask", "past_k", "past_v", "k_lengths")
EPS = {"bf16": 2.0**-8, "fp16": 2.0**-11}
"""Of half precision, in which ONNX computes these cases, and float32 is used here."""

OUTPUTS = ("context", "present_k", "present_v", "qk_output")


@pytest.mark.parametrize("case", cases()["Attention"], ids=lambda case: case.name)
def test_attention(case: TestCase) -> None:
    (node,) = case.model.graph.node
    ((inputs, expected),) = case.data_sets
    named = dict(zip(INPUTS, by_position(node.input, inputs), strict=False))
    named |= dict(zip(OUTPUTS, by_position(node.output, expected), strict=False))
    arrays = {role: np.asarray(x) for role, x in named.items() if x is not None}
    made = conventions("onnx", attributes(node))
    read = made.read(dump_of(arrays, {}), filled(Request(conventions=made)))
    assert read
    dtype = next((eps for name, eps in EPS.items() if name in case.name), 0.0)
    atol = case.atol + 4 * dtype
    fitting = []
    for each in read:
        found = compute(each.wanted)
        assert "context" in each.given
        fitting.append(
            all(
                np.allclose(getattr(found, stage), given, case.rtol, atol)
                for stage, given in each.given.items()
            )
        )
    assert any(fitting)
