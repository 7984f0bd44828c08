"""What a head looks at: the rule of its role, or what is true of these rows."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.analysis.looks import EVEN, FOCUSED, KEY, SCATTERED, head_looks, looks
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.roles import METRICS_OF_ROLES, UNDEFINED, roles
from attnviz.trace.selection import Head
from tests.analysis.plain_trace import trace_of

NAMES = [*"abcdefghijk"]
N = len(NAMES)


@pytest.fixture(scope="module")
def tagged():
    return attnviz.run("I saw a saw")


def look_of(weights, mask=None):
    trace = trace_of(np.asarray([weights], np.float64), NAMES[: len(weights)], mask)
    head = Head(trace.records[0].id, 0)
    return head_looks(trace, [head])[head]


def at(n, *columns):
    return np.eye(n)[list(columns)]


def test_looks_have_the_roles_of_heads(tagged):
    heads = [Head(record.id, head) for record in tagged for head in range(record.n_head)]
    names = roles(measure_heads(tagged))
    found = head_looks(tagged, heads)
    assert list(found) == heads
    for head, name in zip(heads, names, strict=True):
        assert found[head].is_role == (name not in ("mixed", "undefined")), head
        assert not found[head].is_role or found[head].pattern == name
    assert found[heads[-1]].pattern == "next-token"


def test_a_table_of_everything_gives_the_same(tagged):
    head = Head(tagged.records[1].id, 3)
    assert looks(measure_heads(tagged))[7] == head_looks(tagged, [head])[head]


def test_a_role_says_how_much_and_of_how_many():
    look = look_of(0.9 * at(N, *range(1, N), N - 1) + 0.1 / N)
    assert (look.pattern, look.is_role, look.n_query) == ("next-token", True, N - 1)
    np.testing.assert_allclose([look.share, look.even], [0.9 + 0.1 / N, 1 / N])


def test_too_few_rows_have_the_pattern_but_no_role():
    look = look_of(at(3, 1, 2, 2))
    assert (look.pattern, look.is_role, look.n_query) == ("next-token", False, 2)


def test_a_pattern_of_a_few_rows_is_not_what_a_head_does():
    tokens = [*"abcdefgh", "a", "b"]
    weights = at(10, 3, 3, 3, 3, 7, 7, 5, 5, 1, 2)  # two of ten rows do as induction does
    look = head_looks(trace_of(weights[None], tokens), [Head("encoder.0.self", 0)])
    assert [each.pattern for each in look.values()] != ["induction"]


@pytest.mark.parametrize(
    ("weights", "pattern"),
    [
        (0.4 * at(N, *[4] * N) + 0.6 / N, KEY),
        (np.full((5, 5), 0.2), EVEN),
        (at(N, *[(5 * i + 2) % N for i in range(N)]), FOCUSED),
        ((at(N, *[(5 * i + 2) % N for i in range(N)]) + at(N, *[(3 * i) % N for i in range(N)]))
         / 2, SCATTERED),
        (np.full((5, 5), 0.3), UNDEFINED),
    ],
)  # fmt: skip
def test_without_a_role(weights, pattern):
    look = look_of(weights)
    assert (look.pattern, look.is_role) == (pattern, False)
    if pattern == KEY:
        assert look.position == 4
        np.testing.assert_allclose(look.share, 0.4 + 0.6 / N)


def test_offsets_and_effective_keys():
    causal = np.tri(N, dtype=bool)
    look = look_of(at(N, 0, 0, *range(N - 2)), causal)
    assert (look.pattern, look.offset) == ("positional", -2)
    assert look.keys == pytest.approx(1)
    assert look.max_keys == pytest.approx(np.exp(np.log(np.arange(2, N + 1)).mean()))


def test_only_what_roles_need_is_measured(tagged):
    table = measure_heads(tagged, metrics=METRICS_OF_ROLES)
    assert set(table.value) == set(METRICS_OF_ROLES) < set(METRICS)
