"""Running a training script for a few steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TRAINING = Path(__file__).parents[2] / "samples" / "training"


class Trained(NamedTuple):
    """What a script wrote."""

    card: dict[str, Any]
    """Without the time that it took."""
    config: bytes
    weights: bytes
    golden: bytes


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Trained]:
    """`train("digits", "first", "--steps", "3")`: run samples/training/digits.py."""

    def run(script: str, name: str, *options: str) -> Trained:
        folder, golden = tmp_path / name, tmp_path / f"{name}.npz"
        command = [sys.executable, str(TRAINING / f"{script}.py"), "--out", str(folder)]
        command += ["--golden", str(golden), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        card = json.loads((folder / "card.json").read_text("utf-8"))
        assert card["figures"].keys() == card["figures_text"].keys()
        del card["training_seconds"]
        weights = (folder / "model.safetensors").read_bytes()
        assert card["n_byte"] == len(weights)
        return Trained(card, (folder / "config.json").read_bytes(), weights, golden.read_bytes())

    return run
