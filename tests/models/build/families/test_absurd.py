"""Configs that say anything: a model or one error, at once, whatever a field holds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.models.sources.checkpoint import load_checkpoint
from tests.conftest import GOLDEN
from tests.models.build.families.checkpoints import read, with_config

FAMILIES = GOLDEN / "families"
CONFIGS = {path.parent.name: read(path.parent)[0] for path in FAMILIES.glob("*/config.json")}

VALUES = st.sampled_from(
    [10**12, 2**31, 0, -1, 7.5, "x", "", float("nan"), float("inf"), True, [1, 2], {"a": 1}]
)


def spoiled(tmp_path, name, **changes):
    return with_config(tmp_path / name, CONFIGS[name] | changes, FAMILIES / name)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("albert", {"num_hidden_layers": 10**12}, "expected a whole number up to 1024"),
        ("vit", {"id2label": None, "num_labels": 10**12}, "expected a whole number up to 1048576"),
        ("llama", {"head_dim": 10**12}, "heads of 1000000000000 features are wider than"),
        ("bert", {"pruned_heads": {"0": [1]}}, "pruned_heads = .* changes the numbers"),
    ],
)
def test_sizes_that_no_tensor_holds_in_check(tmp_path, name, changes, message):
    with pytest.raises(AttnvizError, match=message) as error:
        load_checkpoint(spoiled(tmp_path, name, **changes))
    assert error.value.hint


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_what_every_config_of_2020_had(tmp_path, name):
    """Fields of transformers 2 that say nothing."""
    old = {"is_decoder": False, "pruned_heads": {}, "eos_token_ids": 0, "xla_device": None,
           "output_past": True, "num_labels": 2, "repetition_penalty": 1.0}  # fmt: skip
    extra = {key: value for key, value in old.items() if key not in CONFIGS[name]}
    assert load_checkpoint(spoiled(tmp_path, name, **extra)).n_parameter


@settings(
    deadline=2000, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_of_any_field(tmp_path, data):
    name = data.draw(st.sampled_from(sorted(CONFIGS)))
    field = data.draw(st.sampled_from(sorted(CONFIGS[name])))
    with contextlib.suppress(AttnvizError):
        load_checkpoint(spoiled(tmp_path, name, **{field: data.draw(VALUES)}))
