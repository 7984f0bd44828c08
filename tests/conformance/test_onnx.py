"""ONNX's own conformance cases of attention and its parts, at ONNX's own tolerances."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from attnviz.nn.types import Array
from tests.conformance import onnx_adapter

if TYPE_CHECKING:
    from onnx import NodeProto
    from onnx.backend.test.case.test_case import TestCase

onnx = pytest.importorskip("onnx", reason="the conformance cases come with onnx")
suite = pytest.importorskip("onnx.backend.test.case.node")
runner = pytest.importorskip("onnx.backend.test.runner")

Operator = Callable[..., tuple[Array, ...]]


@functools.cache
def cases() -> dict[str, list[TestCase]]:
    """By operator; those that ONNX expands into primitive operators say nothing new."""
    found = defaultdict(list)
    with warnings.catch_warnings():
        # ONNX computes infinities where it makes the cases of other operators
        warnings.filterwarnings(
            "ignore", category=RuntimeWarning, module=r"onnx\.backend\.test\.case\.node\."
        )
        collected = suite.collect_testcases()
    for case in collected:
        if "_expanded" not in case.name:
            found[case.model.graph.node[0].op_type].append(case)
    return found


def each(operator: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases()[operator], ids=lambda case: case.name)


def by_position(names: Sequence[str], arrays: Sequence[Array]) -> list[Array | None]:
    """None where ONNX leaves out an optional input by an empty name."""
    rest = iter(arrays)
    return [next(rest) if name else None for name in names]


def attributes(node: NodeProto) -> dict[str, Any]:
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in values.items()}


def check(case: TestCase, operator: Operator) -> None:
    (node,) = case.model.graph.node
    ((inputs, expected),) = case.data_sets
    results = operator(*by_position(node.input, inputs), **attributes(node))
    wanted = [result for name, result in zip(node.output, results, strict=False) if name]
    # compares number, shapes, types and values; for bfloat16 it widens rtol itself, to 2**-6
    runner.Runner.assert_similar_outputs(expected, wanted, rtol=case.rtol, atol=case.atol)


@each("Attention")
def test_attention(case: TestCase) -> None:
    check(case, onnx_adapter.attention)


@each("RotaryEmbedding")
def test_rotary_embedding(case: TestCase) -> None:
    check(case, onnx_adapter.rotary_embedding)


@each("LayerNormalization")
def test_layer_normalization(case: TestCase) -> None:
    check(case, onnx_adapter.layer_normalization)


@each("RMSNormalization")
def test_rms_normalization(case: TestCase) -> None:
    check(case, onnx_adapter.rms_normalization)


@each("Gelu")
def test_gelu(case: TestCase) -> None:
    check(case, onnx_adapter.gelu)


@each("Softmax")
def test_softmax(case: TestCase) -> None:
    check(case, onnx_adapter.softmax)


def test_no_case_has_dropped_out() -> None:
    counts = {
        "Attention": 93,
        "RotaryEmbedding": 8,
        "LayerNormalization": 19,
        "RMSNormalization": 19,
        "Gelu": 4,
        "Softmax": 7,
    }
    assert {name: len(cases()[name]) for name in counts} == counts
