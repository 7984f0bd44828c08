"""The conventions of specifications and libraries."""

from __future__ import annotations

import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.specs import DEFAULT, SPECS, conventions, filled
from attnviz.errors import AttnvizError


@pytest.mark.parametrize("name", SPECS)
def test_every_specification_says_what_it_is(name):
    entry = SPECS[name]
    made = conventions(name)
    assert made.name == name
    assert made.words
    assert entry.summary
    assert entry.title
    assert entry.source.startswith("https://")


def test_what_is_unknown_is_named():
    with pytest.raises(AttnvizError, match="unknown specification: 'tensorflow'"):
        conventions("tensorflow")
    with pytest.raises(AttnvizError, match="torch has no parameter 'is_casual'") as error:
        conventions("torch", {"is_casual": True})
    assert "`is_causal`" in error.value.hint
    with pytest.raises(AttnvizError, match="'torch' has no option 'order'"):
        conventions("torch:order=kernel")


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"scale": "0.1"}, 'torch: scale is "0.1"; expected a number'),
        ({"scale": True}, "torch: scale is true; expected a number"),
        ({"scale": float("nan")}, "torch: scale is NaN; expected a number"),
        ({"is_causal": "yes"}, 'torch: is_causal is "yes"; expected true or false'),
    ],
)
def test_values_of_another_type_are_named(params, found):
    with pytest.raises(AttnvizError) as error:
        conventions("torch", params)
    assert error.value.message == found


def test_parameters_fill_in_what_the_user_does_not_say():
    made = conventions("flash", {"causal": True, "softmax_scale": 0.3, "softcap": 7})
    request = filled(Request(scale=0.2, conventions=made))
    assert request.scale == 0.2
    assert request.causal
    assert request.softcap == 7
    empty = filled(Request(conventions=DEFAULT))
    assert (empty.scale, empty.causal, empty.softcap) == (None, None, None)
