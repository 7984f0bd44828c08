"""Make the dumps of `misuse/` with PyTorch, or check against them.

    pip install torch==2.13.0
    python tests/golden/make_misuse.py          # write the files
    python tests/golden/make_misuse.py --check  # compare every number

Each dump is what somebody saves whose attention is wrong: PyTorch's own functions or plain code,
used as a real thread describes it (`recipes/`). `misuse/misuse.json` says of each which answers
are right and what its author would say of the attention that was wanted.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recipes.dump import MISUSES, Draw, Misuse, Saved

FOLDER = Path(__file__).parent / "misuse"

TOLERANCE = {"float32": 2e-5, "float16": 5e-3}


def made(misuse: Misuse) -> dict[str, np.ndarray]:
    """The arrays of a dump, of which the last is wrong by far more than rounding."""
    saved: Saved = misuse.make(Draw(misuse.name))
    got, right = saved.got.double(), saved.right.double()
    assert got.shape == right.shape, misuse.name
    assert not torch.allclose(got, right, rtol=0, atol=1e-4), f"{misuse.name}: nothing is wrong"
    return {name: x.detach().contiguous().numpy() for name, x in saved.arrays.items()}


def notes() -> dict[str, Any]:
    return {
        each.name: {
            "ids": list(each.ids),
            "options": each.options,
            "what": each.what,
            "thread": each.thread,
        }
        for each in MISUSES
    }


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for misuse in MISUSES:
        np.savez_compressed(FOLDER / f"{misuse.name}.npz", **made(misuse))
    text = json.dumps(notes(), indent=1, ensure_ascii=False)
    (FOLDER / "misuse.json").write_text(text + "\n", encoding="utf-8")


def check() -> bool:
    """Whether the files hold what this script makes."""
    fine = json.loads((FOLDER / "misuse.json").read_text(encoding="utf-8")) == notes()
    if not fine:
        print("misuse.json differs")
    for misuse in MISUSES:
        with np.load(FOLDER / f"{misuse.name}.npz") as file:
            kept = dict(file)
        now = made(misuse)
        same = list(kept) == list(now) and all(
            kept[name].dtype == x.dtype
            and np.allclose(
                kept[name], x, rtol=0, equal_nan=True, atol=TOLERANCE.get(x.dtype.name, 0)
            )
            for name, x in now.items()
        )
        if not same:
            print(f"{misuse.name} differs")
        fine &= same
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        sys.exit(0 if check() else 1)
    write()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
