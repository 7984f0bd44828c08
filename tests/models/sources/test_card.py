"""Cards of packaged models: what they must be, and that they are of these weights."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from attnviz.errors import AttnvizError
from attnviz.models.sources.card import check_card, read_card

CARD = {"sha256": "beef", "figures": {"accuracy": 0.5}, "limits": ["a"], "training_seconds": 61}


@pytest.fixture
def folder(tmp_path):
    def make(**changes):
        (tmp_path / "card.json").write_text(json.dumps(CARD | changes))
        return tmp_path

    return make


def test_a_card_is_read_where_there_is_one(folder, tmp_path):
    assert read_card(tmp_path) is None
    assert read_card(folder()) == CARD
    (tmp_path / "card.json").write_text('{"title": "of another tool"}')
    assert read_card(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [{"figures": []}, {"figures_text": "x"}, {"limits": {}}, {"training_seconds": "long"}],
)
def test_fields_of_other_kinds_are_refused(folder, changes):
    (name,) = changes
    with pytest.raises(AttnvizError, match=rf"card\.json: {name} is not a"):
        read_card(folder(**changes))


def test_weights_are_those_of_the_card(folder, tmp_path):
    def weights(sha256):
        return SimpleNamespace(path="model.safetensors", sha256=lambda: sha256)

    check_card(tmp_path, weights("dead"))  # without a card, any weights
    check_card(folder(), weights("beef"))
    with pytest.raises(AttnvizError, match=r"model\.safetensors is damaged: its SHA-256"):
        check_card(folder(), weights("dead"))
