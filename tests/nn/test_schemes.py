"""Position schemes: where positions enter, and with which numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.positions import alibi, alibi_slopes
from attnviz.nn.schemes import (
    SCHEMES,
    LearnedPositions,
    RelativeBias,
    RoundedAlibi,
    SchemeContext,
)


def test_learned_positions_end():
    with pytest.raises(AttnvizError, match="5 tokens, but there are learned positions for 3"):
        LearnedPositions(np.ones((3, 2)))(np.arange(5))


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_has_the_shapes_that_it_says(name, generator):
    setting = SchemeContext(8, 3, False, lambda name, shape: generator.normal(size=shape))
    scheme = SCHEMES[name](setting)
    where = np.arange(5)
    if scheme.add is not None:
        assert scheme.add(where).shape == (5, 8)
    if scheme.rotary is not None:
        assert scheme.rotary(np.ones((3, 5, 4)), where).shape == (3, 5, 4)
    if scheme.bias is not None:
        assert scheme.bias(where, where).shape == (3, 5, 5)


def context(causal=False):
    """Learned arrays are numbered, so that it can be seen which row is used."""
    drawn = {}

    def draw(name, shape):
        drawn[name] = np.arange(float(np.prod(shape))).reshape(shape)
        return drawn[name]

    return SchemeContext(8, 3, causal, draw), drawn


ENTERS = {
    "none": (),
    "sinusoidal": ("add",),
    "learned": ("add",),
    "rope": ("rotary",),
    "alibi": ("bias",),
    "t5": ("bias",),
}


@pytest.mark.parametrize("name", ENTERS)
def test_positions_enter_in_one_place(name):
    scheme = SCHEMES[name](context()[0])
    assert tuple(field for field in scheme._fields if getattr(scheme, field)) == ENTERS[name]


def test_learned_positions_are_rows_of_their_table():
    setting, drawn = context()
    scheme = SCHEMES["learned"](setting, length=11)
    assert drawn["positions"].shape == (11, 8)
    np.testing.assert_array_equal(scheme.add(np.array([10, 0])), drawn["positions"][[10, 0]])


def test_rope_takes_its_options():
    """One pair interleaved, at position 1 + 2, turns by 3 radians and by 3 / √base."""
    x = np.ones((1, 1, 4))
    scheme = SCHEMES["rope"](context()[0], base=4.0, style="interleaved", offset=2)
    pairs = (1 + 1j) * np.exp(3j * np.array([1, 0.5]))
    np.testing.assert_allclose(
        scheme.rotary(x, np.array([1]))[0, 0],
        [pairs[0].real, pairs[0].imag, pairs[1].real, pairs[1].imag],
    )
    half = SCHEMES["rope"](context()[0], fraction=0.5).rotary(x, np.array([1]))
    np.testing.assert_array_equal(half[0, 0, 2:], 1)


@pytest.mark.parametrize("causal", [True, False])
def test_t5_shares_a_number_for_each_bucket_and_head(causal):
    """Causal, all buckets are for keys before the query; else half of them are for those after."""
    setting, drawn = context(causal)
    bias = SCHEMES["t5"](setting, buckets=8, distance=16).bias
    table = drawn["relative"]
    assert isinstance(bias, RelativeBias)
    here = bias(np.array([2]), np.array([2, 1, 3]))
    before, after = table[1], table[0 if causal else 4 + 1]
    np.testing.assert_array_equal(here[:, 0], np.stack([table[0], before, after], axis=1))


def nearest_bfloat16(x):
    """8 bits behind the leading one's place, a tie to the even one, as Python rounds."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(math.ldexp(mantissa, 8)), exponent - 8)


def test_rounded_alibi_is_that_of_bfloat16():
    """Row by row up to a constant: q · k + m k is scaled, whatever the query."""
    n_head, scale, q_pos, k_pos = 9, 0.3, np.array([5, 401]), np.arange(389, 402)
    bias = RoundedAlibi(n_head, scale)(q_pos, k_pos)
    slopes = [nearest_bfloat16(m) for m in alibi_slopes(n_head)]
    for h, m in enumerate(slopes):
        heights = [scale * nearest_bfloat16(m * nearest_bfloat16(k)) for k in k_pos]
        for row in bias[h]:
            np.testing.assert_allclose(row - row[0], np.array(heights) - heights[0], atol=1e-12)
    assert (bias[:, 1, -1] == 0).all()
    assert np.abs(bias[:, 1] - scale * alibi(q_pos, k_pos, n_head)[:, 1]).max() > 0.1
