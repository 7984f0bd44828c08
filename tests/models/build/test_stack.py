"""The configurable stack: texts, flags and TOML say the same."""

from __future__ import annotations

from dataclasses import fields

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.build.stack import (
    FIELDS,
    StackConfig,
    from_options,
    from_toml,
    from_values,
    width_for,
)
from tests.conftest import HERE

SAMPLES = HERE.parent / "samples"


def test_options():
    config = from_options({"layers": "3", "gated": "yes", "temperature": "0.5", "mask": "causal"})
    assert config == StackConfig(layers=3, gated=True, temperature=0.5, mask="causal")


def test_the_paper():
    config = from_toml(SAMPLES / "paper-base.toml")
    assert (config.layers, config.d_model, config.heads, config.width_ff) == (6, 512, 8, 2048)
    assert (config.width_k, config.width_v, config.kind) == (64, 64, "encoder-decoder")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.toml")), ids=lambda p: p.name)
def test_samples_are_valid(path):
    from_toml(path)


def test_flags_win_over_the_file():
    base = from_toml(SAMPLES / "paper-base.toml")
    assert from_values({"layers": 2}, "the flags", base).layers == 2
    assert from_values({}, "the flags", base) == base


def test_every_field_says_what_it_is():
    assert all(f.metadata["help"] for f in fields(StackConfig))
    assert set(FIELDS) == {f.name for f in fields(StackConfig)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer": "2"}, "unknown field 'layer'"),
        ({"layers": "x"}, "layers: expected a whole number"),
        ({"layers": "0"}, "layers: expected a whole number of at least 1, got 0"),
        ({"heads": "5"}, "5 heads do not divide d_model = 32"),
        ({"heads": "4", "kv_heads": "3"}, "heads = 4 is not a multiple of kv_heads = 3"),
        ({"kind": "both"}, "kind: expected encoder, decoder, encoder-decoder; got 'both'"),
        ({"norm": "group"}, "norm: expected layer, rms, batch, none"),
        ({"dtype": "float16"}, "dtype: expected float32, float64"),
        ({"temperature": "0"}, "temperature: expected a number above 0"),
        ({"temperature": "nan"}, "temperature: expected a number, got 'nan'"),
        ({"softcap": "-1"}, "softcap: expected a number above 0"),
        ({"d_ff": "-1"}, "d_ff: expected a whole number of at least 0"),
    ],
)
def test_bad_options(given, message):
    with pytest.raises(AttnvizError, match=message) as error:
        from_options(given)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers = '2'", "layers: expected int, got '2'"),
        ("layers = 2.5", "layers: expected int, got 2.5"),
        ("layers = true", "layers: expected int, got True"),
        ("gated = 1", "gated: expected bool, got 1"),
        ("[model]\nlayers = 2", "unknown field 'model'"),
        ("layers = ", "is not a TOML file"),
    ],
)
def test_bad_toml(tmp_path, text, message):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(AttnvizError, match=message) as error:
        from_toml(tmp_path / "s.toml")
    assert str(tmp_path / "s.toml") in error.value.message


def test_toml_that_is_not_utf8(tmp_path):
    (tmp_path / "s.toml").write_bytes(b"kind = '\xff'")
    with pytest.raises(AttnvizError, match="is not a TOML file"):
        from_toml(tmp_path / "s.toml")


def test_whole_numbers_stand_for_floats(tmp_path):
    (tmp_path / "s.toml").write_text("temperature = 2")
    assert from_toml(tmp_path / "s.toml").temperature == 2.0


@pytest.mark.parametrize(
    ("heads", "width"), [(1, 32), (4, 32), (16, 32), (3, 36), (5, 40), (12, 48), (64, 128)]
)
def test_a_width_that_the_heads_divide(heads, width):
    assert width_for(heads) == width
    assert width // heads % 2 == 0
    model = load_model(f"random:heads={heads}")
    assert (model.shape["n_head"], model.shape["d_model"]) == (heads, width)
    assert load_model("random", {"heads": heads}).shape["d_model"] == width


def test_a_width_that_was_asked_for_stays(tmp_path):
    for name, changes in (("random:heads=12,d_model=24", {}), ("random:d_model=24", {"heads": 12})):
        assert load_model(name, changes).shape["d_model"] == 24
    with pytest.raises(AttnvizError, match="12 heads do not divide d_model = 32"):
        load_model("random:d_model=32", {"heads": 12})
    path = tmp_path / "stack.toml"
    path.write_text("heads = 12\n")
    assert load_model(str(path)).shape["d_model"] == 48
    path.write_text("d_model = 32\n")
    with pytest.raises(AttnvizError, match="12 heads do not divide"):
        load_model(str(path), {"heads": 12})
