"""The script that trains `induction` runs, gives the same bytes for the same seed, and its texts
are what it says they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

pytest.importorskip("torch")

TRAINING = Path(__file__).parents[2] / "samples" / "training"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import induction_data

    return induction_data


def test_trains_to_the_same_files_twice(train: Callable[..., Any]) -> None:
    first, second = (train("induction", name, "--steps", "3") for name in ("first", "second"))
    assert first == second
    config, tensors = json.loads(first.config), load(first.weights)
    assert config["model_type"] == "attnviz"
    n_character = len(config["source"]["characters"])
    assert tensors["source.tokens"].shape == (n_character, config["stack"]["d_model"])
    assert tensors["output.weight"].shape == (n_character, config["stack"]["d_model"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert len(first.weights) <= 100_000
    assert len(first.golden) <= 40 * 1024


def test_blocks_repeat(data: ModuleType) -> None:
    texts = data.repeated_blocks(np.random.default_rng(0), 50, data.TRAINING_PERIODS, repeats=0.5)
    assert not set(texts.period) & set(data.UNSEEN_PERIODS)
    recurs = 0
    for ids, period, told in zip(texts.ids, texts.period, texts.told, strict=True):
        assert ids[0] == data.BEGIN
        assert data.BEGIN not in ids[1:]
        assert (ids[1 + period :] == ids[1:-period]).all()
        assert told.sum() == len(told) - period - 1
        recurs += len(set(ids[1 : 1 + period])) < period
    assert 10 < recurs < 40


def test_blocks_for_the_test_are_always_the_same(data: ModuleType) -> None:
    for period in data.UNSEEN_PERIODS:
        texts = data.unseen_texts(period, 5)
        assert (texts.ids == data.unseen_texts(period, 5).ids).all()
        assert (texts.period == period).all()
        assert all(len(set(ids[1 : 1 + period])) == period for ids in texts.ids)


def test_followers_stand_behind_earlier_copies(data: ModuleType) -> None:
    ids = np.array([[1, 5, 6, 5, 6, 6]])
    assert np.argwhere(data.followers(ids)[0]).tolist() == [[3, 2], [4, 3], [5, 3], [5, 5]]
