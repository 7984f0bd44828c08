"""Metrics on matrices worked by hand, and on figures that are published."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics import METRICS, MetricContext, Pattern
from attnviz.analysis.metrics.distance import best_offset, matched
from attnviz.analysis.metrics.keys import sink_position
from attnviz.analysis.metrics.tokens import is_punctuation
from attnviz.analysis.metrics.values import value_norms
from attnviz.nn.masks import parse

N = 10


def mask(name, n=N):
    return parse(name).visible(np.arange(n), np.arange(n))


CAUSAL = mask("causal")
ALL = np.ones((N, N), bool)


def measure(name, weights, visible=ALL, **known):
    """The value of the only head."""
    pattern = Pattern(MetricContext(visible, **known), np.asarray(weights, float)[None])
    (value,) = METRICS[name](pattern).value
    return value


def null(name, visible, **known):
    return METRICS[name](MetricContext(visible, **known).even).value.item()


PREVIOUS, NEXT = np.eye(N, k=-1), np.eye(N, k=1)
PREVIOUS[0, 0] = NEXT[-1, -1] = 1
SINK = np.eye(N)[np.zeros(N, int)]


def test_a_shifted_identity_looks_at_the_previous_token():
    assert measure("previous_token", PREVIOUS) == 1
    assert measure("previous_token", PREVIOUS, CAUSAL) == 1
    assert measure("next_token", NEXT) == 1
    assert measure("self_token", np.eye(N)) == 1
    assert measure("next_token", PREVIOUS) == measure("previous_token", NEXT) == 0
    assert np.isnan(measure("next_token", PREVIOUS, CAUSAL))


def test_detect_head():
    """TransformerLens' "mul": 0.325; without the first token and the query itself 0.842."""
    weights = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.1, 0.15, 0.5, 0.25]])
    visible = mask("causal", 4)
    pattern = Pattern(MetricContext(visible), weights[None])
    template = np.eye(4, k=-1)
    assert matched(pattern, template, visible[None]).value == pytest.approx(0.325)
    counted = visible & ~np.eye(4, dtype=bool)
    counted[:, 0] = False
    assert matched(pattern, template, counted[None]).value == pytest.approx(0.8 / 0.95)


@pytest.mark.parametrize("n", [2, 7, 31])
def test_distance_of_an_even_spread(n):
    assert null("mean_distance", mask("causal", n)) == pytest.approx((n - 1) / 4)
    assert null("mean_distance", np.ones((n, n), bool)) == pytest.approx((n * n - 1) / (3 * n))


@pytest.mark.parametrize(("n", "published"), [(8, 0.34), (10, 0.293), (32, 0.127), (64, 0.074)])
def test_an_even_spread_looks_like_a_sink_on_short_input(n, published):
    assert null("first_token", mask("causal", n)) == pytest.approx(published, abs=6e-4)
    assert null("sink_share", mask("causal", n)) == pytest.approx(published, abs=6e-4)


def test_previous_token_of_an_even_spread():
    assert null("previous_token", mask("causal", 64)) == pytest.approx(0.059, abs=5e-4)
    assert null("previous_token", np.ones((64, 64), bool)) == pytest.approx(1 / 64)


def test_spread():
    even = np.full((128, 128), 1 / 128)
    assert measure("entropy", even, np.ones((128, 128), bool)) == pytest.approx(4.852, abs=5e-4)
    assert null("effective_tokens", np.ones((128, 128), bool)) == pytest.approx(128)
    assert null("normalised_entropy", CAUSAL) == pytest.approx(1)
    assert measure("entropy", SINK) == 0
    assert measure("effective_tokens", SINK) == 1
    halves = np.zeros((N, N))
    halves[:, [2, 5]] = 0.5
    assert measure("entropy", halves) == pytest.approx(np.log(2))
    assert measure("effective_tokens", halves) == pytest.approx(2)
    assert measure("normalised_entropy", halves) == pytest.approx(np.log(2) / np.log(N))
    assert measure("confidence", halves) == pytest.approx(0.5)


def test_confidence_leaves_special_tokens_out():
    weights = np.zeros((N, N))
    weights[:, 0], weights[:, 3] = 0.75, 0.25
    special = np.arange(N) == 0
    assert measure("confidence", weights) == 0.75
    assert measure("confidence", weights, special=special) == 0.25
    assert np.isnan(measure("confidence", weights, special=np.ones(N, bool)))


def test_keys():
    assert measure("first_token", SINK) == measure("sink_share", SINK) == 1
    assert measure("verticality", SINK) == 0
    assert measure("verticality", np.eye(N)) == pytest.approx(-np.log(N))
    last = np.eye(N)[np.full(N, 7)]
    pattern = Pattern(MetricContext(ALL), np.stack([SINK, last, np.eye(N)]))
    assert sink_position(pattern).tolist()[:2] == [0, 7]
    marks = np.arange(N) >= 8
    assert null("special_tokens", ALL, special=marks) == pytest.approx(2 / N)
    assert null("punctuation", ALL, punctuation=marks) == pytest.approx(2 / N)
    assert measure("special_tokens", last, special=np.arange(N) == 7) == 1
    assert np.isnan(measure("special_tokens", last))
    assert np.isnan(measure("punctuation", last, punctuation=np.zeros(N, bool)))


def test_diagonality():
    assert measure("diagonality", np.eye(N)) == 1
    farthest = np.eye(N)[np.where(np.arange(N) < N / 2, N - 1, 0)]
    assert measure("diagonality", farthest) == 0
    assert null("diagonality", CAUSAL) == pytest.approx(0.5)


def test_positional():
    pattern = Pattern(MetricContext(CAUSAL), np.stack([PREVIOUS, np.eye(N), SINK]))
    assert METRICS["positional"](pattern).value.tolist() == pytest.approx([1, 1, 1 / 9])
    assert best_offset(pattern).tolist()[:2] == [-1, 0]
    both = (PREVIOUS + np.eye(N)) / 2  # two largest weights in a row: half a hit each
    assert measure("positional", both, CAUSAL) == pytest.approx(0.5)
    cut = np.zeros((N, N))
    cut[:, 4] = 1
    cut[3:6] = np.eye(N, k=2)[3:6]
    assert measure("positional", cut) == pytest.approx(0.4)  # rows 2 (4 - 2), 3, 4, 5


BLOCK = np.array([9, 4, 5, 6, 4, 5, 6, 4, 5, 6])
"""[BOS] and three times 4 5 6."""


def test_induction_sums_over_all_followers():
    weights = np.eye(N)
    weights[7] = weights[8] = weights[9] = 0
    weights[7, [2, 5]] = 0.25, 0.75  # behind the 4s at 1 and 4
    weights[8, [3, 6]] = 0.5
    weights[9, [4, 7]] = 0.5, 0.5
    special = np.arange(N) == 0
    known = {"ids": BLOCK, "special": special}
    # rows 4 to 9 have an earlier copy; 7, 8, 9 give all to what is behind
    assert measure("induction", weights, CAUSAL, **known) == pytest.approx(3 / 6)
    assert measure("prefix_matching", weights, CAUSAL, **known) == pytest.approx(3 / 9)
    assert measure("duplicate_token", weights, CAUSAL, **known) == 0
    assert MetricContext(CAUSAL, **known).period == 3


def test_prefix_matching_has_a_ceiling_of_a_half():
    """Olsson et al.: a block that comes four times; a perfect head has 75 rows over 150 cells."""
    ids = np.concatenate([[99], np.tile(np.arange(25), 4)])
    context = MetricContext(mask("causal", 101), ids=ids, special=np.arange(101) == 0)
    weights = np.zeros((101, 101))
    weights[:26, 0] = 1
    for row in range(26, 101):
        weights[row, row - 24] = 1
    pattern = Pattern(context, weights[None])
    assert METRICS["induction"](pattern) == (1, 75)
    assert METRICS["prefix_matching"](pattern) == (0.5, 75)
    assert context.followers is not None
    assert context.followers.sum() == 150


def test_copies_of_special_tokens_and_the_query_itself_do_not_count():
    separators = np.array([1, 2, 0, 3, 2, 0])
    special = separators == 0
    context = MetricContext(np.ones((6, 6), bool), ids=separators, special=special)
    assert np.argwhere(context.copies[0]).tolist() == [[4, 1]]
    assert np.argwhere(context.followers[0]).tolist() == [[4, 2]]
    twins = MetricContext(mask("causal", 3), ids=np.array([7, 7, 7]))
    assert np.argwhere(twins.followers[0]).tolist() == [[2, 1]]


def test_cross_attention_has_no_places():
    weights = np.full((3, 5), 0.2)
    visible = np.ones((3, 5), bool)
    for name in ("previous_token", "mean_distance", "diagonality", "positional", "induction"):
        assert np.isnan(measure(name, weights, visible, first=None, ids=np.arange(5)))
    assert measure("first_token", weights, visible, first=None) == pytest.approx(0.2)


def test_one_token_has_no_choice():
    for name in METRICS:
        value = measure(name, [[1.0]], np.ones((1, 1), bool), ids=np.zeros(1, int))
        assert np.isnan(value) or (name, value) in [
            ("first_token", 1),
            ("sink_share", 1),
            ("verticality", 0),
            ("mean_distance", 0),
        ]


def test_broken_weights_give_no_numbers():
    weights = np.full((N, N), 1 / N)
    weights[4, 5] = np.nan
    for name in METRICS:
        assert np.isnan(measure(name, weights, ids=np.zeros(N, int)))


def test_value_norms(generator):
    n_head, n_kv_head, d_v, d_model, n_k = 6, 3, 5, 11, 7
    v = generator.normal(size=(n_kv_head, n_k, d_v))
    output = generator.normal(size=(d_model, n_head * d_v))
    found = value_norms(v, output)
    assert found.shape == (n_head, n_k)
    for head in range(n_head):
        moved = v[head // 2] @ output[:, head * d_v : (head + 1) * d_v].T
        np.testing.assert_allclose(found[head], np.linalg.norm(moved, axis=-1))


def test_a_sink_with_a_short_value_moves_nothing():
    weights = np.full((N, N), 0.1 / (N - 1))
    weights[:, 0] = 0.9
    norms = np.ones((1, N))
    norms[0, 0] = 0
    pattern = Pattern(MetricContext(ALL), weights[None], norms)
    assert METRICS["first_token"](pattern).value == pytest.approx(0.9)
    assert METRICS["first_token_moved"](pattern).value == 0
    assert METRICS["value_norm"](pattern).value == pytest.approx(0.1)
    assert METRICS["value_norm"](pattern.null).value == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("token", "is_one"),
    [(",", True), ("Ġ.", True), ("▁…", True), ("。", True), ("##'", True), ("...", True),
     ("[SEP]", False), ("a.", False), ("#1", False), ("", False), ("▁", False), ("$", False)],
)  # fmt: skip
def test_punctuation(token, is_one):
    assert is_punctuation(token) is is_one
