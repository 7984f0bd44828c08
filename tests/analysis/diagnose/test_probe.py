"""The probe tells all mistakes apart that can be told apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401  (fills the registry)
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.probe import FEATURES, N_BATCH, USUAL, probe, probe_arrays
from attnviz.analysis.diagnose.registry import MISTAKES

SELF = ("square", "ungrouped", "narrow")
INPUTS = (
    USUAL,
    *((*USUAL, name) for name in FEATURES if name not in USUAL),
    ("causal", "segments"),
    SELF,
    (*SELF, *USUAL),
    (*SELF, "causal"),
    ("square", "narrow"),
)

SAME = {
    ("S1", "S13"),  # no scale, and no scale
    ("S3", "S4"),  # 1/d_k, and 1/√d_k twice
    ("M3", "M5"),  # 0 in place of a score, and a score times 0
    ("M6", "M23"),  # the first text, whose padding another text takes, has none
    ("M12", "M14"),  # NaN where a query sees nothing
    ("O8", "O8"),  # two ways to rotate backwards
}
"""What gives the same numbers on every probe; all else is told apart on one of them."""


def outputs(features):
    """Of the likeliest way of each mistake that changes a number."""
    c = probe(features)
    right = compute(c).context
    found = {}
    with np.errstate(all="ignore"):
        for name, entry in MISTAKES.items():
            variant = next(entry.variants(c), None)
            if variant is None or entry.detect == "equal":
                continue
            out = compute(variant.computation).context
            if out.shape == right.shape and not same(out, right):
                found[name] = out
    return found


def same(a, b):
    return np.allclose(a, b, atol=1e-9, rtol=0, equal_nan=True)


def test_mistakes_that_no_probe_tells_apart_are_the_same():
    together, alike = set(), {}
    for features in INPUTS:
        found = outputs(features)
        for pair in itertools.combinations(found, 2):
            together.add(pair)
            is_same = same(*(found[name] for name in pair))
            alike[pair] = alike.get(pair, True) and is_same
    ids = {tuple(MISTAKES[name].id for name in pair) for pair, is_same in alike.items() if is_same}
    assert ids == SAME
    assert len(together) > 10_000


@pytest.mark.parametrize("features", INPUTS, ids="+".join)
def test_no_query_sees_more_keys_than_its_weights_follow_from(features):
    c = probe(features)
    seen = c.visible()
    n_seen = c.n_k if seen is None else seen.sum(-1).max()
    assert n_seen <= c.v.shape[-1]
    if seen is not None and c.n_k > c.n_q:  # else the padding at the left is all that some see
        assert seen.any(-1).all()


def test_all_sizes_and_their_roots_differ():
    c = probe()
    sizes = [N_BATCH, c.n_head, c.n_kv_head, c.n_q, c.n_k, c.d_k, c.v.shape[-1], c.facts.d_model]
    assert len({*sizes, *np.sqrt(sizes)}) == 2 * len(sizes)
    assert c.d_k % 16
    assert abs(c.v.mean()) > 0.3
    assert c.facts.d_model != c.n_head * c.d_k


def test_texts_are_padded_differently():
    keys = probe(("padding",)).masking.keys
    assert len({tuple(text) for text in keys[:, 0, 0]}) == N_BATCH


def test_the_arrays_are_those_of_the_computation():
    arrays = probe_arrays((*USUAL, "rotary", "bias", "sinks", "softcap", "norm"))
    c = probe((*USUAL, "rotary", "bias", "sinks", "softcap", "norm"))
    for name in ("q", "k", "v", "bias", "sinks"):
        np.testing.assert_array_equal(arrays[name], getattr(c, name).astype(np.float32))
    np.testing.assert_array_equal(arrays["mask"], c.visible())
    np.testing.assert_array_equal(arrays["q_pre"], c.facts.rotary.q.astype(np.float32))
    assert arrays["softcap"] == c.softcap
    assert arrays["d_model"] == c.facts.d_model


def test_the_same_probe_twice():
    one, two = probe_arrays(), probe_arrays()
    assert {name: x.tobytes() for name, x in one.items()} == {
        name: x.tobytes() for name, x in two.items()
    }
