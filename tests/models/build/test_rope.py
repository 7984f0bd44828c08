"""Rotary positions as configs spell them: frequencies that transformers 5.23.0 computes."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.rope import read_rope, read_rope_section

D_HEAD = 16
BASE = 10000.0 ** (-np.arange(8) / 8)
"""Su et al. 2021, section 3.2.2: θ_i = 10000^(-2i/d), d = 16."""


def config(maximum=8192, **fields):
    return Config({"max_position_embeddings": maximum, **fields}, "config.json")


def rope(kind, maximum=8192, **section):
    section = {"rope_type": kind, "rope_theta": 10000.0, **section}
    return read_rope(config(maximum, rope_parameters=section), D_HEAD).rotary


def measured(rotary, positions):
    """The angle of each pair [n, n_pair] and the gain, read off what becomes of unit vectors."""
    x = np.zeros((1, len(positions), D_HEAD))
    x[..., : D_HEAD // 2] = 1
    rotated = rotary(x, np.asarray(positions))[0]
    pairs = rotated[:, : D_HEAD // 2] + 1j * rotated[:, D_HEAD // 2 :]
    return np.angle(pairs), np.abs(pairs)


SCALINGS = [
    ("default", {}, BASE, 1.0),
    ("linear", {"factor": 4.0}, BASE / 4, 1.0),
    ("llama3",
     {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 256},
     [1.0, 0.3162278, 0.1, 0.006613107, 0.00125, 0.0003952847, 0.000125, 3.952847e-05], 1.0),
    ("yarn", {"factor": 4.0, "original_max_position_embeddings": 2048},
     [1.0, 0.3162278, 0.1, 0.02569351, 0.00625, 0.001383497, 0.00025, 7.905695e-05],
     1.138629436111989),
    ("yarn",
     {"factor": 4.0, "original_max_position_embeddings": 2048, "truncate": False,
      "beta_fast": 16.0, "beta_slow": 2.0},
     [1.0, 0.3162278, 0.1, 0.0266075, 0.004261619, 0.0007905695, 0.00025, 7.905695e-05],
     1.138629436111989),
    ("yarn",
     {"factor": 40.0, "original_max_position_embeddings": 2048, "mscale": 0.707,
      "mscale_all_dim": 1.0},
     [1.0, 0.3162278, 0.1, 0.02391472, 0.005125, 0.0008498622, 2.5e-05, 7.905694e-06],
     0.9210423553163399),
]  # fmt: skip
"""(rope_type, section, frequencies, gain): `ROPE_INIT_FUNCTIONS[rope_type]` of a LlamaConfig with
head_dim = 16."""


@pytest.mark.parametrize(("kind", "section", "frequencies", "gain"), SCALINGS)
def test_scalings_are_those_of_transformers(kind, section, frequencies, gain):
    angles, gains = measured(rope(kind, **section), [0, 1, 3])
    np.testing.assert_allclose(angles, np.outer([0, 1, 3], frequencies), rtol=1e-6)
    np.testing.assert_allclose(gains, gain, rtol=1e-12)


def test_llama3_blends_between_its_two_wavelengths():
    """Meta's code: wavelengths over L/low are stretched, under L/high they stay."""
    low, high, factor, original = 1.0, 4.0, 8.0, 256
    expected = []
    for frequency in BASE:
        wavelength = 2 * np.pi / frequency
        smooth = (original / wavelength - low) / (high - low)
        if wavelength < original / high:
            expected.append(frequency)
        elif wavelength > original / low:
            expected.append(frequency / factor)
        else:
            expected.append((1 - smooth) * frequency / factor + smooth * frequency)
    section = {"low_freq_factor": low, "high_freq_factor": high, "factor": factor}
    angles, _ = measured(rope("llama3", original_max_position_embeddings=original, **section), [1])
    np.testing.assert_allclose(angles[0], expected, rtol=1e-12)


def test_longrope_has_factors_for_short_texts_and_for_long_ones():
    """Ding et al. 2024; the gain is √(1 + ln 4 / ln 2048) = 1.0871146 in transformers."""
    short, long = np.linspace(1, 1.7, 8), np.linspace(2, 9, 8)
    rotary = rope("longrope", short_factor=list(short), long_factor=list(long),
                  original_max_position_embeddings=2048)  # fmt: skip
    for last, factors in ((2047, short), (2048, long)):
        angles, gains = measured(rotary, [1, last])
        np.testing.assert_allclose(angles[0], BASE / factors, rtol=1e-12)
        np.testing.assert_allclose(gains, 1.087114613009218, rtol=1e-12)


def test_dynamic_frequencies_are_those_of_the_length_of_the_text():
    """Of 64 positions, 100 tokens: transformers' `_compute_dynamic_ntk_parameters`."""
    longer = [1.0, 0.267223, 0.07140812, 0.01908189, 0.00509912, 0.001362602, 0.0003641186,
              9.730085e-05]  # fmt: skip
    rotary = rope("dynamic", maximum=64, factor=4.0)
    for last, frequencies in ((63, BASE), (99, longer), (3, BASE)):
        angles, _ = measured(rotary, [1, last])
        np.testing.assert_allclose(angles[0], frequencies, rtol=1e-6)


def test_gguf_divides_each_frequency_by_a_factor_of_its_own():
    factors = [1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0]
    angles, _ = measured(rope("factors", factors=factors), [1])
    np.testing.assert_allclose(angles[0], BASE / factors)


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}},
        {"rope_theta": 500.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
    ],
)
def test_old_and_new_spellings_say_the_same(fields):
    read = read_rope(config(**fields), D_HEAD)
    angles, _ = measured(read.rotary, [1])
    np.testing.assert_allclose(angles[0], 500.0 ** (-np.arange(8) / 8) / 4)
    assert read.description == "rope base 500, linear scaling"


def test_a_fraction_of_the_features_rotates():
    read = read_rope(config(partial_rotary_factor=0.25), D_HEAD, fraction=1.0)
    x = np.arange(1.0, 17)[None, None]
    rotated = read.rotary(x, np.array([1]))
    np.testing.assert_array_equal(rotated[..., 4:], x[..., 4:])
    frequencies = 10000.0 ** (-np.arange(2) / 2)  # of the 4 features that rotate
    pairs = (x[0, 0, :2] + 1j * x[0, 0, 2:4]) * np.exp(1j * frequencies)
    np.testing.assert_allclose(rotated[0, 0, :4], [*pairs.real, *pairs.imag])
    assert read.description == "rope base 10000, 0.25 of the features"


def test_a_base_of_the_family_holds_where_the_config_has_none():
    assert read_rope(config(), D_HEAD, base=77.0).description == "rope base 77"
    section = Config({"rope_theta": 33.0}, "config.json")
    assert read_rope_section(config(), section, D_HEAD, base=77.0).description == "rope base 33"


@pytest.mark.parametrize(
    ("fields", "d_head", "message"),
    [
        ({"rope_theta": 0}, 16, "rope_theta: expected a number above 0"),
        ({"rope_scaling": {"type": "linear"}, "rope_parameters": {}}, 16,
         "both rope_parameters and rope_scaling"),
        ({"rope_parameters": {"rope_type": "spiral"}}, 16, "rope_type = 'spiral'"),
        ({"partial_rotary_factor": 0.5}, 6, "odd number"),
        ({"rope_parameters": {"rope_type": "factors", "factors": [1.0]}}, 16, "a list of 8 numbers"),
        ({}, 1 << 17, "wider than"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(fields, d_head, message):
    with pytest.raises(AttnvizError, match=message):
        read_rope(config(**fields), d_head, fraction=1.0)


def test_a_fraction_is_refused_where_the_family_rotates_all():
    with pytest.raises(AttnvizError, match="partial_rotary_factor"):
        read_rope(config(partial_rotary_factor=0.5), D_HEAD)
