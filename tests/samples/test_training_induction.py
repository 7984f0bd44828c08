"""The script that trains `induction` runs, gives the same bytes for the same seed, and its texts
are what it says they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("torch")

TRAINING = Path(__file__).parents[2] / "samples" / "training"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import induction_data

    return induction_data


def train(folder: Path) -> list[object]:
    """The card without its time, and the bytes of the other files."""
    command = [sys.executable, str(TRAINING / "induction.py"), "--out", str(folder), "--steps", "3"]
    command += ["--golden", str(folder.with_suffix(".npz"))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    card = json.loads((folder / "card.json").read_text("utf-8"))
    del card["training_seconds"]
    paths = folder / "model.safetensors", folder / "config.json", folder.with_suffix(".npz")
    return [card, *(path.read_bytes() for path in paths)]


def test_trains_to_the_same_files_twice(tmp_path: Path) -> None:
    first, second = train(tmp_path / "first"), train(tmp_path / "second")
    assert first == second
    card, config = first[0], json.loads(first[2])
    tensors = load_file(tmp_path / "first" / "model.safetensors")
    assert config["model_type"] == "attnviz"
    n_character = len(config["source"]["characters"])
    assert tensors["source.tokens"].shape == (n_character, config["stack"]["d_model"])
    assert tensors["output.weight"].shape == (n_character, config["stack"]["d_model"])
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype("float16")}
    assert card["n_byte"] == len(first[1]) <= 100_000
    assert card["figures"].keys() == card["figures_text"].keys()
    assert len(first[3]) <= 40 * 1024


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
