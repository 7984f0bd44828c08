"""Every family against transformers, number by number: `tests/golden/families`."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.models.build.families import FAMILIES
from tests.models.build.families import goldens
from tests.models.build.families.bounds import ATTENTIONS, HIDDEN_STATES, LOGITS


@pytest.mark.parametrize(
    ("variant", "name", "dtype"),
    [
        *((variant, name, "float32") for variant, name in goldens.every_case()),
        *((variant, goldens.longest(variant).name, "float64") for variant in goldens.VARIANTS),
    ],
)
def test_numbers(variant, name, dtype):
    errors = goldens.measured(variant, name, dtype)
    assert errors.attentions <= ATTENTIONS
    assert errors.hidden_states <= HIDDEN_STATES
    assert errors.logits is None or errors.logits <= LOGITS


def test_every_family_has_goldens():
    assert {goldens.model_type(variant) for variant in goldens.VARIANTS} == {*FAMILIES} - {
        "attnviz"
    }


@pytest.mark.parametrize("variant", goldens.VARIANTS)
def test_goldens_cover_what_they_should(variant):
    """A case that a variant lacks, or arrays that are missing from one, would not be noticed."""
    cases = goldens.cases(variant)
    assert set(cases) >= (
        {"single", "long", "padded"} if "ids" in cases["single"].arrays else {"single"}
    )
    for case in cases.values():
        assert case.records()
        assert any(key.endswith(".hidden") for key in case.arrays)
        assert all(np.isfinite(array).all() for array in case.arrays.values())
