"""Each wrong rotation and each wrong bias against loops over positions and features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.facts import Facts, Rotary
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import (
    arrays,
    attend,
    causal,
    check_gives,
    check_rows,
    contexts,
    random,
    variants,
    wanted,
)

POSITIONS = [name for name in MISTAKES if MISTAKES[name].family == "position"]
D, N_Q, N_K = 10, 5, 7
PAIRS = {
    "half": lambda i, d: (i, i + d // 2),
    "interleaved": lambda i, d: (2 * i, 2 * i + 1),
}


def rope(x, at, base=100.0, style="half", angle=None, width=None, pairs=None):
    """x [b, h, n, d] rotated by loops; `angle` (p, i) -> radians, `pairs` i -> two features."""
    d = width or x.shape[-1]
    angle = angle or (lambda p, i: p * base ** (-2 * i / d))
    out = x.copy()
    at = np.broadcast_to(at, (x.shape[0], x.shape[2]))
    for b, row in np.ndindex(x.shape[0], x.shape[2]):
        for i in range(d // 2):
            one, two = pairs(i) if pairs else PAIRS[style](i, d)
            turn = angle(at[b, row], i)
            first, second = x[b, :, row, one], x[b, :, row, two]
            out[b, :, row, one] = first * math.cos(turn) - second * math.sin(turn)
            out[b, :, row, two] = second * math.cos(turn) + first * math.sin(turn)
    return out


def rotary_case(style="half", width=None, n_q=N_Q, n_k=N_K, q_at=None, k_at=None, **fields):
    """A causal computation with a cache, its q and k rotated, and what they were before."""
    q, k, v = arrays(n_q=n_q, n_k=n_k, d=D)
    k_at = np.arange(n_k) if k_at is None else k_at
    q_at = np.arange(n_k - n_q, n_k) if q_at is None else q_at
    rotary = Rotary(q, k, q_at, k_at, 100.0, style, width, **fields)
    if fields:  # of scaled frequencies
        f, gain = rotary.frequencies, rotary.gain
        q, k = (gain * rope(x, at, angle=lambda p, i: p * f[i]) for x, at in ((q, q_at), (k, k_at)))
    else:
        q, k = (rope(x, at, style=style, width=width) for x, at in ((q, q_at), (k, k_at)))
    masking = Masking(causal=True, offset=n_k - n_q)
    return computation(q, k, v, masking=masking, facts=Facts(rotary=rotary)), rotary


def expected(c, q, k, v=None):
    return attend(q, k, c.v if v is None else v, causal(c.n_q, c.n_k))


def both(rotary, how_q, how_k=None):
    """q and k rotated by functions of x and its positions."""
    return how_q(rotary.q, rotary.q_positions), (how_k or how_q)(rotary.k, rotary.k_positions)


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_the_other_style(style):
    c, r = rotary_case(style)
    other = "half" if style == "interleaved" else "interleaved"
    q, k = both(r, lambda x, at: rope(x, at, style=other))
    name = "rope_of_the_other_style"
    check_gives(name, c, expected(c, q, k), arrays="q, k")
    check_gives(name, c, expected(c, q, c.k), arrays="q")
    check_gives(name, c, expected(c, c.q, k), arrays="k")


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_mixed_styles(style):
    """emb = freqs.repeat_interleave(2) with rotate_half, or cat((freqs, freqs)) with neighbours."""
    c, r = rotary_case(style)

    def mixed(x, at):
        freqs = np.outer(at, 100.0 ** (-np.arange(0, D, 2) / D))
        if style == "half":
            emb = np.repeat(freqs, 2, axis=-1)
            turned = np.concatenate([-x[..., D // 2 :], x[..., : D // 2]], axis=-1)
        else:
            emb = np.concatenate([freqs, freqs], axis=-1)
            turned = np.stack([-x[..., 1::2], x[..., ::2]], axis=-1).reshape(x.shape)
        return x * np.cos(emb) + turned * np.sin(emb)

    check_gives("rope_of_mixed_styles", c, expected(c, *both(r, mixed)))


@pytest.mark.parametrize("base", [10_000.0, 500_000.0, 5_000_000.0])
def test_another_base(base):
    c, r = rotary_case()
    q, k = both(r, lambda x, at: rope(x, at, base=base))
    check_gives("rope_of_another_base", c, expected(c, q, k), base=base)


def test_the_wanted_base_is_no_mistake():
    assert not variants("rope_of_another_base", rotary_case()[0], base=100.0)


FREQUENCIES = 100.0 ** (-np.arange(0, D, 2) / D)


@pytest.mark.parametrize("gain", [1.0, 1.3])
def test_scaling_left_out(gain):
    c, r = rotary_case(frequencies=FREQUENCIES / 3, gain=gain)
    q, k = both(r, lambda x, at: rope(x, at))
    name = "rope_scaling_left_out"
    check_gives(name, c, expected(c, q, k), left_out="inv_freq, attention_factor", arrays="q, k")
    check_gives(name, c, expected(c, c.q, k), left_out="inv_freq, attention_factor", arrays="k")
    if gain != 1:
        scaled = both(r, lambda x, at: rope(x, at, angle=lambda p, i: p * FREQUENCIES[i] / 3))
        check_gives(name, c, expected(c, *scaled), left_out="attention_factor", arrays="q, k")


def test_scaling_added():
    c, r = rotary_case()
    linear = both(r, lambda x, at: rope(x, at / 4))
    check_gives("rope_scaling_added", c, expected(c, *linear), scaling="linear, factor 4")

    def llama3(p, i):
        """As transformers' `_compute_llama3_parameters` has it, factor 8 of 8192."""
        omega = 100.0 ** (-2 * i / D)
        length = 2 * math.pi / omega
        if length < 8192 / 4:
            return p * omega
        if length > 8192:
            return p * omega / 8
        smooth = (8192 / length - 1) / (4 - 1)
        return p * ((1 - smooth) * omega / 8 + smooth * omega)

    c, r = rotary_case()
    rotary = Rotary(r.q, r.k, r.q_positions, r.k_positions, 1e7)
    c = computation(c.q, c.k, c.v, masking=c.masking, facts=Facts(rotary=rotary))

    def scaled(p, i):
        omega = 1e7 ** (-2 * i / D)
        length = 2 * math.pi / omega
        smooth = min(max((8192 / length - 1) / 3, 0), 1)
        return p * ((1 - smooth) * omega / 8 + smooth * omega)

    q, k = both(r, lambda x, at: rope(x, at, angle=scaled))
    check_gives("rope_scaling_added", c, expected(c, q, k), scaling="llama3, factor 8")


def test_ntk_and_yarn_added():
    c, r = rotary_case()
    ntk = both(r, lambda x, at: rope(x, at, base=100 * 2 ** (D / (D - 2))))
    check_gives("rope_scaling_added", c, expected(c, *ntk), scaling="ntk, factor 2")
    gain = 0.1 * math.log(4) + 1
    # all five pairs turn more than 32 times in 32768 positions: only the gain is left of it
    q, k = (gain * x for x in both(r, lambda x, at: rope(x, at)))
    check_gives("rope_scaling_added", c, expected(c, q, k), scaling="yarn, factor 4 of 32768")


@pytest.mark.parametrize(
    ("words", "positions"),
    [
        ("0, 1, 2, …", [0, 1, 2, 3, 4]),
        ("p + 1", [3, 4, 5, 6, 7]),
        ("p - 1", [1, 2, 3, 4, 5]),
        ("0, 0, 0, …", [0, 0, 0, 0, 0]),
        ("p_0, p_0, p_0, …", [2, 2, 2, 2, 2]),
        ("p + n_q", [7, 8, 9, 10, 11]),
        ("p + 8", [10, 11, 12, 13, 14]),
        ("n_q - 1 - i", [6, 5, 4, 3, 2]),
    ],
)
def test_queries_at_other_positions(words, positions):
    c, r = rotary_case()
    q = rope(r.q, np.array(positions))
    check_gives("rope_positions_off", c, expected(c, q, c.k), positions=words)


def test_new_keys_at_other_positions_too():
    """Every new token is at position 0, in the cache as well."""
    c, r = rotary_case()
    for words, new in (("0, 1, 2, …", [0, 1, 2, 3, 4]), ("0, 0, 0, …", [0] * 5)):
        q, k = rope(r.q, np.array(new)), rope(r.k, np.array([0, 1, *new]))
        out = expected(c, q, k)
        check_gives("rope_positions_off", c, out, positions=words, arrays="q, k_new")


def test_the_number_of_the_head_for_the_position():
    """mx.fast.rope takes the axis before the last, which is that of the heads in [b, n, h, d]."""
    c, r = rotary_case()
    x, y = (
        np.stack([rope(z[:, [h]], np.full(z.shape[2], h))[:, 0] for h in range(3)], axis=1)
        for z in (r.q, r.k)
    )
    check_gives("rope_by_heads", c, expected(c, x, y), positions="h", arrays="q, k")
    x = np.stack([rope(r.q[:, [h]], r.q_positions + h)[:, 0] for h in range(3)], axis=1)
    check_gives("rope_by_heads", c, expected(c, x, c.k), positions="p + h", arrays="q")


def test_rotated_before_the_heads_are_split():
    c, r = rotary_case()

    def turned(x, at):
        b, h, n, d = x.shape
        whole = rope(x.transpose(0, 2, 1, 3).reshape(b, 1, n, h * d), at)
        return whole.reshape(b, n, h, d).transpose(0, 2, 1, 3)

    words = "[b, n, h·d], before the heads are split"
    check_gives("rope_of_another_width", c, expected(c, *both(r, turned)), features=words)


def test_weights_of_the_other_style():
    """Meta's weights hold the pairs (2i, 2i + 1) side by side; rotate_half takes (i, i + d/2)."""
    c, r = rotary_case("half")

    def interleaved(x):
        return np.stack([x[..., : D // 2], x[..., D // 2 :]], axis=-1).reshape(x.shape)

    q, k = both(r, lambda x, at: rope(interleaved(x), at))
    check_gives("rope_on_weights_of_the_other_style", c, expected(c, q, k))
    c, r = rotary_case("interleaved")
    q, k = both(
        r,
        lambda x, at: rope(
            np.concatenate([x[..., ::2], x[..., 1::2]], -1), at, style="interleaved"
        ),
    )
    check_gives("rope_on_weights_of_the_other_style", c, expected(c, q, k))


def test_each_other_position_is_tried_once():
    c, _ = rotary_case()
    made = contexts("rope_positions_off", c)
    assert len({x.tobytes() for x in made}) == len(made)


def test_moved_together_is_no_mistake():
    c, _ = rotary_case()
    for made in contexts("rope_moved_together", c):
        assert np.allclose(made, compute(c).context, rtol=0, atol=1e-13)
    assert MISTAKES["rope_moved_together"].detect == "equal"


WIDE = 6
"""Of the ten features, rotated."""


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ("rotary_dim = 10", {}),
        ("θ_i = base^(-2i/10)", {"width": WIDE, "angle": lambda p, i: p * 100 ** (-2 * i / D)}),
        (
            "pairs (i, i + 5), θ_i = base^(-2i/10)",
            {
                "width": WIDE,
                "pairs": lambda i: (i, i + 5),
                "angle": lambda p, i: p * 100 ** (-2 * i / D),
            },
        ),
        ("pairs (i, i + 5)", {"width": WIDE, "pairs": lambda i: (i, i + 5)}),
        ("x[..., -6:]", {"width": WIDE, "pairs": lambda i: (4 + i, 7 + i)}),
        ("rotary_dim = 4", {"width": 4}),
        ("θ_i = base^(-i/6)", {"width": WIDE, "angle": lambda p, i: p * 100 ** (-i / WIDE)}),
    ],
)
def test_partial_rope(words, how):
    c, r = rotary_case(width=WIDE)
    q, k = both(r, lambda x, at: rope(x, at, **how))
    check_gives("rope_of_another_width", c, expected(c, q, k), features=words)


def test_a_part_where_all_features_are_wanted():
    c, r = rotary_case()
    q, k = both(r, lambda x, at: rope(x, at, width=4))
    check_gives("rope_of_another_width", c, expected(c, q, k), features="rotary_dim = 4")
    q, k = both(r, lambda x, at: rope(x, at, width=4, angle=lambda p, i: p * 100 ** (-2 * i / D)))
    words = "rotary_dim = 4, θ_i = base^(-2i/10)"
    check_gives("rope_of_another_width", c, expected(c, q, k), features=words)


def bfloat16(x):
    """By a search: the nearest number with eight significant bits, ties to even."""
    m, e = math.frexp(x)
    return math.ldexp(round(m * 256) / 256, e)


def test_positions_in_bfloat16():
    k_at = np.arange(15_958, 15_958 + N_K)
    c, r = rotary_case(q_at=k_at[2:], k_at=k_at)
    assert bfloat16(15_962) == 15_936  # steps of 64: eight bits
    low = np.array([bfloat16(p) for p in k_at])
    angle = lambda p, i: float(np.float32(p) * np.float32(100.0 ** (-2 * i / D)))  # noqa: E731
    q, k = rope(r.q, low[2:], angle=angle), rope(r.k, low, angle=angle)
    made = contexts("rope_in_low_precision", c, part="position_ids", dtype="bfloat16")
    assert np.abs(made[0] - expected(c, q, k)).max() < 1e-5
    assert np.abs(made[0] - compute(c).context).max() > 1e-2


def test_cosines_in_bfloat16():
    c, r = rotary_case()

    def low(x, at):
        out = x.copy()
        for row, p in enumerate(at):
            for i in range(D // 2):
                turn = float(np.float32(p) * np.float32(100.0 ** (-2 * i / D)))
                cos = bfloat16(float(np.float32(math.cos(turn))))
                sin = bfloat16(float(np.float32(math.sin(turn))))
                one, two = x[..., row, i], x[..., row, i + D // 2]
                out[..., row, i] = one * cos - two * sin
                out[..., row, i + D // 2] = two * cos + one * sin
        return out

    made = contexts("rope_in_low_precision", c, part="cos, sin", dtype="bfloat16")
    assert np.abs(made[0] - expected(c, *both(r, low))).max() < 1e-6


def padded_case(n_q=3):
    """Two texts, the second with three tokens of padding on its left; positions skip it."""
    q, k, v = arrays(n_q=n_q, n_k=N_K, d=D)
    keys = np.array([[True] * 7, [False] * 3 + [True] * 4])
    k_at = np.maximum(keys.cumsum(-1) - 1, 0)
    q_at = k_at[:, N_K - n_q :]
    masking = Masking(causal=True, offset=N_K - n_q, keys=keys[:, None, None])
    rotary = Rotary(q, k, q_at, k_at, 100.0)
    made = computation(rope(q, q_at), rope(k, k_at), v, masking=masking, facts=Facts(rotary=rotary))
    return made, rotary, causal(n_q, N_K) & keys[:, None, None]


def test_positions_that_do_not_skip_padding():
    c, r, seen = padded_case()
    q, k = rope(r.q, np.arange(4, 7)), rope(r.k, np.arange(7))
    name = "rope_positions_of_padding"
    check_gives(name, c, attend(q, c.k, c.v, seen), arrays="q")
    check_gives(name, c, attend(c.q, k, c.v, seen), arrays="k")
    assert np.allclose(attend(q, k, c.v, seen), compute(c).context, rtol=0, atol=1e-12), "relative"


def test_positions_that_skip_padding_where_the_others_do_not():
    c, r, seen = padded_case()
    at = np.arange(N_K)
    rotary = Rotary(r.q, r.k, at[4:], at, 100.0)
    q, k = rope(r.q, at[4:]), rope(r.k, at)
    c = computation(q, k, c.v, masking=c.masking, facts=Facts(rotary=rotary))
    q = rope(r.q, r.q_positions)
    check_gives("rope_positions_of_padding", c, attend(q, k, c.v, seen), arrays="q")


def test_rope_left_out_of_one():
    c, r = rotary_case()
    check_gives("rope_left_out", c, expected(c, r.q, r.k), arrays="q, k")
    check_gives("rope_left_out", c, expected(c, r.q, c.k), arrays="q")
    check_gives("rope_left_out", c, expected(c, c.q, r.k), arrays="k")


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_rope_on_values(style):
    c, r = rotary_case(style)
    check_gives("rope_on_values", c, expected(c, c.q, c.k, rope(c.v, r.k_positions, style=style)))


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_rope_backwards_without_minus_swapped_and_twice(style):
    c, r = rotary_case(style)

    def by(matrix):
        def turned(x, at):
            out = x.copy()
            for row, p in enumerate(at):
                for i in range(D // 2):
                    one, two = PAIRS[style](i, D)
                    turn = p * 100.0 ** (-2 * i / D)
                    made = np.array(matrix(math.cos(turn), math.sin(turn)))
                    for place, (a, b) in zip((one, two), made, strict=True):
                        out[..., row, place] = a * x[..., row, one] + b * x[..., row, two]
            return out

        return expected(c, *both(r, turned))

    check_gives("rope_backwards", c, by(lambda cos, sin: [[cos, sin], [-sin, cos]]))
    check_gives("rope_without_minus", c, by(lambda cos, sin: [[cos, sin], [sin, cos]]))
    swapped = by(lambda cos, sin: [[sin, -cos], [cos, sin]])
    check_gives("rope_with_cos_and_sin_swapped", c, swapped, arrays="q, k")
    twice = by(
        lambda cos, sin: [[cos**2 - sin**2, -2 * cos * sin], [2 * cos * sin, cos**2 - sin**2]]
    )
    check_gives("rope_applied_twice", c, twice, arrays="q, k")


def test_cached_keys_rotated_twice():
    c, r = rotary_case()
    k = rope(r.k, np.array([0, 2, 2, 3, 4, 5, 6]))
    check_gives("rope_applied_twice", c, expected(c, c.q, k), arrays="k_cache")


@pytest.mark.parametrize(("base", "style"), [(10_000.0, "half"), (10_000.0, "interleaved")])
def test_q_and_k_of_the_dump_are_not_rotated(base, style):
    c = wanted(causal=True, n_q=N_Q, n_k=N_K)
    q = rope(c.q, np.arange(2, 7), base=base, style=style)
    k = rope(c.k, np.arange(7), base=base, style=style)
    check_gives("rope_missing_in_the_dump", c, expected(c, q, k), base=base, style=style)


# biases by distance


def alibi_case(n_head=5, rule=True, n_q=N_Q):
    slopes = [2 ** (-8 * (h + 1) / n_head) for h in range(n_head)]
    if n_head == 5:  # the reference code: those of 4 heads, then the first of 8
        slopes = [2 ** (-8 * (h + 1) / 4) for h in range(4)] + [2 ** (-8 / 8)]
    q, k, v = arrays(h=n_head, n_q=n_q, n_k=N_K)
    distance = np.abs(np.arange(N_K - n_q, N_K)[:, None] - np.arange(N_K))
    bias = -np.array(slopes)[:, None, None] * distance
    masking = Masking(causal=rule, offset=N_K - n_q)
    facts = Facts(alibi=np.array(slopes))
    return computation(q, k, v, bias=bias, masking=masking, facts=facts)


def biased(c, bias):
    """With a bias by head, query and key, a function."""
    added = np.array(
        [
            [[bias(h, i + c.n_k - c.n_q, j) for j in range(c.n_k)] for i in range(c.n_q)]
            for h in range(c.n_head)
        ]
    )
    seen = causal(c.n_q, c.n_k) if c.masking.causal else None
    return attend(c.q, c.k, c.v, seen, added)


def test_alibi_of_the_other_sign():
    c = alibi_case(4)
    out = biased(c, lambda h, i, j: 2 ** (-2 * (h + 1)) * abs(i - j))
    check_gives("alibi_of_the_other_sign", c, out)


def test_alibi_with_the_exponent_from_0():
    c = alibi_case(4)
    out = biased(c, lambda h, i, j: -(2 ** (-2 * h)) * abs(i - j))
    check_gives("alibi_of_other_slopes", c, out, slopes="2^(-8h/n_head)")
    c = alibi_case(5)  # the reference code takes two series, which both begin one step too early
    out = biased(c, lambda h, i, j: -(1, 1 / 4, 1 / 16, 1 / 64, 1)[h] * abs(i - j))
    check_gives("alibi_of_other_slopes", c, out, slopes="2^(-8h/4), h = 0, 1, …, 3, 0, …")


def test_alibi_of_no_power_of_two():
    c = alibi_case(5)
    out = biased(c, lambda h, i, j: -(2 ** (-8 * (h + 1) / 5)) * abs(i - j))
    check_gives("alibi_of_no_power_of_two", c, out, slopes="2^(-8(h + 1)/n_head)")
    out = biased(c, lambda h, i, j: -(2 ** -(h + 1)) * abs(i - j))
    check_gives("alibi_of_no_power_of_two", c, out, slopes="get_slopes(8)[:n_head]")
    assert not variants("alibi_of_no_power_of_two", alibi_case(4))


def test_alibi_off_by_a_constant_is_no_mistake():
    made = contexts("alibi_off_by_a_constant", alibi_case())
    assert len(made) == 2
    for each in made:
        assert np.allclose(each, compute(alibi_case()).context, rtol=0, atol=1e-12)
    assert not variants("alibi_off_by_a_constant", alibi_case(rule=False))


def test_alibi_of_signed_distances():
    c = alibi_case(4, rule=False)
    out = biased(c, lambda h, i, j: -(2 ** (-2 * (h + 1))) * (i - j))
    check_gives("alibi_of_signed_distances", c, out)
    assert not variants("alibi_of_signed_distances", alibi_case())


def test_alibi_in_bfloat16():
    c = alibi_case(5)
    slopes = c.facts.alibi
    out = biased(c, lambda h, i, j: bfloat16(-slopes[h] * abs(i - j)))
    check_gives("bias_in_low_precision", c, out, dtype="bfloat16", form="bias")
    out = biased(c, lambda h, i, j: bfloat16(slopes[h] * j))
    check_gives("bias_in_low_precision", c, out, dtype="bfloat16", form="m·j")


def test_alibi_that_is_not_wanted():
    c = wanted(h=4, n_q=N_Q, n_k=N_K, causal=True)
    out = biased(c, lambda h, i, j: -(2 ** (-2 * (h + 1))) * abs(i - j))
    check_gives("bias_that_is_not_wanted", c, out)


def test_bias_left_out():
    c = alibi_case()
    check_gives("bias_left_out", c, attend(c.q, c.k, c.v, causal(N_Q, N_K)))


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("bias.transpose(-1, -2)", lambda b: b.transpose(0, 2, 1)),
        ("bias[:, 0]", lambda b: np.stack([b[0]] * 3)),
        ("bias[:, h + 1]", lambda b: b[[1, 2, 0]]),
        ("bias[:, h - 1]", lambda b: b[[2, 0, 1]]),
        ("bias.flip(1)", lambda b: b[[2, 1, 0]]),
        ("-bias", lambda b: -b),
        ("2 · bias", lambda b: b + b),
        ("bias · scale", lambda b: b / math.sqrt(D)),
        ("bias.flip(-1)", lambda b: b[:, :, [6, 5, 4, 3, 2, 1, 0]]),
        ("bias[..., j + 1]", lambda b: b[:, :, [1, 2, 3, 4, 5, 6, 0]]),
    ],
)
def test_bias_changed(words, change):
    bias = random(3, N_K, N_K)
    c = wanted(n_q=N_K, bias=bias)
    check_gives("bias_changed", c, attend(c.q, c.k, c.v, bias=change(bias)), bias=words)


CASES = {
    "no rotation": lambda: wanted(causal=True),
    "rotation": lambda: rotary_case()[0],
    "interleaved": lambda: rotary_case("interleaved")[0],
    "partial": lambda: rotary_case(width=6)[0],
    "scaled": lambda: rotary_case(frequencies=FREQUENCIES / 3, gain=1.3)[0],
    "padded": lambda: padded_case()[0],
    "alibi": alibi_case,
    "alibi, all keys": lambda: alibi_case(4, rule=False),
    "bias": lambda: wanted(n_q=7, bias=random(3, 7, 7)),
    "one query": lambda: rotary_case(n_q=1)[0],
    "one token": lambda: rotary_case(n_q=1, n_k=1)[0],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", POSITIONS)
def test_some_rows_are_those_of_all(name, case):
    check_rows(name, CASES[case]())


@pytest.mark.parametrize("case", ["rotation", "partial", "scaled", "padded", "alibi", "bias"])
@pytest.mark.parametrize("name", POSITIONS)
def test_never_the_reference(name, case):
    """Unless it is no mistake, or the positions are too small to round."""
    c = CASES[case]()
    right = compute(c).context
    if MISTAKES[name].detect not in ("equal", "rounding"):
        for each in MISTAKES[name].variants(c):
            made = compute(each.computation).context
            assert np.abs(made - right).max() > 1e-7, each.parameter


def test_one_token_of_each_text_beside_a_cache_that_says_no_positions():
    """Positions [n_batch, 1] of the queries, and [n_k] of the keys."""
    q, k, v = arrays(n_q=1, n_k=N_K, d=D)
    at = np.arange(N_K)
    rotary = Rotary(q, k, np.full((2, 1), 6), at, 100.0)
    fields = {"masking": Masking(causal=True, offset=6), "facts": Facts(rotary=rotary)}
    c = computation(rope(q, 6), rope(k, at), v, **fields)
    seen = np.ones((1, N_K), bool)
    check_gives("rope_positions_off", c, attend(rope(q, 0), c.k, v, seen), arrays="q")
    assert not contexts("rope_positions_of_padding", c), "nothing is padded"
