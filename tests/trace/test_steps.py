"""What `generate(output_attentions=True)` returns, as one trace."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.checks import findings
from attnviz.errors import AttnvizError

N_LAYER, N_HEAD, N_PROMPT, N_STEP = 2, 3, 5, 4
N_TOKEN = N_PROMPT + N_STEP - 1


@pytest.fixture
def whole(generator):
    """[n_layer, n_head, n_token, n_token], causal"""
    raw = np.tril(generator.random((N_LAYER, N_HEAD, N_TOKEN, N_TOKEN)) + 0.1)
    return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)


def parts(whole):
    """step, layer -> [1, n_head, n_row, n_key]"""
    ends = [N_PROMPT + step for step in range(N_STEP)]
    starts = [0, *ends[:-1]]
    return {
        (step, layer): whole[None, layer, :, first:last, :last]
        for step, (first, last) in enumerate(zip(starts, ends, strict=True))
        for layer in range(N_LAYER)
    }


NAMES = {
    "in order": lambda step, layer: f"arr_{step * N_LAYER + layer}",
    "a layer at a time": lambda step, layer: f"arr_{layer * N_STEP + step}",
    "step and layer": lambda step, layer: f"step_{step}_layer_{layer}",
    "layer and step": lambda step, layer: f"Layer{layer}.step{step}",
}


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_steps_are_rows(name, batch, whole, tmp_path):
    named = {NAMES[name](*key): x if batch else x[0] for key, x in parts(whole).items()}
    np.savez(tmp_path / "steps.npz", **named)
    trace = attnviz.load(tmp_path / "steps.npz")
    assert len(trace) == N_LAYER
    for record, expected in zip(trace, whole, strict=True):
        np.testing.assert_array_equal(record.weights, expected)
        assert record.site.mask == ("causal",)
        np.testing.assert_array_equal(record.mask, np.tri(N_TOKEN, dtype=bool))
    assert "4 steps" in " ".join(trace.model.notes)


def test_a_prompt_that_sees_both_sides(whole, tmp_path):
    found = parts(whole)
    found[0, 1] = np.full_like(found[0, 1], 1 / N_PROMPT)
    np.savez(tmp_path / "steps.npz", *found.values())
    first = attnviz.load(tmp_path / "steps.npz").records[0]
    expected = np.tri(N_TOKEN, dtype=bool)
    expected[:N_PROMPT, :N_PROMPT] = True
    np.testing.assert_array_equal(first.mask, expected)
    assert first.site.mask == ("steps",)


def test_an_encoders_keys_stay(generator, tmp_path):
    cross = generator.random((N_LAYER, N_HEAD, N_STEP, 7)).astype(np.float32)
    named = {
        f"step_{step}_layer_{layer}": cross[layer, :, step : step + 1]
        for step in range(N_STEP)
        for layer in range(N_LAYER)
    }
    np.savez(tmp_path / "cross.npz", **named)
    trace = attnviz.load(tmp_path / "cross.npz")
    np.testing.assert_array_equal(np.stack([record.weights for record in trace]), cross)
    assert trace.records[0].site.mask == ()


def test_steps_that_do_not_follow_each_other(whole, tmp_path):
    found = {NAMES["step and layer"](*key): x for key, x in parts(whole).items()}
    del found["step_1_layer_0"]
    np.savez(tmp_path / "steps.npz", **found)
    with pytest.raises(AttnvizError, match="names are those of steps and layers, but the shapes"):
        attnviz.load(tmp_path / "steps.npz")


def test_other_ragged_arrays_are_no_steps(whole, tmp_path):
    np.savez(tmp_path / "w.npz", a=whole[0, :, :5, :5], b=whole[0, :, :3, :3])
    with pytest.raises(AttnvizError, match="different shapes"):
        attnviz.load(tmp_path / "w.npz")


def test_bfloat16_as_numpy_writes_it(whole, tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    narrow = whole[0].astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "w.npy", narrow)
    trace = attnviz.load(tmp_path / "w.npy")
    np.testing.assert_array_equal(trace.records[0].weights, narrow.astype(np.float32))
    assert "bits of bfloat16" in trace.model.notes[0]
    assert not [each for each in findings(trace) if "do not sum to 1" in each.text]
    np.save(tmp_path / "w8.npy", whole[0].astype(ml_dtypes.float8_e4m3fn))
    with pytest.raises(AttnvizError, match="float8 without saying which"):
        attnviz.load(tmp_path / "w8.npy")
