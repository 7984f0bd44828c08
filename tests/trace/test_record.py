"""Records and traces: read-only data, looked up by id, that says what was not kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.trace.record import ModelFacts


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
