"""Roles: rules that an even spread never meets, and short input neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz.analysis.distributions import spread_evenly
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import MARGIN, MIN_ROWS, ROLES, Broad, Role, doubts, roles
from attnviz.nn.masks import parse
from attnviz.nn.site import RecordId, Site
from attnviz.tokens import Tokens
from attnviz.trace.record import ModelFacts, Record, Trace


def trace(*weights, mask=None, tokens=None, special=()):
    n = len(weights[0])
    array = np.array(weights, np.float64)
    rules = parse(mask or "none")
    site = Site(RecordId("decoder", 0, "self"), "x", "x", len(array), len(array), rules.names)
    record = Record(site, weights=array, mask=rules.visible(np.arange(n), np.arange(n)))
    names = tokens or [f"t{i}" for i in range(n)]
    ids = [names.index(name) for name in names]
    return Trace(ModelFacts("made"), {"x": Tokens.of(names, ids, special=special)}, (record,))


def named(*weights, **about):
    return roles(measure_heads(trace(*weights, **about)))


def at(n, *columns):
    """One-hot rows."""
    return np.eye(n)[list(columns)]


N = 16


def test_each_role():
    before, after = [0, *range(N - 1)], [*range(1, N), N - 1]
    places = range(N)
    found = named(
        at(N, *before),
        at(N, *after),
        at(N, *places),
        at(N, *[0] * N),
        at(N, *[9] * N),
        np.full((N, N), 1 / N),
        at(N, *[max(i - 3, 0) for i in places]),
    )
    assert found == ["previous-token", "next-token", "self", "sink", "other sink", "broad", "mixed"]
    three_back = at(N, *[max(i - 1, 0) if i < 2 else i - 2 for i in places])
    assert named(three_back, mask="causal") == ["positional"]
    tokens = [*"abcdefg", ";", ",", *"ijklmn", "."]
    marks = [[7, 8, 15][i % 3] for i in places]
    assert named(at(N, *marks), tokens=tokens) == ["punctuation"]
    assert named(at(N, *marks), tokens=tokens, special=[7, 8, 15]) == ["special-token"]


def test_induction_and_duplicates_need_repeats_at_several_distances():
    tokens = [*"abcdabcdefaef"]
    n = len(tokens)
    earlier = [max((j for j in range(i) if tokens[j] == tokens[i]), default=None) for i in range(n)]
    behind = at(n, *[0 if j is None else j + 1 for j in earlier])
    copies = at(n, *[0 if j is None else j for j in earlier])
    table = measure_heads(trace(behind, copies, mask="causal", tokens=tokens))
    assert roles(table) == ["induction", "duplicate-token"]
    assert doubts(table) == []


def test_one_period_is_doubted():
    """A head at a fixed offset passes for induction where all repeats are equally far."""
    tokens = [*"abcd" * 4]
    offset = at(N, *[max(i - 3, 0) for i in range(N)])
    table = measure_heads(trace(offset, mask="causal", tokens=tokens))
    assert roles(table) == ["induction"]
    (doubt,) = doubts(table)
    assert "every 4 tokens" in doubt
    copies = at(N, *[max(i - 4, 0) for i in range(N)])
    table = measure_heads(trace(copies, mask="causal", tokens=tokens))
    assert roles(table) == ["duplicate-token"]
    assert doubts(table)[0].startswith("duplicate-token: ")


@pytest.mark.parametrize("mask", [None, "causal", "causal+window:size=3", "window:size=2"])
@pytest.mark.parametrize("n", range(1, 12))
def test_an_even_spread_is_nothing_but_broad(n, mask):
    visible = parse(mask or "none").visible(np.arange(n), np.arange(n))
    even = spread_evenly(np.ones((n, n), bool) if visible is None else visible)
    for tokens in (None, ["a"] * n, [*"a,b,c,d,e,f,g"][:n]):
        for special in ((), (0,), (0, n - 1)):
            assert set(named(even, mask=mask, tokens=tokens, special=special)) <= {"mixed", "broad"}
    if n < 8:
        assert named(even, mask=mask) == ["mixed"]


@pytest.mark.parametrize("n", range(1, 5))
def test_few_queries_are_no_ground_for_a_name(n):
    before = at(n, *[max(i - 1, 0) for i in range(n)])
    assert named(before, at(n, *[0] * n), mask="causal") == ["mixed", "mixed"]


@pytest.mark.parametrize("causal", [False, True], ids=["every key", "causal"])
@pytest.mark.parametrize("n", range(2, 25))
def test_chance_on_a_short_text_has_no_name(generator, n, causal):
    """Of heads whose queries look at one key each, drawn at random, hardly any has a role."""
    n_head = 400
    places = np.array([generator.integers(0, i + 1 if causal else n, n_head) for i in range(n)]).T
    found = named(*(at(n, *row) for row in places), mask="causal" if causal else None)
    assert sum(name != "mixed" for name in found) <= 0.08 * n_head


def test_the_more_queries_the_less_a_role_needs():
    """A head with a weight of 0.6 on the token before: enough among 16 queries, not among 5."""
    for n, name in ((N, "previous-token"), (5, "mixed")):
        weights = 0.6 * at(n, *[max(i - 1, 0) for i in range(n)]) + 0.4 / n
        assert named(weights) == [name]


def table(**values):
    """One head with these values, and nulls of 0."""
    none = {name: np.array([np.nan]) for name in METRICS}
    value = none | {name: np.array([x]) for name, x in values.items()}
    return HeadTable((RecordId("encoder", 0, "self"),), np.array([0]), value, {name: np.array([0.0]) for name in METRICS},
                     {name: np.array([MIN_ROWS]) for name in METRICS})  # fmt: skip


@pytest.mark.parametrize("role", [r for r in ROLES if isinstance(r, Role)], ids=lambda r: r.name)
def test_every_rule_at_its_threshold(role):
    meets = table(**{role.metric: role.minimum})
    assert roles(meets) == [role.name]
    assert roles(table(**{role.metric: np.nextafter(role.minimum, 0)})) == ["mixed"]
    for null in (role.minimum, role.minimum - MARGIN + 0.01):
        close = replace(meets, null={**meets.null, role.metric: np.array([null])})
        assert roles(close) == ["mixed"]
    few = replace(meets, rows={**meets.rows, role.metric: np.array([MIN_ROWS - 1])})
    assert roles(few) == ["mixed"]
    assert f"{role.metric} ≥ {role.minimum:g}" in role.rule


def test_broad_needs_keys_to_spread_over():
    broad = table(normalised_entropy=0.95)
    assert roles(broad) == ["mixed"]
    wide = replace(broad, null={**broad.null, "effective_tokens": np.array([Broad().tokens])})
    assert roles(wide) == ["broad"]
