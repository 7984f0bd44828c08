"""The goldens of the families, and how far attnviz is from them."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import attnviz
from attnviz.models import load_model
from attnviz.models.build.families import family_name
from attnviz.models.model import Model
from attnviz.nn.masks import Mask, padded
from attnviz.trace.record import Trace
from tests.conftest import GOLDEN

FAMILIES = GOLDEN / "families"
VARIANTS = sorted(path.parent.name for path in FAMILIES.glob("*/golden.npz"))


READ = "ids", "pixels", "sound"
"""What a model reads, one of them."""


class Case(NamedTuple):
    """One input of one variant, and what transformers computes of it; arrays keep the batch axis."""

    variant: str
    name: str
    arrays: dict[str, np.ndarray]

    @property
    def n_row(self) -> int:
        return len(next(self.arrays[key] for key in READ if key in self.arrays))

    def length(self, row: int) -> int:
        """How many tokens of a row are no padding."""
        if "mask" in self.arrays:
            return int(self.arrays["mask"][row].sum())
        return self.arrays["ids"].shape[1]

    def records(self) -> list[str]:
        return [key for key in self.arrays if key.endswith((".self", ".cross"))]

    def is_padded(self, key: str) -> bool:
        """Whether the rows of an output are those of the padded text, not of the target."""
        return "mask" in self.arrays and ("target" not in self.arrays or key.startswith("encoder"))


class Errors(NamedTuple):
    """The largest absolute differences; None where there is nothing to compare."""

    attentions: float
    hidden_states: float
    logits: float | None


def worst(errors: Sequence[Errors]) -> Errors:
    """The largest of each kind."""
    attentions, hidden, logits = zip(*errors, strict=True)
    known = [each for each in logits if each is not None]
    return Errors(max(attentions), max(hidden), max(known, default=None))


def config(variant: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FAMILIES / variant / "config.json").read_text())
    return found


def model_type(variant: str) -> str:
    """As files are named."""
    return family_name(str(config(variant)["model_type"]))


def has_head(variant: str) -> bool:
    """Whether its class has an output that attnviz computes: the prediction of tokens, or an
    answer. Of the classes here it lacks one, which classifies sounds."""
    name = config(variant)["architectures"][0]
    if name == "WhisperForAudioClassification":
        return False
    return not name.endswith("Model") or name.endswith(("LMHeadModel", "MTModel"))


def left_out(variant: str) -> int:
    """How many of the last hidden states the goldens lack: OPT-350m's, which transformers gives
    as projected for the output already."""
    return int(variant in ("opt-post", "opt-projected"))


@functools.lru_cache(maxsize=8)
def original(variant: str, dtype: str = "float32") -> Model:
    """The checkpoint as it is."""
    return load_model(str(FAMILIES / variant), {"dtype": dtype})


@functools.cache
def cases(variant: str) -> dict[str, Case]:
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(FAMILIES / variant / "golden.npz") as file:
        for key, array in file.items():
            name, _, rest = key.partition("/")
            found.setdefault(name, {})[rest] = array
    return {name: Case(variant, name, arrays) for name, arrays in found.items()}


def longest(variant: str) -> Case:
    """The case of the most tokens, where there is more than one text."""
    return cases(variant).get("long") or cases(variant)["single"]


def every_case() -> list[tuple[str, str]]:
    return [(variant, name) for variant in VARIANTS for name in cases(variant)]


def run(case: Case, row: int, model: Path | Model | None = None, **options: Any) -> Trace:
    """What attnviz computes of one row of a case, with the model in a folder, one that is loaded,
    or by default the checkpoint as it is."""
    settings: dict[str, Any] = {
        "model": original(case.variant) if model is None else model,
        "hidden_states": True,
        "logits": True,
        "fingerprint": False,
        **options,
    }
    if "pixels" in case.arrays:
        return attnviz.run(image=case.arrays["pixels"][row], **settings)
    if "target" in case.arrays:
        settings["target"] = case.arrays["target"][row].tolist()
    if "sound" in case.arrays:
        return attnviz.run(sound=case.arrays["sound"][row], **settings)
    ids, pair = _segments(case, row)
    if "mask" in case.arrays:
        settings["mask"] = padding(case, row)
    return attnviz.run(ids, pair=pair, **settings)


def padding(case: Case, row: int) -> Mask:
    return padded((case.length(row),))


def _segments(case: Case, row: int) -> tuple[list[int], list[int] | None]:
    ids = case.arrays["ids"][row].tolist()
    if "segments" not in case.arrays:
        return ids, None
    first = case.arrays["segments"][row].tolist().index(1)
    return ids[:first], ids[first:]


@functools.cache
def measured(variant: str, name: str, dtype: str = "float32") -> Errors:
    """What `measure` says of a case of the checkpoint as it is."""
    return measure(cases(variant)[name], original(variant, dtype))


def measure(case: Case, model: Path | Model) -> Errors:
    """How far attnviz is from transformers in a case, rows of padding left out."""
    rows = range(case.n_row)
    return worst([_differences(case, row, run(case, row, model)) for row in rows])


def _differences(case: Case, row: int, trace: Trace) -> Errors:
    assert sorted(record.id for record in trace) == sorted(case.records())
    attentions = [_distance(case, row, id, trace[id].weights, axis=1) for id in case.records()]
    hidden = []
    for stack, states in trace.hidden_states.items():
        kept = np.stack(states[: len(states) - left_out(case.variant)])
        hidden.append(_distance(case, row, f"{stack}.hidden", kept, axis=1))
    logits = None
    if has_head(case.variant):
        found = as_logits(case.variant, trace)
        shape = case.arrays["logits"][row].shape  # of a whole text or image there is one row
        logits = _distance(case, row, "logits", found.reshape(shape), axis=0)
    elif not config(case.variant)["architectures"][0].endswith("Model"):
        assert trace.logits is None
        assert trace.model.task == ""
    return Errors(max(attentions), max(hidden), logits)


def as_logits(variant: str, trace: Trace) -> np.ndarray:
    """The logits of a trace as transformers' class has them, but for axes of length 1."""
    assert trace.logits is not None
    if config(variant)["architectures"][0] == "ElectraForPreTraining":
        return trace.logits[:, 1]  # the other one is 0
    return trace.logits


def _distance(case: Case, row: int, key: str, found: np.ndarray, *, axis: int) -> float:
    """The largest difference from the golden, in its rows along `axis` that are no padding."""
    expected = case.arrays[key][row]
    assert found.shape == expected.shape, f"{key}: {found.shape} and {expected.shape}"
    if case.is_padded(key) and found.shape[axis] == case.arrays["ids"].shape[1]:
        rows = np.arange(case.length(row))
        expected, found = expected.take(rows, axis), found.take(rows, axis)
    return float(np.abs(found - expected).max())
