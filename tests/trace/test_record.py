"""Records and traces: read-only data, looked up by id, that says what was not kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId, Site
from attnviz.trace.record import ModelFacts, Record, Trace


def test_records_are_read_only(whole):
    for array in (*whole.arrays().values(), *whole.hidden_states["encoder"]):
        if array is not whole.logits and array.base is not None:
            assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        whole["encoder.0.self"].weights[...] = 0


def test_lookup(whole):
    assert whole["decoder.1.cross"].keys == "source"
    assert len(whole) == len(list(whole)) == 6
    with pytest.raises(AttnvizError, match=r"no record 'encoder\.9\.self'"):
        whole["encoder.9.self"]


class TestOneHead:
    """`trace["L1.H3"]`: one head, as a record with n_head = 1."""

    def test_every_stage_is_that_head_s(self, whole):
        record, head = whole["decoder.1.cross"], whole["decoder.1.cross.H3"]
        assert (head.id, head.n_head, head.n_kv_head) == ("decoder.1.cross", 1, 1)
        assert head.kept().keys() == record.kept().keys()
        for stage in ("q", "scores", "logits", "weights", "context"):
            np.testing.assert_array_equal(head.stage(stage)[0], record.stage(stage)[3])
        for stage in ("k", "v"):  # four heads share two of keys and values
            assert len(record.stage(stage)) == 2
            np.testing.assert_array_equal(head.stage(stage)[0], record.stage(stage)[1])
        np.testing.assert_array_equal(head.mask, record.mask)
        assert not head.weights.flags.writeable

    def test_it_is_what_attention_of_it_alone_gives(self, whole):
        head = whole["encoder.0.self.H1"]
        alone = attnviz.attend(head.q, head.k, head.v, mask=head.mask, softcap=5.0)
        np.testing.assert_allclose(alone.context, head.context, rtol=1e-5, atol=1e-6)

    def test_masks_and_biases_of_each_head(self):
        arrays = np.arange(24.0).reshape(2, 3, 4)
        site = Site(RecordId("encoder", 0, "self"), "x", "x", 2, 2, ("custom",))
        record = Record(site, weights=arrays, mask=arrays > 3, bias=arrays[:1], masked_by=arrays[0])
        head = Trace(ModelFacts("x"), {}, (record,))["L0.H1"]
        np.testing.assert_array_equal(head.mask, arrays[1:] > 3)
        np.testing.assert_array_equal(head.bias, arrays[:1])
        np.testing.assert_array_equal(head.masked_by, arrays[0])

    def test_a_layer_that_is_in_one_record(self):
        trace = attnviz.run("I saw a saw", model="random")
        np.testing.assert_array_equal(trace["L1.H3"].weights[0], trace.records[1].weights[3])
        np.testing.assert_array_equal(trace["l1.h3"].weights, trace["L1.H3"].weights)
        assert trace["L1"] is trace["encoder.1.self"]

    def test_a_layer_that_is_in_several_is_ambiguous(self, whole):
        with pytest.raises(AttnvizError) as error:
            whole["L1.H3"]
        assert error.value.message == (
            "'L1.H3' is in 3 records: encoder.1.self, decoder.1.self, decoder.1.cross"
        )
        assert error.value.hint == "name it in full: encoder.1.self.H3"
        assert whole["encoder.1.self.H3"].n_head == 1

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("L9.H0", "no record 'L9.H0'"),
            ("encoder.1.self.H4", "encoder.1.self: there is no head 4"),
            ("L0-1.H0", "names several records or heads"),
            ("encoder.0.self.H0-1", "names several records or heads"),
            ("encoder.0.self.H0,H1", "names several records or heads"),
            ("H0", "names several records or heads"),
            ("", "no record ''"),
            ("encoder.0", "no record 'encoder.0'"),
            (0, "a record has a name, not 0"),
            (None, "a record has a name, not None"),
        ],
    )
    def test_refusals(self, whole, name, message):
        with pytest.raises(AttnvizError, match=message) as error:
            whole[name]
        assert error.value.hint


def test_a_stage_that_was_not_kept_says_how_to_keep_it():
    record = attnviz.run("I saw", model="random").records[0]
    with pytest.raises(AttnvizError, match="the stage 'q' was not kept") as error:
        record.stage("q")
    assert "--keep q" in error.value.hint
    with pytest.raises(AttnvizError, match="unknown stage: 'weight'"):
        record.stage("weight")


def test_reasons():
    record = attnviz.run("I saw a saw", model="random", mask="causal+window:size=2").records[0]
    assert record.reasons().tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [2, 0, 0, 1], [2, 2, 0, 0]]
    one = attnviz.run("I saw", model="random", mask="causal").records[0]
    assert one.reasons().tolist() == [[0, 1], [0, 0]]
    assert attnviz.run("I saw", model="random").records[0].reasons() is None


def test_replace_makes_a_new_record(whole):
    """Plain data: an analysis that wants another record makes one."""
    other = replace(whole.records[0], weights=None)
    assert whole.records[0].weights is not None
    assert other.weights is None


FACTS = ModelFacts(
    "x",
    "encoder",
    trained=True,
    sha256="53aa",
    n_parameter=7,
    task="tag",
    outputs=("NOUN", "VERB"),
    shape={"family": "bert", "n_layer": 2, "n_head": 3, "changed": {"mask": "causal"}},
    notes=("a note",),
)


class TestModelFacts:
    def test_there_and_back(self):
        assert ModelFacts.from_manifest(FACTS.to_manifest()) == FACTS

    def test_the_order_of_the_keys_is_that_of_the_file(self):
        assert list(FACTS.to_manifest()) == [
            "name", "kind", "trained", "sha256", "n_parameter", "task", "outputs",
            "family", "n_layer", "n_head", "changed", "notes",
        ]  # fmt: skip

    def test_what_is_not_known_is_left_out(self):
        manifest = ModelFacts("w.npy", "array").to_manifest()
        assert manifest == {"name": "w.npy", "kind": "array", "trained": None, "sha256": None}
        assert ModelFacts.from_manifest({}) == ModelFacts("")

    def test_unknown_keys_come_back(self):
        facts = ModelFacts.from_manifest({"name": "x", "kind": "decoder", "new": [1]})
        assert facts.shape == {"new": [1]}
        assert facts.to_manifest()["new"] == [1]

    @pytest.mark.parametrize(
        ("manifest", "named"),
        [([], "'model'"), ({"notes": 3}, "'model.notes'"), ({"config": []}, "'model.config'"),
         ({"n_head": "4"}, "'model.n_head'"), ({"n_parameter": 1.5}, "'model.n_parameter'")],
    )  # fmt: skip
    def test_a_wrong_type_is_named(self, manifest, named):
        with pytest.raises(TypeError, match=named):
            ModelFacts.from_manifest(manifest)

    def test_what_the_screen_asks(self):
        assert (FACTS.family, FACTS.changed) == ("bert", {"mask": "causal"})
        assert FACTS.has_attention
        assert not FACTS.is_array
        assert not ModelFacts("x", shape={"n_head": 0}).has_attention
        assert ModelFacts("x", shape={"family": "attnviz"}).family == ""
        assert FACTS.with_notes("one more").notes == ("a note", "one more")
