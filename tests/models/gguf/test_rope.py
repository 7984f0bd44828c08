"""What a GGUF file says of rotary positions, as a section of a config."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.gguf.rope import rope_parameters

DIVISORS = np.array([1.0, 2.0, 8.0], np.float32)


class File:
    path = "x.gguf"

    def __init__(self, *names):
        self.shapes = dict.fromkeys(names, (3,))

    def read(self, name):
        return DIVISORS * (10 if "long" in name else 1)


def section(file=None, **fields):
    fields = {name.replace("__", "."): value for name, value in fields.items()}
    return rope_parameters(Config(fields, "x.gguf"), file or File())


BASE = {"rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"rope_type": "default"}),
        ({"rope__freq_base": 500000.0}, {"rope_type": "default", "rope_theta": 500000.0}),
        ({"rope__scaling__factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"rope__scale_linear": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"rope__scaling__factor": 1.0}, {"rope_type": "default"}),
        ({"rope__scaling__type": "none", "rope__scaling__factor": 4.0}, {"rope_type": "default"}),
        (
            {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0, "context_length": 512},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512,
             "beta_fast": 32.0, "beta_slow": 1.0},
        ),
    ],
)  # fmt: skip
def test_scalings_that_stand_in_the_metadata(fields, expected):
    assert section(**fields) == BASE | expected


def test_divisors_that_are_tensors():
    assert section(File("rope_freqs.weight")) == BASE | {
        "rope_type": "factors",
        "factors": [1.0, 2.0, 8.0],
    }
    both = File("rope_factors_long.weight", "rope_factors_short.weight")
    assert section(both, rope__scaling__original_context_length=4096) == BASE | {
        "rope_type": "longrope",
        "long_factor": [10.0, 20.0, 80.0],
        "short_factor": [1.0, 2.0, 8.0],
        "original_max_position_embeddings": 4096,
        "attention_factor": 1.0,
    }


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        (File(), {"rope__scaling__type": "longrope"}, "but the file has no rope_factors_long"),
        (
            File("rope_factors_long.weight"),
            {"context_length": 512},
            "rope_factors_short.weight is missing",
        ),
        (
            File("rope_freqs.weight"),
            {"rope__scaling__factor": 4.0},
            "together with rope_freqs.weight",
        ),
        (File(), {"rope__scaling__type": "spiral"}, "rope.scaling.type = 'spiral'"),
    ],
)
def test_what_does_not_fit_together_is_refused(file, fields, message):
    with pytest.raises(AttnvizError, match=message):
        section(file, **fields)
