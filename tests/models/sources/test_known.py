"""Short names of models that everybody knows."""

from __future__ import annotations

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import hub_name, load_model, packaged
from attnviz.models.sources.hub import parse_name
from attnviz.models.sources.known import KNOWN, full_name


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_every_name_can_be_typed_and_is_of_the_hub():
    for short, full in KNOWN.items():
        assert full_name(short) == full_name(short.upper()) == full
        assert str(parse_name(full)) == full
        assert full.count("/") == 1
    assert not {*KNOWN} & {*packaged(), "random"}


@pytest.mark.parametrize("name", ["gpt2", "BERT-base-uncased", "all-MiniLM-L6-v2"])
def test_a_short_name_says_how_to_get_it(name):
    full = full_name(name)
    with pytest.raises(AttnvizError) as caught:
        load_model(name)
    assert f"no {full}" in caught.value.message
    assert caught.value.hint.startswith(f"-m {full} --download fetches it")


def test_a_slip_of_the_finger():
    with pytest.raises(AttnvizError) as caught:
        load_model("bert-base-uncase")
    assert "did you mean `bert-base-uncased`?" in caught.value.hint


def test_what_the_cache_has_under_the_short_name_stays(tmp_path):
    assert str(hub_name("gpt2")) == "openai-community/gpt2"
    assert str(hub_name("gpt2@v1")) == "openai-community/gpt2@v1"
    (tmp_path / "models--gpt2").mkdir()
    assert str(hub_name("gpt2")) == "gpt2"
