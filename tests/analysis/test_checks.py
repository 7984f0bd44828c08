"""What is said about weights before anybody trusts them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from attnviz import attend
from attnviz.analysis.checks import findings
from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace

N = 6


def texts(weights, tokens=None, dtype=np.float64, score=None, block=None, **stages):
    weights = np.asarray(weights, dtype)
    mask = ("custom",) if "mask" in stages else ()
    block = block or ("array" if score is None else "encoder")
    n_head = len(weights)
    site = Site(RecordId(block, 0, "self"), "x", "x", n_head, n_head, mask, score)
    record = Record(site, weights=weights, **stages)
    words = tokens or [f"w{i}" for i in range(weights.shape[-1])]
    trace = Trace(ModelFacts("x"), {"x": Tokens.of(words)}, (record,))
    return [finding.text for finding in findings(trace)]


def uniform():
    return np.full((2, N, N), 1 / N)


def test_nothing_to_say():
    assert texts(uniform()) == []


def test_nan_is_located():
    weights = uniform()
    weights[1, 2, 3] = np.nan
    weights[0, 5, 0] = np.inf
    (text, *_) = texts(weights)
    assert "NaN or infinity in weights: head 0 row 5 column 0, head 1 row 2 column 3" in text


def test_many_nans_are_counted():
    assert "and 9 more" in texts(np.where(np.arange(N) < 1, np.nan, uniform()))[0]


def test_nan_in_other_stages():
    q = np.ones((2, N, 3))
    q[1, 4, 2] = np.nan
    assert "in q: head 1 position 4 dimension 2" in texts(uniform(), q=q)[0]


def test_minus_infinity_of_masked_logits_is_fine():
    logits = np.where(np.tri(N, dtype=bool), 0.0, -np.inf)[None]
    assert texts(uniform()[:1], logits=logits) == []


def test_rows_that_see_no_key_are_named():
    mask = np.ones((N, N), bool)
    mask[[1, 4]] = False
    weights = np.where(mask, 1 / N, 0)[None]
    assert (
        "queries that see no key, so their weights are zero: 1, 4" in texts(weights, mask=mask)[0]
    )


def test_zero_rows_without_a_mask_are_named():
    weights = uniform()
    weights[1, 3] = 0
    assert "rows whose weights are all zero: head 1 row 3" in texts(weights)[0]


def test_rows_that_do_not_sum_to_one():
    weights = uniform()
    weights[1, 3] *= 1.2
    assert "1 of 12 rows do not sum to 1; head 1 row 3 sums to 1.2" in texts(weights)[0]


@pytest.mark.parametrize(
    ("dtype", "by", "shown"),
    [(np.float64, 1 + 1e-8, "1.00000001"), (np.float32, 1.0003, "1.0003"), (np.float64, 3, "3")],
)
def test_a_sum_that_is_not_one_is_not_written_as_one(dtype, by, shown):
    weights = uniform()
    weights[1, 3] *= by
    (text, *_) = texts(weights.astype(dtype), dtype=dtype)
    assert re.search(rf"head 1 row 3 sums to {re.escape(shown)}\d*$", text), text


class TestNoDistributions:
    """Of what is no distribution no statistics are given, and it is said of which heads."""

    said = "no statistics are given for these heads: L0.H1"

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -0.5, 255.0, np.finfo(float).max])
    def test_heads_are_named(self, wrong):
        weights = uniform()
        weights[1, 3, 2] = wrong
        assert texts(weights)[-1].endswith(self.said)

    @pytest.mark.parametrize("by", [1.005, 0.995])
    def test_rounding_is_none(self, by):
        assert not any("no statistics" in text for text in texts(uniform() * by))

    def test_a_row_that_sees_no_key_is_none(self):
        weights = uniform()
        weights[1, 3] = 0
        assert not any("no statistics" in text for text in texts(weights))

    @pytest.mark.parametrize("scale", [255.0, -1.0, np.nan])
    def test_no_sink_takes_more_than_everything(self, scale):
        weights = np.zeros((2, N, N))
        weights[..., 0] = 1
        weights[1] *= scale
        (sink,) = [text for text in texts(weights) if "sink" in text]
        assert "takes 100% of all weights of the other heads shown" in sink
        assert not any("sink:" in text for text in texts(weights[1:]))


class TestWholeRows:
    """A row that overflowed is named as one, with the reason as far as it is known."""

    def test_of_attention(self):
        q, k = np.full((1, 3, 1), 1e20, np.float32), np.full((1, 3, 1), -1e20, np.float32)
        q[0, 0] = 0
        done = attend(q, k, k, causal=True)
        stages = {"scores": done.scores, "mask": done.mask}
        found = texts(done.weights, dtype=np.float32, score="scaled_dot", **stages)
        assert any(
            "NaN or infinity in weights: head 0 row 1 (all keys), head 0 row 2 (all keys); the "
            "scores of these rows are beyond the range of float32" in text
            for text in found
        )

    def test_without_the_scores(self):
        weights = np.full((1, 3, 3), np.nan, np.float32)
        (text, *_) = texts(weights, dtype=np.float32, block="encoder")
        assert "and 0 more" not in text
        assert text.endswith("row 2 (all keys); scores beyond the range of float32 cause this")

    def test_rows_come_before_cells_and_all_are_counted(self):
        weights = uniform()
        weights[0, 1], weights[0, 4], weights[1, 2, 3], weights[1, 3, 3] = [np.nan] * 4
        (text, *_) = texts(weights)
        assert (
            "head 0 row 1 (all keys), head 0 row 4 (all keys), head 1 row 2 column 3 and 1 more"
            in text
        )

    def test_of_a_plain_file_nan_may_mean_masked(self):
        weights = uniform()
        weights[0, 0, 1] = np.nan
        assert texts(weights)[0].endswith("; if NaN stands for masked cells: --nan masked")


def test_negative_weights():
    weights = uniform()
    weights[0, 0, :2] += [0.5, -0.5]
    assert any("negative weights: are these scores?" in text for text in texts(weights))


@pytest.mark.parametrize(("share", "said"), [(0.83, True), (0.3, False)])
def test_a_sink_is_said(share, said):
    weights = np.full((1, N, N), (1 - share) / (N - 1))
    weights[..., 0] = share
    found = [text for text in texts(weights, ["[CLS]", *"abcde"]) if "sink" in text]
    expected = "sink: the first token ([CLS]) takes 83% of all weights of the heads shown (17% if spread evenly)"
    assert found == ([expected] if said else [])


def test_a_sink_elsewhere():
    weights = np.full((1, N, N), 0.1)
    weights[..., 4] = 0.5
    assert "sink: token 4 (w4) takes 50%" in texts(weights)[0]


def test_a_short_causal_text_is_no_sink():
    """Even spread under a causal mask: the first of 4 tokens gets 52 %, and that is no finding."""
    mask = np.tri(4, dtype=bool)
    weights = (mask / mask.sum(-1, keepdims=True))[None]
    assert weights[..., 0].mean() > 0.5
    assert texts(weights, mask=mask) == []


@pytest.mark.parametrize("cells", [1, 1 << 20], ids=["row by row", "at once"])
def test_weights_that_look_causal_are_held_against_a_causal_mask(monkeypatch, cells):
    """The first of five tokens has 0.46 of an even spread behind a causal mask, not 0.2."""
    monkeypatch.setattr("attnviz.analysis.metrics.pattern.BLOCK_CELLS", cells)
    even = np.tril(np.ones((2, 5, 5)))
    assert texts(even / even.sum(-1, keepdims=True)) == []
    sink = np.zeros((2, 5, 5))
    sink[..., 0] = 1
    (text,) = texts(sink)
    assert "(46% if spread evenly)" in text
