"""Older checkpoints and half precision compute what the goldens' own files do."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models import load_model
from tests.models.build.families import checkpoints, goldens
from tests.models.build.families.spellings import old_config, old_tensors


def everything(variant, folder, cases=None):
    """Every number of the cases, by default of all, by case, row and record."""
    found = {}
    model = load_model(folder)
    for case in cases or goldens.cases(variant).values():
        for row in range(case.n_row):
            trace = goldens.run(case, row, model)
            found |= {(case.name, row, record.id): record.weights for record in trace}
            for stack, states in trace.hidden_states.items():
                found[case.name, row, stack] = np.stack(states)
            if goldens.has_head(variant):
                found[case.name, row, "logits"] = trace.logits
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=str(key))


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_old_spellings(variant, tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    old = old_config(config)
    assert old != config
    folder = checkpoints.write(tmp_path / variant, old, old_tensors(config, tensors))
    assert_same(everything(variant, folder), everything(variant, goldens.FAMILIES / variant))


def to_half(array):
    return array.astype(np.float16)


def to_brain(array):
    """The upper half of each float32, rounded to even."""
    bits = array.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_brain(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


HALVES = {
    "F16": (to_half, lambda array: array.astype(np.float32)),
    "BF16": (to_brain, from_brain),
}


@pytest.mark.parametrize("format", HALVES)
@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_half_precision(variant, format, tmp_path):
    """Weights of half precision count as the float32 numbers that they are; all of them do in any
    text."""
    narrow, widen = HALVES[format]
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    halves = {name: narrow(tensor) for name, tensor in tensors.items()}
    half = checkpoints.write_stored(
        tmp_path / "half",
        config | {"dtype": {"F16": "float16", "BF16": "bfloat16"}[format]},
        {name: (format, array) for name, array in halves.items()},
    )
    full = checkpoints.write(
        tmp_path / "full", config, {name: widen(array) for name, array in halves.items()}
    )
    cases = [goldens.longest(variant)]
    assert_same(everything(variant, half, cases), everything(variant, full, cases))
