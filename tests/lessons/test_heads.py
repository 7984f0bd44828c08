"""Several things at once, in one width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz import load_model, run
from attnviz.errors import AttnvizError
from attnviz.lessons import heads
from attnviz.nn.gate import Gate
from attnviz.views.kinds import Curves, Grid, Heatmap, Table

WORDS = st.lists(st.sampled_from(["I", "saw", "a", "wood", "seven"]), min_size=2, max_size=9)


@settings(max_examples=10, deadline=None)
@given(words=WORDS, n_head=st.integers(2, 8), d_k=st.integers(1, 8))
def test_the_claims_hold_for_any_text_and_size(take, words, n_head, d_k):
    width = 2 * n_head * d_k
    lesson = take("heads", text=" ".join(words), width=width, heads=n_head)
    assert [claim.holds for claim in lesson.claims] == [True] * 6


def test_shapes_and_parameters(take):
    lesson = take("heads", text="we saw seven", width=20, heads=5)
    shapes, counts = (view for view in lesson.views if isinstance(view, Table))
    flat, split = "[3, 20]", "[5, 3, 4]"
    assert [row[-1] for row in shapes.rows] == [flat, flat, split, "[5, 3, 3]", split, flat, flat]
    counts_of_16 = next(
        v for v in take("heads", heads=16).views if isinstance(v, Table) and v.columns[0] == "heads"
    )
    assert (16, 2, 4096, 16 * 4) in counts_of_16.rows
    divisors = (1, 2, 4, 5, 10, 20)
    assert counts.rows == tuple((h, 20 // h, 4 * 20 * 20, 3 * h) for h in divisors)


def test_the_trained_layer_is_that_of_a_run(take):
    lesson = take("heads", text="we saw seven big dogs", width=12, heads=6)
    (grid,) = (view for view in lesson.views if isinstance(view, Grid))
    weights = run("we saw seven big dogs", model="tagger")["encoder.1.self"].weights
    for panel, expected in zip(grid.panels[0], weights, strict=True):
        np.testing.assert_array_equal(panel.values, expected)
    assert grid.notes[3].startswith("H3 looks at the next token (9")


def test_one_head_loses_what_the_formula_says(take):
    """Of a share s and t = 1 - s of two independent words, the best linear guess at the first
    leaves t² / (s² + t²) of its variance, and the other way round."""
    (curves,) = (view for view in take("heads").views if isinstance(view, Curves))
    first, second, both, two = (y for _, y in curves.series)
    s, t = curves.x, 1 - curves.x
    np.testing.assert_allclose(first, t**2 / (s**2 + t**2), atol=0.04)
    np.testing.assert_allclose(second, s**2 / (s**2 + t**2), atol=0.04)
    np.testing.assert_allclose(both, 0.5, atol=0.03)
    np.testing.assert_allclose(two, 0, atol=1e-12)


def foretold(text, layer=None, head=None):
    """The share of letters of the second time that `induction` foretells, with the columns of
    W_O that read a head set to 0."""
    model = load_model("induction")
    at = iter(range(99))

    def without(stack, attention):
        if next(at) != layer:
            return attention
        weight = np.array(attention.output.weight)
        d_v = weight.shape[1] // attention.n_head
        weight[:, head * d_v : (head + 1) * d_v] = 0
        return attention._replace(output=attention.output._replace(weight=weight))

    model = model._replace(transformer=model.transformer.change_attention(without))
    trace = run(f"{text} {text}", model=model, logits=True, fingerprint=False)
    ids, n = trace.streams["source"].ids, len(text.replace(" ", ""))
    hits = [trace.logits[i].argmax() == ids[i + 1] for i in range(1 + n, 2 * n)]
    return sum(hits) / (n - 1)


def test_ablation_is_the_model_without_a_part_of_its_output_matrix(take):
    text = "the cat saw a big dog"
    shown = [view for view in take("heads", text=text).views if isinstance(view, Heatmap)][-1]
    expected = [[foretold(text, layer, head) for head in range(4)] for layer in range(2)]
    np.testing.assert_allclose(shown.values, expected)
    assert foretold(text) > shown.values[0, 2] + 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ""}, "no tokens"),
        ({"text": "a"}, "expected 2 to 100 letters, got 1"),
        ({"text": "a " * 17}, "expected 1 to 16 words, got 17"),
        ({"text": "a" * 101}, "expected 2 to 100 letters, got 101"),
        ({"width": 30}, "split into 4 heads, got 30"),
        ({"width": 9, "heads": 3}, "expected an even number"),
        ({"width": 258}, "width: expected 2 to 256, got 258"),
        ({"heads": 1}, "heads: expected 2 to 32, got 1"),
    ],
)
def test_what_cannot_be_shown(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("heads", **options)


def holds(lesson):
    return [claim.holds for claim in lesson.claims]


def test_a_merge_that_mixes_up_heads_and_words_is_noticed(take, monkeypatch):
    monkeypatch.setattr(heads, "merge_heads", lambda x: x.reshape(x.shape[-2], -1))
    assert holds(take("heads"))[2:] == [False, True, True, True]


def test_heads_of_full_width_are_noticed(take, monkeypatch):
    right = heads.load_model

    def wide(name):
        return right(f"{name},d_k=32" if name.startswith("random") else name)

    monkeypatch.setattr(heads, "load_model", wide)
    assert holds(take("heads"))[2:] == [True, False, True, True]


def test_a_head_that_reads_anothers_rows_is_noticed(take, monkeypatch):
    right = heads._parts
    monkeypatch.setattr(heads, "_parts", lambda asked: 1.01 * right(asked))
    assert holds(take("heads"))[2:] == [True, True, False, False]


def test_a_gate_that_lets_something_through_is_noticed(take, monkeypatch):
    right = Gate.__call__
    monkeypatch.setattr(
        Gate, "__call__", lambda self, x: right(Gate(np.maximum(self.opening, 0.001)), x)
    )
    assert holds(take("heads"))[2:] == [True, True, True, False]


def test_a_head_of_full_width_that_loses_nothing_is_noticed(take, monkeypatch):
    right = heads._blend
    monkeypatch.setattr(heads, "_blend", lambda: right()._replace(first=np.zeros(21)))
    assert holds(take("heads")) == [False, True, True, True, True, True]


def test_two_heads_that_are_one_are_noticed(take, monkeypatch):
    monkeypatch.setattr(heads, "split_heads", lambda x, n: np.stack([x[:, :8]] * n))
    assert not heads._blend_claim(heads._blend()).holds


def test_a_layer_whose_heads_look_at_one_place_is_noticed(take, monkeypatch):
    right = heads._trained_layer

    def alike(text):
        trace = right(text)
        weights = trace[heads.LAYER].stage("weights")[[3, 3, 3, 3]]
        return replace(trace, records=(replace(trace[heads.LAYER], weights=weights),))

    monkeypatch.setattr(heads, "_trained_layer", alike)
    assert holds(take("heads"))[:2] == [True, False]
