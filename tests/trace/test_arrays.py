"""Anybody's arrays of weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import attnviz
from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.nn.masks import parse
from attnviz.trace.summary import SummaryPlan

N_LAYER, N_BATCH, N_HEAD, N_Q, N_K = 2, 5, 3, 4, 7


@pytest.fixture
def weights(generator):
    """[n_layer, n_batch, n_head, n_q, n_k]"""
    raw = generator.random((N_LAYER, N_BATCH, N_HEAD, N_Q, N_K)).astype(np.float32)
    return raw / raw.sum(-1, keepdims=True)


def saved(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("n_axis", [1, 2, 3, 4])
def test_axes(weights, tmp_path, n_axis):
    array = weights[:, 0]
    while array.ndim > n_axis:
        array = array[0]
    trace = attnviz.load(saved(tmp_path / "w.npy", array))
    assert len(trace) == (N_LAYER if n_axis == 4 else 1)
    first = trace.records[0]
    assert first.weights.shape == (N_HEAD if n_axis > 2 else 1, N_Q if n_axis > 1 else 1, N_K)
    np.testing.assert_array_equal(
        np.squeeze(first.weights), np.squeeze(array[0] if n_axis == 4 else array)
    )


@pytest.mark.parametrize("batch", ["1:3", "0:1"])
def test_batch(weights, tmp_path, batch):
    axis, item = map(int, batch.split(":"))
    trace = attnviz.load(saved(tmp_path / "w.npy", weights), batch=batch)
    expected = weights.take(item, axis)
    np.testing.assert_array_equal(np.stack([r.weights for r in trace]), expected)


def test_a_batch_of_one_needs_no_item(weights, tmp_path):
    trace = attnviz.load(saved(tmp_path / "w.npy", weights[:, :1]), batch=1)
    assert len(trace) == N_LAYER


def test_square_is_self_and_rectangular_is_cross(weights, tmp_path):
    square = attnviz.load(saved(tmp_path / "s.npy", weights[0, 0, :, :, :N_Q]))
    assert [r.id for r in square] == ["array.0.self"]
    cross = attnviz.load(saved(tmp_path / "c.npy", weights[0, 0]))
    assert [r.id for r in cross] == ["array.0.cross"]
    assert (cross.records[0].queries, cross.records[0].keys) == ("queries", "keys")


def test_tokens(weights, tmp_path):
    path = saved(tmp_path / "w.npy", weights[0, 0])
    trace = attnviz.load(path, tokens=list("abcd"), key_tokens=list("ABCDEFG"))
    assert trace.streams["queries"].tokens == tuple("abcd")
    assert trace.streams["keys"].tokens == tuple("ABCDEFG")


def test_npz_and_safetensors_with_a_layer_each(weights, tmp_path):
    layers = {f"layer_{i}": weights[0, i % N_BATCH] for i in (10, 9, 1)}
    np.savez(tmp_path / "w.npz", **layers)
    save_file({k: np.ascontiguousarray(v) for k, v in layers.items()}, tmp_path / "w.safetensors")
    for name in ("w.npz", "w.safetensors"):
        trace = attnviz.load(tmp_path / name)
        for record, number in zip(trace, (1, 9, 10), strict=True):  # not 1, 10, 9
            np.testing.assert_array_equal(record.weights, layers[f"layer_{number}"])


def test_usual_and_given_names(weights, tmp_path):
    np.savez(tmp_path / "w.npz", scores=weights[0, 0] + 1, attentions=weights[0, 1], q=np.ones(3))
    by_name = attnviz.load(tmp_path / "w.npz")
    np.testing.assert_array_equal(by_name.records[0].weights, weights[0, 1])
    given = attnviz.load(tmp_path / "w.npz", array="scores")
    np.testing.assert_array_equal(given.records[0].weights, weights[0, 0] + 1)


def test_plain_json(tmp_path):
    (tmp_path / "w.json").write_text("[[0.25, 0.75], [1, 0]]")
    assert attnviz.load(tmp_path / "w.json").records[0].weights.tolist() == [[[0.25, 0.75], [1, 0]]]


def test_whole_numbers_and_half_precision(tmp_path):
    whole = attnviz.load(saved(tmp_path / "i.npy", np.eye(3, dtype=np.int64)))
    assert whole.records[0].weights.dtype == np.float32
    half = attnviz.load(saved(tmp_path / "h.npy", np.eye(3, dtype=np.float16)))
    assert half.records[0].weights.dtype == np.float16


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({}, "has 5 axes", "--batch"),
        (
            {"batch": "1"},
            "the batch holds 5 items; one is shown at a time",
            "--batch 1:0 to --batch 1:4",
        ),
        ({"batch": "1:9"}, "no item 9", "count from 0"),
        ({"batch": "3"}, "axis 3 .* cannot be the batch", "axes count from 0"),
        ({"batch": "x"}, "cannot read the batch axis", "0:3"),
        ({"batch": "1:0", "tokens": ["a"]}, "4 queries, but 1 tokens", "--tokens"),
        ({"batch": "1:0", "key_tokens": ["a"]}, "7 keys, but 1 tokens", "--key-tokens"),
        ({"array": "x"}, "no array 'x'", "known: w"),
    ],
)
def test_refusals(weights, tmp_path, given, message, hint):
    with pytest.raises(AttnvizError, match=message) as error:
        attnviz.load(saved(tmp_path / "w.npy", weights), **given)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array("text"), "holds <U4; expected numbers"),
        (np.array(["a"]), "expected numbers"),
        (np.ones(()), "expected at least one weight"),
        (np.ones((0, 3)), "expected at least one weight"),
        (np.ones(3, complex), "holds complex128; expected numbers"),
    ],
)
def test_arrays_that_are_no_weights(tmp_path, array, message):
    with pytest.raises(AttnvizError, match=message):
        attnviz.load(saved(tmp_path / "w.npy", array))


def test_layers_of_different_shapes(weights, tmp_path):
    np.savez(tmp_path / "w.npz", a=weights[0, 0], b=weights[0, 0, :, :2])
    with pytest.raises(AttnvizError, match="different shapes"):
        attnviz.load(tmp_path / "w.npz")


def test_several_stacks_are_ambiguous(weights, tmp_path):
    np.savez(tmp_path / "w.npz", a=weights[:, 0], b=weights[:, 1])
    with pytest.raises(AttnvizError, match="holds 2 arrays: a, b"):
        attnviz.load(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["missing.npz", "no_suffix", "w.xyz"])
def test_files_that_are_not_there_or_of_no_known_format(tmp_path, name):
    if name != "missing.npz":
        (tmp_path / name).write_text("x")
    with pytest.raises(AttnvizError, match=r"no such file|cannot tell the format"):
        attnviz.load(tmp_path / name)


def test_a_trace_takes_no_tokens(tmp_path):
    attnviz.run("I saw").save(tmp_path / "t.npz")
    with pytest.raises(AttnvizError, match="is a trace: it has its own tokens"):
        attnviz.load(tmp_path / "t.npz", tokens=["a", "b"])


class TestAsPyTorchGivesThem:
    """`np.savez(file, *attentions)`: an array a layer, [n_batch, n_head, n, n]."""

    @pytest.fixture
    def layers(self, generator):
        """Twelve of one text."""
        raw = generator.random((12, 1, N_HEAD, N_Q, N_Q)).astype(np.float32)
        return raw / raw.sum(-1, keepdims=True)

    @pytest.mark.parametrize("batch", [None, 0, "0", "0:0"])
    def test_one_text(self, layers, tmp_path, batch):
        np.savez(tmp_path / "w.npz", *layers)
        trace = attnviz.load(tmp_path / "w.npz", batch=batch)
        assert [record.id for record in trace] == [f"array.{i}.self" for i in range(12)]
        for record, layer in zip(trace, layers, strict=True):
            np.testing.assert_array_equal(record.weights, layer[0])

    def test_one_of_several_texts(self, weights, tmp_path):
        layers = weights.swapaxes(0, 1)[:, :, :, :, :N_Q]  # five layers, two texts
        np.savez(tmp_path / "w.npz", *layers)
        trace = attnviz.load(tmp_path / "w.npz", batch="0:1")
        np.testing.assert_array_equal(trace.records[3].weights, layers[3, 1])

    def test_several_texts_are_refused_with_a_hint_that_works(self, layers, tmp_path):
        np.savez(tmp_path / "w.npz", *np.repeat(layers, 3, axis=1))
        with pytest.raises(AttnvizError) as error:
            attnviz.load(tmp_path / "w.npz")
        assert "holds 12 arrays: arr_0, arr_1, " in error.value.message
        assert "arr_7 and 4 more; expected of each a layer" in error.value.message
        assert f"got [3, {N_HEAD}, {N_Q}, {N_Q}]" in error.value.message
        assert "--batch 0:0" in error.value.hint
        assert len(attnviz.load(tmp_path / "w.npz", batch="0:0")) == 12

    def test_stacks_are_refused_with_a_batch_too(self, weights, tmp_path):
        np.savez(tmp_path / "w.npz", a=weights, b=weights)
        with pytest.raises(AttnvizError, match=r"holds 2 arrays: a, b; .* got \[2, 3, 4, 7\]"):
            attnviz.load(tmp_path / "w.npz", batch="1:0")
        assert len(attnviz.load(tmp_path / "w.npz", batch="1:0", array="b")) == N_LAYER


class TestNan:
    """It is broken, unless the user says that it stands for masked cells."""

    @pytest.fixture
    def causal(self):
        even = np.tri(4) / np.arange(1, 5)[:, None]
        return np.where(np.tri(4, dtype=bool), even, np.nan)[None]

    def test_masked(self, causal, tmp_path):
        path = saved(tmp_path / "w.npy", causal)
        assert np.isnan(attnviz.load(path).records[0].weights).any()
        assert attnviz.load(path, nan="broken").records[0].mask is None
        (record,) = attnviz.load(path, nan="masked")
        np.testing.assert_array_equal(record.weights, np.nan_to_num(causal))
        np.testing.assert_array_equal(record.mask, np.tri(4, dtype=bool))
        assert record.site.mask == ("nan",)

    def test_each_head_has_its_own(self, causal, tmp_path):
        heads = np.concatenate([causal, np.full((1, 4, 4), 0.25)])
        (record,) = attnviz.load(saved(tmp_path / "w.npy", heads), nan="masked")
        np.testing.assert_array_equal(record.mask, ~np.isnan(heads))

    def test_without_nan_nothing_is_masked(self, weights, tmp_path):
        path = saved(tmp_path / "w.npy", weights[:, 0])
        assert attnviz.load(path, nan="masked").records[0].mask is None

    def test_it_goes_into_a_trace_and_back(self, causal, tmp_path):
        attnviz.load(saved(tmp_path / "w.npy", causal), nan="masked").save(tmp_path / "t.json")
        (record,) = attnviz.load(tmp_path / "t.json")
        assert record.site.mask == ("nan",)
        with pytest.raises(AttnvizError, match="is a trace"):
            attnviz.load(tmp_path / "t.json", nan="masked")

    def test_other_words(self, weights, tmp_path):
        with pytest.raises(AttnvizError, match="nan: unknown value 'mask'") as error:
            attnviz.load(saved(tmp_path / "w.npy", weights[0, 0]), nan="mask")
        assert "masked" in error.value.hint


class TestNumberTypes:
    @pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="no extended precision here")
    def test_extended_precision(self, weights, tmp_path):
        array = weights[0, 0].astype(np.longdouble)
        (record,) = attnviz.load(saved(tmp_path / "w.npy", array))
        assert record.weights.dtype == np.float64
        np.testing.assert_array_equal(record.weights, weights[0, 0])
        array[1, 2, 3] = np.longdouble("1e400")
        with pytest.raises(AttnvizError, match=r"beyond the range of float64, in 1 of 84 places"):
            attnviz.load(saved(tmp_path / "w.npy", array))

    def test_signalling_nan_becomes_quiet(self, tmp_path):
        array = np.full((1, 2, 2), 0x7C01, np.uint16).view(np.float16)
        (record,) = attnviz.load(saved(tmp_path / "w.npy", array))
        record.weights.astype(np.float32)  # would warn, and a warning fails a test
        assert np.isnan(record.weights).all()

    def test_the_other_byte_order(self, weights, tmp_path):
        path = saved(tmp_path / "w.npy", weights[0, 0].astype(">f4"))
        attnviz.load(path).save(tmp_path / "t.safetensors")
        np.testing.assert_array_equal(
            attnviz.load(tmp_path / "t.safetensors").records[0].weights, weights[0, 0]
        )


FORMS = [("npy", "<f4"), ("npy", ">f8"), ("npz", "<f2"), ("npy", "bool"), ("safetensors", "<f4"),
         ("bf16.safetensors", "<f4")]  # fmt: skip


@pytest.mark.parametrize(("suffix", "dtype"), FORMS)
@pytest.mark.parametrize("mask", [None, "causal"])
def test_what_exceeds_the_budget_is_read_a_few_rows_at_a_time(
    generator, tmp_path, monkeypatch, suffix, dtype, mask
):
    monkeypatch.setattr(archive, "LARGE", 1)  # small files are mapped too
    shape = (N_LAYER, N_HEAD, 11, 13)
    numbers = np.round(generator.random(shape) * 8) / 8  # which bfloat16 holds too
    stored = numbers.astype(dtype)
    path = tmp_path / f"w.{suffix}"
    if suffix == "npy":
        np.save(path, stored)
    elif suffix == "npz":
        np.savez(path, weights=stored)
    elif suffix == "safetensors":
        save_file({"weights": stored}, path)
    else:
        path.write_bytes(bfloat16_file(stored))
    plan = SummaryPlan(map_size=5)
    rules = None if mask is None else parse(mask)
    found = attnviz.load(path, mask=rules, memory=100, summaries=lambda streams: plan)
    assert [record.weights for record in found] == [None] * N_LAYER
    whole = stored.astype(np.float64)
    for record, layer in zip(found, whole, strict=True):
        assert (record.site.mask, record.summary.shape) == ((mask,) if mask else (), (11, 13))
        for row, key in np.ndindex(4, 5):
            cells = layer[:, 3 * row : 3 * row + 3, 3 * key : 3 * key + 3]
            np.testing.assert_allclose(record.summary.total[:, row, key], cells.sum((1, 2)))
            np.testing.assert_allclose(record.summary.largest[:, row, key], cells.max((1, 2)))


def test_nan_stands_for_masked_cells_in_a_summary_too(generator, tmp_path):
    weights = generator.random((N_HEAD, 11, 13)).astype(np.float32)
    hidden = generator.random(weights.shape) < 0.3
    path = saved(tmp_path / "w.npy", np.where(hidden, np.nan, weights))
    plan = SummaryPlan(map_size=13)
    (found,) = attnviz.load(path, nan="masked", memory=100, summaries=lambda streams: plan)
    assert found.site.mask == ("nan",)
    np.testing.assert_array_equal(found.summary.total, np.where(hidden, 0, weights))
    np.testing.assert_array_equal(found.summary.visible > 0, ~hidden)


def bfloat16_file(numbers):
    """A safetensors file of one tensor in bfloat16."""
    bits = (numbers.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    entry = {"dtype": "BF16", "shape": numbers.shape, "data_offsets": [0, len(bits)]}
    header = json.dumps({"weights": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bits
