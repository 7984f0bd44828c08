"""Traces go out and come back the same; what is broken is refused with a word."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS
from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace

FORMATS = DATA_FORMATS

SITE = Site(RecordId("array", 0, "self"), "x", "x", n_head=1, n_kv_head=1)

GOLDENS = Path(__file__).parents[1] / "golden" / "traces"
"""Written by attnviz at commit fbabb84: see `make_traces.py` there."""


@pytest.mark.parametrize("suffix", FORMATS)
def test_there_and_back(whole, suffix, tmp_path):
    path = tmp_path / f"trace{suffix}"
    whole.save(path)
    back = attnviz.load(path)
    assert back.manifest() == whole.manifest()
    assert set(back.arrays()) == set(whole.arrays())
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(back.arrays()[name], array, err_msg=name)
        assert back.arrays()[name].dtype == array.dtype, name
    assert [record.site for record in back] == [record.site for record in whole]
    assert len(back.hidden_states["decoder"]) == 3


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.[njs]*")), ids=lambda path: path.name)
def test_what_an_earlier_attnviz_wrote_comes_back_the_same(path, tmp_path):
    """Key by key, in the same order, and array by array."""
    attnviz.load(path).save(tmp_path / path.name)
    (old, old_arrays), (new, new_arrays) = archive.read(path), archive.read(tmp_path / path.name)
    assert old.pop("attnviz")
    assert new.pop("attnviz") == attnviz.__version__
    assert json.dumps(new) == json.dumps(old)
    assert list(new_arrays) == list(old_arrays)
    for name, array in old_arrays.items():
        np.testing.assert_array_equal(new_arrays[name], array, err_msg=name)
        assert new_arrays[name].dtype == array.dtype, name


def test_there_are_traces_of_an_earlier_attnviz():
    assert {path.suffix for path in GOLDENS.iterdir()} >= set(DATA_FORMATS)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_trace_gives_the_same_bytes(whole, suffix, tmp_path):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        whole.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_contract_of_the_npz(whole, tmp_path):
    """Read as anybody would: NumPy, JSON, the names of the contract."""
    whole.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as file:
        manifest = json.loads(str(file["manifest"]))
        shapes = {name: file[name].shape for name in file.files}
        masked, logits = file["decoder.0.self/mask"], file["decoder.0.self/logits"]
        weights = file["decoder.0.self/weights"]
    assert (manifest["format"], manifest["version"]) == ("attnviz-trace", 1)
    assert manifest["streams"]["target"]["tokens"] == ["Ich", "sah"]
    first = manifest["records"][0]
    assert {k: first[k] for k in ("id", "kind", "layer", "n_head", "n_kv_head", "queries", "keys")} == {
        "id": "encoder.0.self", "kind": "self", "layer": 0, "n_head": 4, "n_kv_head": 2,
        "queries": "source", "keys": "source",
    }  # fmt: skip
    assert first["mask"] == "causal+window:size=2"
    assert shapes["encoder.0.self/q"] == (4, 4, 8)
    assert shapes["encoder.0.self/k"] == (2, 4, 8)
    assert shapes["decoder.0.cross/weights"] == (4, 2, 4)
    assert np.isneginf(logits[:, ~masked]).all()
    assert (weights[:, ~masked] == 0).all()


def test_json_holds_null_for_masked_logits_and_never_nan(whole, tmp_path):
    whole.save(tmp_path / "t.json")
    text = (tmp_path / "t.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    content = json.loads(text)
    assert content["arrays"]["decoder.0.self/logits"][0][0][1] is None


def test_nan_survives_json(tmp_path):
    weights = np.array([[[np.nan, 1], [np.inf, -np.inf]]], np.float32)
    record = Record(SITE, weights=weights)
    trace = Trace(ModelFacts("x", "array"), {"x": Tokens.of(["a", "b"])}, (record,))
    trace.save(tmp_path / "t.json")
    json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)
    np.testing.assert_array_equal(attnviz.load(tmp_path / "t.json").records[0].weights, weights)


@given(st.lists(st.text() | st.just("\udc80"), min_size=1, max_size=5))
def test_any_token_survives(tokens):
    record = Record(SITE)
    trace = Trace(ModelFacts("x"), {"x": Tokens.of(tokens)}, (record,))
    for suffix in FORMATS:
        file = io.BytesIO()
        archive.write(file, suffix, trace.manifest(), trace.arrays())
    assert json.loads(json.dumps(trace.manifest()))["streams"]["x"]["tokens"] == tokens


class TestRefusals:
    @pytest.fixture
    def saved(self, tmp_path):
        path = tmp_path / "t.npz"
        attnviz.run("I saw a saw", model="random").save(path)
        return path

    def edited(self, path, change):
        with np.load(path) as file:
            arrays = dict(file)
        manifest = json.loads(str(arrays.pop("manifest")))
        change(manifest, arrays)
        np.savez(path, manifest=np.array(json.dumps(manifest)), **arrays)
        return path

    def refused(self, path, message):
        with pytest.raises(AttnvizError, match=message) as error:
            attnviz.load(path)
        assert str(path) in error.value.message
        assert error.value.hint

    def test_a_newer_version(self, saved):
        self.refused(self.edited(saved, lambda m, a: m.update(version=2)), "trace of version 2")

    def test_another_format(self, saved):
        self.refused(self.edited(saved, lambda m, a: m.update(format="x")), "its format is 'x'")

    def test_unknown_keys_are_ignored(self, saved):
        def add(manifest, arrays):
            manifest["new"] = manifest["records"][0]["new"] = 1
            arrays["encoder.0.self/new"] = np.ones(3)

        assert len(attnviz.load(self.edited(saved, add))) == 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"id": "encoder.0"}, "'encoder.0' is not the id of a record"),
            ({"id": "encoder.1.self"}, "encoder.1.self is not an id of layer 0, 'self'"),
            ({"kind": "cross"}, "encoder.0.self is not an id of layer 0, 'cross'"),
            ({"scale": "x"}, "in the manifest, .* is missing or malformed"),
            ({"queries": None}, "in the manifest, 'queries' is missing or malformed"),
        ],
    )
    def test_a_record_that_contradicts_itself(self, saved, change, message):
        self.refused(self.edited(saved, lambda m, a: m["records"][0].update(change)), message)

    def test_a_model_of_wrong_types(self, saved):
        self.refused(
            self.edited(saved, lambda m, a: m["model"].update(notes=3)), "'model.notes' is missing"
        )

    def test_no_records(self, saved):
        self.refused(
            self.edited(saved, lambda m, a: m.pop("records")), "'records' is missing or malformed"
        )

    def test_a_missing_stream(self, saved):
        self.refused(
            self.edited(saved, lambda m, a: m["streams"].clear()), "reads the stream 'source'"
        )

    @pytest.mark.parametrize("key", ["ids", "segments", "labels", "tags"])
    def test_a_stream_whose_parts_do_not_fit_each_other(self, saved, key):
        value = "x" if key in ("labels", "tags") else 1
        self.refused(
            self.edited(saved, lambda m, a: m["streams"]["source"].update({key: [value] * 3})),
            f"'{key}' is missing or malformed",
        )

    @pytest.mark.parametrize("key", ["tokens", "labels", "tags", "notes"])
    @pytest.mark.parametrize("value", ["abcd", 3, ["a", "b", "c", 1.5], [None] * 4, {"a": "b"}])
    def test_texts_of_other_types(self, saved, key, value):
        self.refused(
            self.edited(saved, lambda m, a: m["streams"]["source"].update({key: value})),
            f"'{key}' is missing or malformed",
        )

    def test_a_command_of_other_types(self, saved):
        for value in ("run", [1], {}):
            self.refused(
                self.edited(saved, lambda m, a, value=value: m.update(command=value)),
                "'command' is missing or malformed",
            )

    def test_shapes_that_do_not_fit_the_tokens(self, saved):
        def cut(manifest, arrays):
            arrays["encoder.0.self/weights"] = np.ones((4, 3, 4))

        self.refused(self.edited(saved, cut), r"shape \[4, 3, 4\]; expected .* \[4, 4, 4\]")

    @pytest.mark.parametrize("keep", [0, 10, 200, 1000])
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_cut_short(self, tmp_path, suffix, keep):
        path = tmp_path / f"t{suffix}"
        attnviz.run("I saw a saw", model="random").save(path)
        path.write_bytes(path.read_bytes()[:keep])
        self.refused(path, "damaged or not a")

    def test_pickles_are_never_loaded(self, tmp_path):
        path = tmp_path / "t.npz"
        np.savez(path, weights=np.array([{"a": 1}], dtype=object))
        self.refused(path, "pickled Python objects, which are never loaded")

    def test_garbage_in_a_zip(self, tmp_path):
        path = tmp_path / "t.npz"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("manifest.npy", b"no array")
        self.refused(path, "damaged or not a")

    def test_saving_under_an_unknown_suffix(self, saved, tmp_path):
        with pytest.raises(AttnvizError, match=r"unknown format '.doc'"):
            attnviz.load(saved).save(tmp_path / "t.doc")


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="no extended precision here")
def test_json_of_extended_precision(tmp_path):
    """JSON has float64 only: what is beyond is infinite, and said to be."""
    weights = np.array([[[0.25, 0.75], [np.longdouble("1e400"), 1e-3]]], np.longdouble)
    site = Site(RecordId("encoder", 0, "self"), "x", "x", 1, 1)
    trace = Trace(ModelFacts("x"), {"x": Tokens.of("ab")}, (Record(site, weights=weights),))
    trace.save(tmp_path / "t.json")
    (record,) = attnviz.load(tmp_path / "t.json")
    assert record.weights.tolist() == [[[0.25, 0.75], [np.inf, 1e-3]]]
