"""Attention mixes the words, the feed-forward net does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import load_model, run
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import block
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.transformer import Sublayer
from attnviz.views.kinds import Heatmap, Table


@settings(max_examples=15, deadline=None)
@given(
    words=st.lists(st.sampled_from(["I", "saw", "a", "看", "."]), min_size=2, max_size=9),
    place=st.integers(0, 8),
    heads=st.integers(1, 5),
    d_k=st.integers(1, 5),
    inner=st.integers(16, 90),
)
def test_the_claims_hold_for_any_text_and_size(take, words, place, heads, d_k, inner):
    lesson = take(
        "block", text=" ".join(words), word=place % len(words), width=4 * heads * d_k,
        heads=heads, inner=inner,
    )  # fmt: skip
    assert [claim.holds for claim in lesson.claims] == [True] * 4


def states(text, model):
    return run(text, model=model, stages=(), hidden_states=True).hidden_states["encoder"]


def test_changes_are_those_of_two_runs(take):
    (shown,) = (
        v for v in take("block", text="we saw seven", word=2, instead="six").views
        if isinstance(v, Heatmap)
    )  # fmt: skip
    model = load_model("random:layers=1,dtype=float64")
    before, after = (states(text, model) for text in ("we saw seven", "we saw six"))
    for row, layer in ((0, 0), (3, 1)):
        lengths = np.sqrt((before[layer] ** 2).sum(-1))
        changed = np.sqrt(((after[layer] - before[layer]) ** 2).sum(-1)) / lengths
        np.testing.assert_allclose(shown.values[row], changed)
    np.testing.assert_array_equal(shown.values[[0, 2, 4]][:, :2], 0)
    assert (shown.values[[1, 3]] > 0.01).all()


def test_the_steps_by_hand(take):
    (table,) = (v for v in take("block", inner=11).views if isinstance(v, Table))
    model = load_model("random:layers=1,d_ff=11,dtype=float64")
    x, out = states("I saw a saw", model)
    attention, net = (sublayer.f for sublayer in model.transformer.encoder.blocks[0])

    def heads(linear):
        return (x @ linear.weight.T).reshape(4, 4, 8).swapaxes(0, 1)

    q, k, v = map(heads, (attention.query, attention.key, attention.value))
    weights = np.exp(q @ k.mT / np.sqrt(8))
    weights /= weights.sum(-1, keepdims=True)
    f = (weights @ v).swapaxes(0, 1).reshape(4, 32) @ attention.output.weight.T

    def norm(s):
        return (s - s.mean(-1, keepdims=True)) / np.sqrt(s.var(-1, keepdims=True) + 1e-5)

    y = norm(x + f)
    hidden = np.maximum(y @ net.up.weight.T + net.up.bias, 0)
    g = hidden @ net.down.weight.T + net.down.bias
    np.testing.assert_allclose(norm(y + g), out)
    for row, values in zip(table.rows, (x, f, y, hidden, g, norm(y + g)), strict=True):
        assert row[2] == str(list(values.shape))
        assert row[3] == pytest.approx(np.sqrt((values**2).mean()))
    silent = (hidden == 0).mean()
    assert f"self-attention {4 * 32 * 32}, feed-forward {2 * 32 * 11 + 11 + 32}" in table.notes[0]
    assert f"norms {4 * 32}; ReLU sets {silent:.0%}" in table.notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "saw"}, "expected 2 to 14 words, got 1"),
        ({"text": "a " * 15}, "expected 2 to 14 words, got 15"),
        ({"word": 4}, "word: expected 0 to 3, got 4"),
        ({"word": -1}, "word: expected 0 to 3, got -1"),
        ({"instead": "saw"}, "expected one word other than word 1"),
        ({"instead": "two words"}, "expected one word other than word 1"),
        ({"instead": ""}, "no tokens"),
        ({"width": 30}, "split into 4 heads, got 30"),
        ({"inner": 0}, "inner: expected 1 to 1024, got 0"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("block", **options)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_a_feed_forward_net_that_mixes_words_is_noticed(take, monkeypatch):
    right = FeedForward.__call__

    def mixing(self, x, context):
        return right(self, x, context) + 1e-6 * x.mean(0)

    monkeypatch.setattr(FeedForward, "__call__", mixing)
    assert holds(take("block")) == [True, False, False, True]


def test_attention_that_mixes_nothing_is_noticed(take, monkeypatch):
    monkeypatch.setattr(MultiHeadAttention, "__call__", lambda self, x, context: 0.5 * x)
    assert holds(take("block")) == [False, True, True, True]


def test_attention_that_cannot_be_turned_off_is_noticed(take, monkeypatch):
    monkeypatch.setattr(block, "zero", lambda id, attention, heads: attention)
    assert holds(take("block")) == [True, False, True, True]


def test_half_a_residual_is_noticed_and_fails_the_command(monkeypatch, capsysbinary):
    monkeypatch.setattr(
        Sublayer, "__call__", lambda self, x, context: self.after(x / 2 + self.f(x, context))
    )
    assert run_cli(["learn", "block"]) == 1
    table = capsysbinary.readouterr().out.decode().partition("claims, checked")[2]
    assert "NO" in table[table.index("Each sublayer computes") :]


def test_what_to_expect_of_another_word_and_of_a_wider_net(take):
    (heatmap,) = (v for v in take("block", word=3, instead="dog").views if isinstance(v, Heatmap))
    everyone, alone = heatmap.values[1], heatmap.values[2]
    assert everyone.min() > 0.1
    np.testing.assert_allclose(alone[:3], 0, atol=1e-12)
    assert alone[3] > 1
    for inner, n in ((128, 8352), (512, 33312)):
        (table,) = (v for v in take("block", inner=inner).views if isinstance(v, Table))
        assert f"feed-forward {n}," in table.notes[0]
