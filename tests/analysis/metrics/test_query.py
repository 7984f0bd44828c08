"""Conditions on the rows of a table."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.metrics.query import fulfil, parse_conditions
from attnviz.errors import AttnvizError

COLUMNS = {
    "layer": np.array([0, 1, 2, 3]),
    "entropy": np.array([0.5, np.nan, 1.5, -2.0]),
    "role": np.array(["sink", "mixed", "other sink", "sink"], dtype=object),
}
WORDS = {"role": ("sink", "mixed", "other sink", "induction")}
"""A role that no head has is one that can be asked for."""


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("layer >= 2", [2, 3]),
        ("layer>1 and layer<3", [2]),
        ("layer >= 1, entropy > 0", [2]),
        ("entropy = 0.5", [0]),
        ("entropy == 5e-1", [0]),
        ("entropy < -1.5", [3]),
        ("entropy != 0.5", [2, 3]),
        ("layer <= 0", [0]),
        ("role = sink", [0, 3]),
        ("role = other sink", [2]),
        ("role != mixed and layer > 0", [2, 3]),
        ("layer > 9", []),
        ("role = induction", []),
    ],
)
def test_rows(text, rows):
    found = fulfil(parse_conditions(text, COLUMNS, WORDS), COLUMNS)
    assert np.flatnonzero(found).tolist() == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read ''"),
        ("layer", "cannot read 'layer'"),
        ("layer >", "cannot read 'layer >'"),
        ("> 2", "cannot read '> 2'"),
        ("layer > 1 and", "cannot read"),
        ("layer > 1,", "cannot read ''"),
        ("layer > 1 or layer < 0", "cannot read"),
        ("not layer > 1", "cannot read"),
        ("(layer > 1)", "cannot read"),
        ("layer > two", "layer is compared with a number, got 'two'"),
        ("layer > 1 > 0", "got '1 > 0'"),
        ("entropi > 1", "there is no column 'entropi'"),
        ("role > sink", "role is a word"),
        ("role = snk", "there is no role 'snk'"),
        ("role != snk", "there is no role 'snk'"),
        ("entropy < nan", "compared with a number, got 'nan'"),
        ("entropy > __import__('os')", "cannot read"),
    ],
)
def test_errors(text, message):
    with pytest.raises(AttnvizError) as error:
        parse_conditions(text, COLUMNS, WORDS)
    assert message in error.value.message
    assert error.value.hint


def test_the_nearest_name_is_offered():
    with pytest.raises(AttnvizError) as error:
        parse_conditions("entropi > 1", COLUMNS, WORDS)
    assert "did you mean `entropy`" in str(error.value.hint)
