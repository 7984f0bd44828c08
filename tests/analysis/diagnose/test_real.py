"""What is said of dumps that PyTorch made: used wrongly, as in `tests/golden/misuse`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.diagnosis import Diagnosis, diagnose
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.trace.dump import read_dump

FOLDER = Path(__file__).parents[2] / "golden" / "misuse"

MISUSES: dict[str, dict[str, Any]] = json.loads((FOLDER / "misuse.json").read_text("utf-8"))

MOST_BYTES = 660_000


def of_file(path: Path, options: dict[str, Any]) -> Diagnosis:
    """What `attnviz diagnose` says of a file under these options."""
    request = Request(**options)
    return diagnose(readings(read_dump([path], request.dtypes), request))


def named(found: Diagnosis) -> set[frozenset[str]]:
    """The first cause and those that fit this dump equally; each as the ids that it is of."""
    if not found.causes or not found.causes[0].explains:
        return set()
    cause = found.causes[0]
    return {frozenset(each.hypothesis.ids) for each in (cause.best, *cause.equivalent)}


def test_the_dumps_are_those_that_the_notes_are_about() -> None:
    files = {path.stem: path.stat().st_size for path in FOLDER.glob("*.npz")}
    assert files.keys() == MISUSES.keys()
    assert sum(files.values()) < MOST_BYTES
    assert all(each["ids"] and each["what"] for each in MISUSES.values())


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_of_pytorch_is_named_first_or_in_its_class(name: str) -> None:
    notes = MISUSES[name]
    found = of_file(FOLDER / f"{name}.npz", notes["options"])
    assert found.verdict == "differs"
    right = {frozenset(each.split("+")) for each in notes["ids"]}
    assert named(found) & right, f"{notes['what']} -> {named(found)} for {right}"


def test_more_heads_than_queries_taken_for_queries(tmp_path: Path) -> None:
    """Attention across 7 heads at each of 3 tokens: its rows are not the dump's queries."""
    q, k, v = np.random.default_rng(3).normal(size=(3, 2, 7, 3, 5)).astype(np.float32)
    scores = np.einsum("bhnd,bgnd->bnhg", q, k) / np.sqrt(5)
    e = np.exp(scores)
    out = np.einsum("bnhg,bgnd->bhnd", e / e.sum(-1, keepdims=True), v)
    np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=out.astype(np.float32))
    found = of_file(tmp_path / "dump.npz", {"layout": "bhnd"})
    assert frozenset({"L3"}) in named(found)
