"""The script that trains `digits` runs, gives the same bytes for the same seed, and keeps the
held-out images out of the training."""

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
pytest.importorskip("sklearn")

HERE = Path(__file__).parent
TRAINING = HERE.parents[1] / "samples" / "training"
HELDOUT = HERE.parent / "models" / "packaged" / "digits-heldout.npz"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import digits_data

    return digits_data


def test_trains_to_the_same_files_twice(train: Callable[..., Any]) -> None:
    first, second = (train("digits", name, "--steps", "3") for name in ("first", "second"))
    assert first == second
    config, tensors = json.loads(first.config), load(first.weights)
    assert config["model_type"] == "attnviz"
    assert config["labels"] == list("0123456789")
    assert tensors["source.positions"].shape == (17, config["stack"]["d_model"])
    assert tensors["output.weight"].shape == (10, config["stack"]["d_model"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert len(first.weights) <= 120_000
    assert len(first.golden) <= 40 * 1024


def test_another_seed_is_reported_and_changes_nothing(train: Callable[..., Any]) -> None:
    alone = train("digits", "alone", "--steps", "3")
    beside = train("digits", "beside", "--steps", "3", "--also", "1")
    assert "heldout_accuracy_seed_1" in beside.card["figures"]
    assert alone[1:] == beside[1:]


def test_the_held_out_fifth_is_the_one_kept_here(data: ModuleType) -> None:
    images, labels = data.load()
    rest, apart = data.split(labels, data.N_HELDOUT)
    assert not set(rest) & set(apart)
    assert len(rest) + len(apart) == len(labels)
    with np.load(HELDOUT) as kept:
        assert (kept["images"] == images[apart]).all()
        assert (kept["labels"] == labels[apart]).all()


def test_patches_go_row_by_row(data: ModuleType) -> None:
    cut = data.patches(np.arange(64, dtype=np.float32).reshape(1, 8, 8))
    assert cut.shape == (1, 16, 4)
    assert cut[0, 1].tolist() == [2, 3, 10, 11]
    assert cut[0, 4].tolist() == [16, 17, 24, 25]


def test_pictures_are_the_kept_images(data: ModuleType) -> None:
    image = pytest.importorskip("PIL.Image")
    with np.load(HELDOUT) as kept:
        images, labels = kept["images"], kept["labels"]
    for name, (digit, times, inverted) in data.PICTURES.items():
        picture = np.asarray(image.open(TRAINING.parent / "digits" / f"{name}.png"))
        assert picture.shape == (8 * times, 8 * times)
        grey = 255 - picture if inverted else picture
        assert (np.rint(grey[::times, ::times] / 255 * 16) == images[labels == digit][0]).all()
