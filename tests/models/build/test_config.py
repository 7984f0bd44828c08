"""Fields of a config: checked as they are read, and none is passed over."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config


def config(**fields):
    return Config(fields, "config.json", "look at it")


@pytest.mark.parametrize(
    ("method", "arguments", "good", "bad"),
    [
        ("count", (), [1, 7], [0, -1, 1.0, True, "1"]),
        ("whole", (), [0, 7], [-1, 1.0, False]),
        ("number", (), [0, -1.5, 1e300], [float("nan"), float("inf"), True, "1"]),
        ("above", (2,), [2.5, 3], [2, 1.5, float("inf")]),
        ("text", (), ["", "a"], [1, ["a"]]),
        ("switch", (), [True, False], [0, 1, "true"]),
        ("texts", (), [[], ["a", "b"]], ["a", ["a", 1], ["a", "a"]]),
    ],
)
def test_a_field_is_of_its_kind(method, arguments, good, bad):
    for value in good:
        assert getattr(config(x=value), method)(*arguments, "x") == (
            tuple(value) if isinstance(value, list) else value
        )
    for value in bad:
        with pytest.raises(AttnvizError, match=r"config\.json: x") as error:
            getattr(config(x=value), method)(*arguments, "x")
        assert error.value.hint == "look at it"


def test_a_null_is_a_missing_field():
    fields = config(x=None)
    assert not fields.has("x")
    assert fields.count("x", 5) == 5
    with pytest.raises(AttnvizError, match="has no 'x'"):
        fields.count("x")
    fields.refuse("x")
    assert fields.above_zero_or_null("x", 3.0) is None
    assert fields.above_zero_or_null("y", 3.0) == 3
    assert fields.above_zero_or_null("z", None) is None


def test_lists_have_as_many_entries_as_are_needed():
    fields = config(x=[1, 2.5], y=["a", "b"])
    assert fields.numbers("x", 2) == (1.0, 2.5)
    assert fields.kinds("y", 2, "a", "b", "c") == ("a", "b")
    for call in (lambda: fields.numbers("x", 3), lambda: fields.kinds("y", 3, "a", "b")):
        with pytest.raises(AttnvizError, match="a list of 3"):
            call()
    with pytest.raises(AttnvizError, match="y has 'b', which is not supported"):
        fields.kinds("y", 2, "a")


def test_a_count_that_no_tensor_confirms_has_a_maximum():
    assert config(x=9).count("x", maximum=9) == 9
    with pytest.raises(AttnvizError, match="a whole number up to 8, got 9"):
        config(x=9).count("x", maximum=8)


def test_a_choice_compares_types_too():
    assert config().choice("x", "a", "b") == "a"
    assert config(x="b").choice("x", "a", "b") == "b"
    for value in (1, 1.0, "True"):
        with pytest.raises(AttnvizError, match="changes the numbers and is not supported"):
            config(x=value).require("x", True)


def test_two_names_of_one_field_agree_or_are_refused():
    for fields in ({"new": 3}, {"old": 3}, {"old": 3, "new": 3}):
        either = config(**fields)
        either.aliases(old="new")
        assert either.count("new") == 3
        either.finish("")
    with pytest.raises(AttnvizError, match="old = 2 and new = 3 mean the same field"):
        config(old=2, new=3).aliases(old="new")


def test_a_section_says_where_it_stands():
    section = config(rope={"base": -1}).section("rope")
    with pytest.raises(AttnvizError, match=r"config\.json: rope: base: expected a number above 0"):
        section.above(0, "base")
    with pytest.raises(AttnvizError, match="a JSON object"):
        config(rope=3).section("rope")


def test_what_was_not_read_and_may_matter_is_refused():
    fields = config(model_type="llama", hidden_size=3, torch_dtype="float16", attn_pdrop=0.1)
    with pytest.raises(AttnvizError, match="the field 'hidden_size'"):
        fields.finish()
    fields.count("hidden_size")
    fields.finish()
    unused = config(model_type="llama", hidden_size=3)
    unused.inert("hidden_size")
    unused.finish()


@pytest.mark.parametrize("field", ["is_decoder", "add_cross_attention", "pruned_heads"])
def test_a_stack_in_which_something_was_changed_is_refused(field):
    changed = {"is_decoder": True, "add_cross_attention": True, "pruned_heads": {"0": [1]}}[field]
    with pytest.raises(AttnvizError, match=field):
        config(model_type="bert", **{field: changed}).finish()
    plain = {"is_decoder": False, "add_cross_attention": False, "pruned_heads": {}}[field]
    config(model_type="bert", **{field: plain}).finish()
