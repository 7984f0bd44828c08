"""Every metric against loops over heads, queries and keys."""

from __future__ import annotations

from math import exp, isnan, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern


class Loops:
    """One head, in plain Python: what the vectors have to agree with."""

    def __init__(self, w, visible, first, ids, special, marks, norms, spans):
        self.spans = spans
        self.w, self.visible, self.first = w, visible, first
        self.ids, self.special, self.marks, self.norms = ids, special, marks, norms
        self.keys = [[j for j, seen in enumerate(row) if seen] for row in visible]
        self.choosing = [i for i, keys in enumerate(self.keys) if len(keys) > 1]
        self.seeing = [i for i, keys in enumerate(self.keys) if keys]

    def mass(self, is_target, rows=None):
        sums = []
        for i in self.choosing if rows is None else rows:
            targets = [j for j in self.keys[i] if is_target(i, j)]
            if targets:
                sums.append(sum(self.w[i][j] for j in targets))
        return mean(sums)

    def column(self, j):
        return mean([self.w[i][j] for i in self.seeing])

    def copies(self, i, j):
        at = i + self.first
        plain = not self.special[j] and not self.special[at]
        return j < at and self.ids[j] == self.ids[at] and plain

    def row_entropy(self, i):
        return -sum(x * log(x) for x in self.w[i] if x > 0)

    def entropy(self):
        return mean([self.row_entropy(i) for i in self.choosing])

    def normalised_entropy(self):
        return mean([self.row_entropy(i) / log(len(self.keys[i])) for i in self.choosing])

    def effective_tokens(self):
        return exp(self.entropy())

    def confidence(self):
        ordinary = [
            [self.w[i][j] for j in self.keys[i] if not self.special[j]] for i in self.choosing
        ]
        return mean([max(weights) for weights in ordinary if weights])

    def mean_distance(self):
        pairs = [(i, j) for i in self.seeing for j in self.keys[i]]
        far = sum(self.w[i][j] * abs(i + self.first - j) for i, j in pairs)
        return far / sum(self.w[i][j] for i, j in pairs) if pairs else float("nan")

    def previous_token(self):
        return self.mass(lambda i, j: j == i + self.first - 1)

    def next_token(self):
        return self.mass(lambda i, j: j == i + self.first + 1)

    def self_token(self):
        return self.mass(lambda i, j: j == i + self.first)

    def diagonality(self):
        near = []
        for i in self.choosing:
            most = max(abs(i + self.first - j) for j in self.keys[i])
            near.append(
                sum(self.w[i][j] * (1 - abs(i + self.first - j) / most) for j in self.keys[i])
            )
        return mean(near)

    def positional(self):
        hits = {}
        for i in self.choosing:
            largest = max(self.w[i])
            best = [j for j in range(len(self.w[i])) if self.w[i][j] == largest]
            for j in best:
                hits[j - i] = hits.get(j - i, 0) + 1 / len(best)
        return max(hits.values()) / len(self.choosing) if hits else float("nan")

    def first_token(self):
        return self.mass(lambda i, j: j == 0, self.seeing)

    def sink_share(self):
        return max(self.column(j) for j in range(len(self.ids)))

    def verticality(self):
        means = [self.column(j) for j in range(len(self.ids))]
        return sum(x * log(x) for x in means if x > 0) if self.seeing else float("nan")

    def learned_sink(self):
        return float("nan")  # these heads have none

    def special_tokens(self):
        return self.mass(lambda i, j: self.special[j])

    def punctuation(self):
        return self.mass(lambda i, j: self.marks[j])

    def system_tokens(self):
        return self.mass(lambda i, j: self.spans["system"][j])

    def user_tokens(self):
        return self.mass(lambda i, j: self.spans["user"][j])

    def assistant_tokens(self):
        return self.mass(lambda i, j: self.spans["assistant"][j])

    def template_tokens(self):
        return self.mass(lambda i, j: self.spans["template"][j])

    def generated_tokens(self):
        return self.mass(lambda i, j: self.spans["generated"][j])

    def lookback_ratio(self):
        ratios = []
        for i, keys in enumerate(self.keys):
            answer = self.spans["answer"]
            old = [self.w[i][j] for j in keys if not answer[j]]
            new = [self.w[i][j] for j in keys if answer[j]]
            if answer[i + self.first] and old and new and sum(old + new):
                ratios.append(mean(old) / (mean(old) + mean(new)))
        return mean(ratios)

    def duplicate_token(self):
        return self.mass(self.copies)

    def follows(self, i, j):
        return 0 < j < i + self.first and self.copies(i, j - 1)

    def induction(self):
        return self.mass(self.follows)

    def prefix_matching(self):
        cells = [self.w[i][j] for i in self.choosing for j in self.keys[i] if self.follows(i, j)]
        return mean(cells)

    def row_norm(self, i):
        return sum(x * norm for x, norm in zip(self.w[i], self.norms, strict=True))

    def value_norm(self):
        return mean([self.row_norm(i) for i in self.choosing])

    def first_token_moved(self):
        rows = [i for i in self.seeing if self.visible[i][0]]
        return mean([self.w[i][0] * self.norms[0] / self.row_norm(i) for i in rows])


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def spans(seed, n_k):
    """Any, as the metrics take them."""
    names = ("system", "user", "assistant", "template", "generated", "answer")
    made = {name: seed.random(n_k) < 0.4 for name in names}
    return {**made, "context": ~made["answer"]}


@st.composite
def patterns(draw):
    """Any mask, lone and empty rows too; few different tokens, so that they come again."""
    n_q, n_k, n_head = draw(st.integers(1, 7)), draw(st.integers(1, 7)), 3
    n_q = min(n_q, n_k)
    seed = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.sampled_from([(n_q, n_k), (n_head, n_q, n_k)]))
    visible = seed.random(shape) < draw(st.sampled_from([0.3, 0.7, 1.0]))
    weights = seed.random((n_head, n_q, n_k)) ** 3 * visible
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    ids = seed.integers(1, 4, n_k)
    special, marks = seed.random(n_k) < 0.3, seed.random(n_k) < 0.3
    context = MetricContext(visible, n_k - n_q, ids, special, marks, spans(seed, n_k))
    return Pattern(context, weights, seed.random((n_head, n_k)) + 0.1)


def loops(pattern, head):
    context, weights = (
        pattern.context,
        np.broadcast_to(pattern.weights, (3, *pattern.weights.shape[1:])),
    )
    visible = np.broadcast_to(context.visible, weights.shape)
    return Loops(weights[head].tolist(), visible[head].tolist(), context.first, context.ids.tolist(),
                 context.special.tolist(), context.punctuation.tolist(), pattern.norms[head].tolist(), context.spans)  # fmt: skip


@pytest.mark.parametrize("name", list(METRICS))
@settings(deadline=None)
@given(pattern=patterns())
def test_every_metric_and_its_null(name, pattern):
    for which in (pattern, pattern.null):
        value, rows = METRICS[name](which)
        for head, found in enumerate(np.broadcast_to(value, 3)):
            expected = getattr(loops(which, head), name)()
            assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert (np.isnan(value) == (np.broadcast_to(rows, value.shape) == 0)).all()


@settings(deadline=None)
@given(pattern=patterns(), shift=st.integers(0, 3))
def test_texts_together_are_as_each_alone(pattern, shift):
    """Leading axes: two texts of one length with tokens of their own."""
    context = pattern.context
    if context.visible.ndim == 3:
        return
    others = np.roll(context.ids, shift), np.roll(context.special, shift)
    marks = context.punctuation
    rolled = {name: np.roll(each, shift) for name, each in context.spans.items()}
    second = Pattern(MetricContext(context.visible, context.first, *others, marks, rolled),
                     pattern.weights[::-1], pattern.norms)  # fmt: skip
    both = Pattern(
        MetricContext(
            context.visible,
            context.first,
            np.stack([context.ids, others[0]]),
            np.stack([context.special, others[1]]),
            np.stack([marks, marks]),
            {name: np.stack([each, rolled[name]]) for name, each in context.spans.items()},
        ),
        np.stack([pattern.weights, second.weights]),
        np.stack([pattern.norms, second.norms]),
    )
    for name, metric in METRICS.items():
        together = metric(both).value
        for number, alone in enumerate((pattern, second)):
            expected = metric(alone).value
            np.testing.assert_allclose(together[number], expected, atol=1e-12, err_msg=name)


@settings(deadline=None)
@given(pattern=patterns())
def test_padding_that_sees_nothing_changes_nothing(pattern):
    """A longer batch: queries and keys that are hidden, whatever their weights."""
    context = pattern.context
    if context.first:
        return
    n = pattern.weights.shape[-1]
    wide = np.pad(pattern.weights, ((0, 0), (0, 2), (0, 2)))
    wide[:, n:, :n] = 0.5
    lead = [(0, 0)] * (context.visible.ndim - 2)
    padded = Pattern(
        MetricContext(
            np.pad(context.visible, [*lead, (0, 2), (0, 2)]),
            0,
            *(np.pad(each, (0, 2)) for each in (context.ids, context.special, context.punctuation)),
            {name: np.pad(each, (0, 2)) for name, each in context.spans.items()},
        ),
        wide,
        np.pad(pattern.norms, ((0, 0), (0, 2))),
    )
    for name, metric in METRICS.items():
        alone, found = metric(pattern).value, metric(padded).value
        np.testing.assert_allclose(found, alone, atol=1e-12, err_msg=name)


def test_a_mask_is_looked_at_once(generator):
    context = MetricContext(np.ones((5, 5), bool), ids=np.arange(5))
    one, two = (Pattern(context, generator.random((2, 5, 5))) for _ in range(2))
    assert one.null is two.null


def test_nothing_is_written_to(generator):
    arrays = [generator.random((3, 5, 5)), generator.random((5, 5)) < 0.8, np.arange(5) % 3,
              generator.random(5) < 0.5, generator.random(5) < 0.5, generator.random((3, 5))]  # fmt: skip
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    weights, visible, ids, special, marks, norms = arrays
    pattern = Pattern(MetricContext(visible, 0, ids, special, marks), weights, norms)
    for metric in METRICS.values():
        metric(pattern), metric(pattern.null)
    for array, old in zip(arrays, before, strict=True):
        assert array.tobytes() == old.tobytes()


def test_half_precision_is_summed_in_double(generator):
    weights = generator.random((2, 40, 40)).astype(np.float16)
    context = MetricContext(np.ones((40, 40), bool))
    for name in ("mean_distance", "previous_token", "entropy"):
        single = METRICS[name](Pattern(context, weights)).value
        double = METRICS[name](Pattern(context, weights.astype(np.float64))).value
        assert not isnan(single[0])
        np.testing.assert_allclose(single, double, rtol=2e-3)
