"""Words for pieces: sums over keys, means over queries, by loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attnviz
from attnviz.analysis.words import MERGED, merge_tokens, merge_words
from attnviz.errors import AttnvizError
from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace

WORDS = st.lists(st.integers(1, 4), min_size=1, max_size=5)
"""How many pieces each word has."""


def tokens_of(sizes, **more):
    """Tokens of words of so many pieces."""
    words = [word for word, size in enumerate(sizes) for _ in range(size)]
    names = [f"w{word}" for word in range(len(sizes))]
    return Tokens.of([f"t{i}" for i in range(len(words))], words=words, word_labels=names, **more)


def trace_of(queries, keys, seed=0, n_head=3):
    """Softmax weights under a random mask that leaves every row a key."""
    generator = np.random.default_rng(seed)
    n_q, n_k = len(queries), len(keys)
    mask = generator.random((n_head, n_q, n_k)) < 0.6
    mask[..., 0] = True
    weights = np.where(mask, np.exp(generator.normal(size=mask.shape)), 0)
    weights = (weights / weights.sum(-1, keepdims=True)).astype(np.float32)
    site = Site(
        RecordId("decoder", 0, "cross"), "target", "source", n_head, n_head, ("custom",), scale=0.5
    )
    record = Record(site, weights=weights, mask=mask, scores=weights)
    return Trace(ModelFacts("x"), {"target": queries, "source": keys}, (record,))


@given(WORDS, WORDS, st.integers(0, 9))
def test_against_loops(queries, keys, seed):
    trace = trace_of(tokens_of(queries), tokens_of(keys), seed)
    before, merged = trace.records[0], merge_words(trace).records[0]
    rows, columns = (np.split(np.arange(sum(s)), np.cumsum(s)[:-1]) for s in (queries, keys))
    assert merged.weights.shape == (3, len(queries), len(keys))
    assert merged.weights.dtype == np.float32
    for head in range(3):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                cells = np.ix_([head], row, column)
                expected = np.mean([np.sum(line) for line in before.weights[cells][0]])
                assert merged.weights[head, i, j] == pytest.approx(expected, abs=1e-6)
                assert merged.mask[head, i, j] == before.mask[cells].any()
                if not merged.mask[head, i, j]:
                    assert merged.weights[head, i, j] == 0
    np.testing.assert_allclose(merged.weights.sum(-1), 1, atol=1e-5)


def test_what_else_was_kept_is_left_out():
    trace = trace_of(tokens_of([2]), tokens_of([1, 2]))
    trace = replace(trace, hidden_states={"decoder": [np.zeros((2, 5))]}, logits=np.zeros((2, 7)))
    merged = merge_words(trace)
    assert set(merged.records[0].kept()) == {"weights", "mask"}
    assert (merged.hidden_states, merged.logits) == ({}, None)
    assert merged.records[0].site == replace(trace.records[0].site, merged_words=True)
    assert merged.model.notes == (MERGED,)
    assert not merged.records[0].weights.flags.writeable


def test_a_cell_is_masked_for_the_rule_that_masks_all_of_it():
    tokens = tokens_of([2, 1])
    masked_by = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 0]], np.uint8)
    record = trace_of(tokens, tokens).records[0]
    record = replace(
        record,
        site=replace(record.site, mask=("causal", "padding")),
        mask=masked_by == 0,
        masked_by=masked_by,
    )
    trace = Trace(ModelFacts("x"), {"target": tokens, "source": tokens}, (record,))
    merged = merge_words(trace).records[0]
    assert merged.masked_by.tolist() == [[0, 1], [2, 0]]
    assert merged.reasons().tolist() == [[0, 1], [2, 0]]
    partly = replace(record, masked_by=np.eye(3, dtype=np.uint8), mask=~np.eye(3, dtype=bool))
    merged = merge_words(replace(trace, records=(partly,))).records[0]
    assert merged.masked_by.tolist() == [[0, 0], [0, 1]]


def test_tokens():
    tokens = tokens_of(
        [1, 3, 2], segments=[0, 0, 0, 0, 1, 1], special=[0], unknown=[2, 5], tags="ABCDEF"
    )
    merged = merge_tokens(tokens)
    assert merged.tokens == ("t0", "w1", "w2")
    assert merged.labels == ("w0", "w1", "w2")
    assert merged.ids == (0, -1, -1)
    assert (merged.segments, merged.special, merged.unknown) == ((0, 0, 1), (0,), (1, 2))
    assert merged.tags == ("A", "B", "E")
    assert merged.words == ()
    assert merge_tokens(merged) is merged


def test_streams_without_pieces_stay():
    plain = Tokens.of(["a", "b"])
    merged = merge_words(trace_of(plain, tokens_of([2, 1])))
    assert merged.records[0].weights.shape == (3, 2, 2)
    assert merged.streams["target"] is plain


def test_what_cannot_be_merged():
    with pytest.raises(AttnvizError, match="no pieces to merge"):
        merge_words(attnviz.run("I saw a saw"))
    trace = trace_of(tokens_of([2]), tokens_of([1, 2]))
    with pytest.raises(AttnvizError, match="no pieces to merge"):
        merge_words(merge_words(trace))
    bare = replace(trace, records=(replace(trace.records[0], weights=None),))
    with pytest.raises(AttnvizError, match="'weights' was not kept"):
        merge_words(bare)


@pytest.mark.parametrize("suffix", [".npz", ".json", ".safetensors"])
def test_words_survive_a_file(tmp_path, suffix):
    keys = tokens_of([1, 3], special=[0], labels=["[CLS]", "␣a", "地·1/2", "👍\U0001f3fd"],
                     notes=["␣ is a space"])  # fmt: skip
    trace = trace_of(tokens_of([2, 1]), keys)
    trace.save(tmp_path / f"trace{suffix}")
    again = attnviz.load(tmp_path / f"trace{suffix}")
    assert again.streams == trace.streams
    before, after = merge_words(trace), merge_words(again)
    assert before.streams == after.streams
    np.testing.assert_array_equal(before.records[0].weights, after.records[0].weights)
    after.save(tmp_path / f"merged{suffix}")
    merged = attnviz.load(tmp_path / f"merged{suffix}")
    assert merged.model.notes == (MERGED,)
    assert merged.records[0].site.merged_words


WRONG = {
    "too few": {"words": [0]},
    "a gap": {"words": [0, 2, 2]},
    "backwards": {"words": [1, 0, 0]},
    "no names": {"word_labels": []},
    "too many names": {"word_labels": ["a", "b", "c"]},
    "labels": {"labels": ["a"]},
    "not from 0": {"words": [1, 1, 1]},
}


@pytest.mark.parametrize("name", WRONG)
def test_garbled_words_are_refused(tmp_path, name):
    import json

    tokens = tokens_of([2, 1])
    trace_of(tokens, tokens).save(tmp_path / "trace.json")
    content = json.loads((tmp_path / "trace.json").read_text())
    manifest = content.get("manifest", content)
    manifest["streams"]["source"] |= WRONG[name]
    (tmp_path / "trace.json").write_text(json.dumps(content))
    with pytest.raises(AttnvizError, match="missing or malformed"):
        attnviz.load(tmp_path / "trace.json")
