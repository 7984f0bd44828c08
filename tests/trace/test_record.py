"""Records and traces: read-only data, looked up by id, that says what was not kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

import attnviz
from attnviz.errors import AttnvizError


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
