"""Each wrong norm of q and k against the norm of one vector at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.facts import Facts, Rotary
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.mistakes.norms import recognised
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import (
    arrays,
    attend,
    causal,
    check_gives,
    check_rows,
    random,
    repeated,
    variants,
    wanted,
)
from tests.analysis.diagnose.mistakes.test_positions import rope

NORMS = [name for name in MISTAKES if MISTAKES[name].family == "norm"]
B, H, H_KV, N, D = 2, 6, 3, 7, 10
GAINS = {"q": 1 + 0.3 * random(D, seed=5), "k": 1 + 0.3 * random(D, seed=6)}


def rms(x, gain=1.0, eps=1e-6):
    """Each vector by its own root mean square."""
    out = np.empty_like(x)
    for at in np.ndindex(x.shape[:3]):
        out[at] = x[at] / math.sqrt(sum(x[at] ** 2) / len(x[at]) + eps)
    return out * gain


def layer(x, gain=1.0, eps=1e-6):
    out = np.empty_like(x)
    for at in np.ndindex(x.shape[:3]):
        centred = x[at] - sum(x[at]) / len(x[at])
        out[at] = centred / math.sqrt(sum(centred**2) / len(x[at]) + eps)
    return out * gain


def cosine(x, gain=1.0):
    return x / np.linalg.norm(x, axis=-1, keepdims=True) * gain


def rms_of_all_heads(x, gain=1.0, eps=1e-6):
    """The norm of the projection [b, n, h·d], before it is split."""
    b, h, n, d = x.shape
    merged = x.transpose(0, 2, 1, 3).reshape(b, n, h * d)
    merged = merged / np.sqrt((merged**2).mean(-1, keepdims=True) + eps)
    return merged.reshape(b, n, h, d).transpose(0, 2, 1, 3) * gain


def norm_case(norm=rms, **gains):
    """Causal, with grouped heads; q and k before their norm."""
    gains = {**GAINS, **gains}
    q, k, v = arrays(h=H, h_kv=H_KV, n_q=N, d=D)
    made = computation(
        norm(q, gains["q"]),
        norm(k, gains["k"]),
        v,
        masking=Masking(causal=True),
        facts=Facts(normed_from=(q, k)),
    )
    return made, q, k


def out(c, q, k, v=None):
    v = c.v if v is None else v
    return attend(q, repeated(k, H), repeated(v, H), causal(N, N))


@pytest.mark.parametrize("norm", [rms, layer, cosine, rms_of_all_heads])
def test_the_wanted_norm_is_recognised(norm):
    c, q, k = norm_case(norm)
    for before, after, role in ((q, c.q, "q"), (k, c.k, "k")):
        found = recognised(before, after)
        assert np.allclose(found(before), after, rtol=0, atol=1e-6)
        assert np.allclose(np.ravel(found.gain), GAINS[role], atol=1e-5)


def test_a_gain_for_each_head():
    q, _, _ = arrays(h=H, n_q=N, d=D)
    gain = random(H, 1, D, seed=3)
    found = recognised(q, layer(q) * gain + 0.25)
    assert np.allclose(found.gain[0], gain, atol=1e-4)
    assert np.allclose(found.bias, 0.25, atol=1e-4)


def test_what_is_no_norm_is_not_taken_for_one():
    q, k, _ = arrays()
    assert recognised(q, np.tanh(q) + k) is None


@pytest.mark.parametrize("arrays_", ["q, k", "q", "k"])
def test_left_out(arrays_):
    c, q, k = norm_case()
    expected = out(c, q if "q" in arrays_ else c.q, k if "k" in arrays_ else c.k)
    check_gives("qk_norm_left_out", c, expected, arrays=arrays_)


@pytest.mark.parametrize(
    ("gain", "change"), [("1", lambda w: 1), ("w + 1", lambda w: 1 + w), ("w - 1", lambda w: w - 1)]
)
def test_of_another_gain(gain, change):
    c, q, k = norm_case()
    expected = out(c, rms(q, change(GAINS["q"])), rms(k, change(GAINS["k"])))
    near(c, expected, "qk_norm_of_another_gain", gain=gain, arrays="q, k")


def near(c, expected, name, **parameter):
    """As `check_gives`, but for the gains that were found, and their eps."""
    made = [compute(each.computation).context for each in variants(name, c, **parameter)]
    assert made
    assert min(np.abs(x - expected).max() for x in made) < 1e-6


def test_a_gain_of_1_is_not_left_out():
    c, _, _ = norm_case(q=1.0, k=1.0)
    assert not variants("qk_norm_of_another_gain", c, gain="1")


def test_the_norm_of_q_on_k():
    c, q, k = norm_case()
    near(c, out(c, c.q, rms(k, GAINS["q"])), "qk_norms_mixed_up", norms="q_norm(q), q_norm(k)")
    expected = out(c, rms(q, GAINS["k"]), rms(k, GAINS["q"]))
    assert np.allclose(expected, compute(c).context, rtol=0, atol=1e-12)
    assert not variants("qk_norms_mixed_up", c, norms="k_norm(q), q_norm(k)")


def test_norms_swapped_before_the_rotation():
    plain, q, k = norm_case()
    facts = Facts(normed_from=(q, k), rotary=Rotary(plain.q, plain.k, AT, AT, 100.0))
    right = rope(plain.q, AT), rope(plain.k, AT)
    c = computation(*right, plain.v, masking=plain.masking, facts=facts)
    expected = out(c, rope(rms(q, GAINS["k"]), AT), rope(rms(k, GAINS["q"]), AT))
    near(c, expected, "qk_norms_mixed_up", norms="k_norm(q), q_norm(k)")


@pytest.mark.parametrize(
    ("words", "norm"),
    [("LayerNorm", layer), ("L2", cosine), ("RMSNorm(n_head·d)", rms_of_all_heads)],
)
@pytest.mark.parametrize("arrays_", ["q, k", "k"])
def test_of_another_kind(words, norm, arrays_):
    c, q, k = norm_case()
    expected = out(c, norm(q, GAINS["q"]) if "q" in arrays_ else c.q, norm(k, GAINS["k"]))
    near(c, expected, "qk_norm_of_another_kind", norm=words, arrays=arrays_)


def test_split_first_where_all_heads_share_a_mean():
    c, q, k = norm_case(rms_of_all_heads)
    expected = out(c, rms(q, GAINS["q"]), rms(k, GAINS["k"]))
    near(c, expected, "qk_norm_of_another_kind", norm="RMSNorm", arrays="q, k")


def test_of_another_eps():
    c, q, k = norm_case(lambda x, gain: rms(x * 0.01, gain))
    q, k = 0.01 * q, 0.01 * k
    c = computation(c.q, c.k, c.v, masking=c.masking, facts=Facts(normed_from=(q, k)))
    expected = out(c, rms(q, GAINS["q"], 1e-3), rms(k, GAINS["k"], 1e-3))
    near(c, expected, "qk_norm_of_another_eps", eps="eps = 0.001")
    summed = out(c, rms(q, GAINS["q"], 1e-6 / D), rms(k, GAINS["k"], 1e-6 / D))
    near(c, summed, "qk_norm_of_another_eps", eps="√(Σx² + eps)")


def test_of_values():
    c, q, _ = norm_case()
    v = rms(c.v, GAINS["k"])
    near(c, out(c, c.q, c.k, v), "norm_of_values", gain="k_norm", arrays="q, k, v")
    near(c, out(c, q, c.k, v), "norm_of_values", gain="k_norm", arrays="k, v")
    near(c, out(c, c.q, c.k, rms(c.v)), "norm_of_values", gain="1", arrays="q, k, v")


AT = np.arange(N)


@pytest.mark.parametrize("rotated_first", [False, True])
def test_norm_and_rotation_swapped(rotated_first):
    """Qwen 3 normalises first, Hunyuan rotates first."""
    _, q, k = norm_case()
    v = arrays(h=H, h_kv=H_KV, n_q=N, d=D)[2]
    first = [rope(rms(x, GAINS[role]), AT) for role, x in (("q", q), ("k", k))]
    later = [rms(rope(x, AT), GAINS[role]) for role, x in (("q", q), ("k", k))]
    right, wrong = (later, first) if rotated_first else (first, later)
    before = (q, k) if rotated_first else (rms(q, GAINS["q"]), rms(k, GAINS["k"]))
    rotary = Rotary(*before, AT, AT, 100.0)
    facts = Facts(normed_from=(q, k), rotary=rotary)
    c = computation(*right, v, masking=Masking(causal=True), facts=facts)
    near(c, out(c, *wrong), "norm_and_rotation_swapped")
    near(c, out(c, rope(q, AT), rope(k, AT)), "qk_norm_left_out", arrays="q, k")


def test_lengths_do_not_change_under_rotation():
    """Without gains, the order of norm and rotation does not matter."""
    _, q, k = norm_case()
    rotary = Rotary(rms(q), rms(k), AT, AT, 100.0)
    facts = Facts(normed_from=(q, k), rotary=rotary)
    c = computation(rope(rms(q), AT), rope(rms(k), AT), random(B, H_KV, N, D), facts=facts)
    assert not variants("norm_and_rotation_swapped", c)


@pytest.mark.parametrize(("kind", "norm"), [("RMSNorm", rms), ("LayerNorm", layer), ("L2", cosine)])
def test_q_and_k_of_the_dump_are_not_normalised(kind, norm):
    c = wanted(h=H, h_kv=H_KV, causal=True, n_q=N)
    near(c, out(c, norm(c.q), norm(c.k)), "qk_norm_missing_in_the_dump", norm=kind, arrays="q, k")


CASES = {
    "rms": lambda: norm_case()[0],
    "layer": lambda: norm_case(layer)[0],
    "all heads": lambda: norm_case(rms_of_all_heads)[0],
    "no norm": lambda: wanted(h=H, h_kv=H_KV, causal=True),
    "one query": lambda: wanted(n_q=1, n_k=5),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NORMS)
def test_some_rows_and_never_the_reference(name, case):
    c = CASES[case]()
    check_rows(name, c)
    right = compute(c).context
    for each in MISTAKES[name].variants(c) if MISTAKES[name].detect != "rounding" else ():
        assert np.abs(compute(each.computation).context - right).max() > 1e-6, each.parameter
