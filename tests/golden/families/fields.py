"""What becomes of a checkpoint when one field of its config is changed, according to transformers.

    python tests/golden/families/fields.py          # writes fields.json of every variant
    python tests/golden/families/fields.py gpt2 t5

Every field of every `config.json` is changed or left out, one at a time, and some are added. transformers then computes the same
as before, or something else, of which `probe.py` keeps some numbers, or finds that the weights do
not fit. attnviz must compute the same or refuse: it must never ignore a field that matters.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from corrections import correct
from make_families import EAGER, HERE, record
from probe import probe
from variants import VARIANTS

UNREAD = ("ForAudioClassification",)
"""Endings of the classes whose output attnviz does not compute."""

SKIPPED = ("architectures", "model_type", "transformers_version", "dtype", "id2label", "label2id")

TOKENS = ("_token_id", "_token_ids")
"""Endings of fields that say which tokens are special: changed to another id only."""

ADDED: dict[str, Any] = {
    "rope_theta": 777.0,
    "rope_scaling": {"type": "linear", "factor": 2.0},
    "partial_rotary_factor": 0.5,
    "sliding_window": 3,
    "logit_scale": 3.0,
}
"""Fields that are added where a config has none of that name."""

REMOVED = "removed"
"""Stands for the value of a field that is left out."""

KEPT = "original_max_position_embeddings"
"""Never left out: Phi-3's class would put its default over what `rope_parameters` says."""

WORDS = {
    "silu": ("gelu", "gelu_new", "quick_gelu"),
    "gelu": ("gelu_new", "relu", "mish"),
    "gelu_new": ("gelu", "silu", "mish"),
    "gelu_pytorch_tanh": ("gelu", "silu"),
    "relu": ("gelu", "relu2"),
    "swish": ("gelu_new", "relu"),
    "gated-gelu": ("relu", "gated-silu"),
    "sliding_attention": ("full_attention", "chunked_attention"),
    "full_attention": ("sliding_attention",),
    "default": ("linear", "dynamic"),
    "linear": ("default", "dynamic"),
    "llama3": ("linear", "dynamic"),
    "yarn": ("linear", "dynamic"),
    "longrope": ("default",),
}
"""What a word is changed to."""


def changes(name: str, value: Any) -> list[Any]:
    """Other values of the same kind."""
    match value:
        case bool():
            return [not value]
        case int():
            return [max(1, value // 2), value + 1]
        case float():
            return [value * 2 + 0.125]
        case str():
            return list(WORDS.get(value, ()))
        case None:
            return [3.0 if "softcapping" in name or "clip" in name else 3]
    return []


def changed_configs(config: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """The path of a field (`rope_parameters/factor`), its new value, and the config with it."""
    for path, value in _leaves(config):
        if value is None and str(path[-1]).endswith(TOKENS):
            continue
        for other in changes(str(path[-1]), value):
            changed = copy.deepcopy(config)
            at: Any = changed
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = other
            yield "/".join(map(str, path)), other, changed
    for field in config:
        if field not in (*SKIPPED, KEPT):
            yield field, REMOVED, {key: value for key, value in config.items() if key != field}
    for field, value in ADDED.items():
        if field not in config:
            yield field, value, {**config, field: value}


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if path and path[0] in SKIPPED:
        return
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(entry, (*path, key))
    else:
        yield path, value


def longest(folder: Path) -> dict[str, np.ndarray]:
    """The inputs of the variant's longest case."""
    with np.load(folder / "golden.npz") as file:
        name = "long" if any(key.startswith("long/") for key in file) else "single"
        keys = ("ids", "target", "pixels", "sound")
        return {key: file[f"{name}/{key}"] for key in keys if f"{name}/{key}" in file}


def outcome(folder: Path, cls: Any, case: dict[str, np.ndarray], heads: bool) -> np.ndarray | None:
    """The probe of what transformers computes, or None if it cannot."""
    with contextlib.suppress(Exception):
        model, report = cls.from_pretrained(folder, output_loading_info=True, **EAGER)
        if any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            return None
        outputs = record(correct(model.eval()), case)
        kept = {key: value[0] for key, value in outputs.items() if heads or key != "logits"}
        found = probe(kept)
        return found if np.isfinite(found).all() else None
    return None


def make(name: str) -> list[dict[str, Any]]:
    folder, cls = HERE / name, getattr(transformers, VARIANTS[name].model)
    heads = not cls.__name__.endswith(UNREAD)
    config = json.loads((folder / "config.json").read_text())
    case = longest(folder)
    before = outcome(folder, cls, case, heads)
    assert before is not None
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        copied = Path(temporary)
        shutil.copy(folder / "model.safetensors", copied)
        for field, value, changed in changed_configs(config):
            (copied / "config.json").write_text(json.dumps(changed))
            after = outcome(copied, cls, case, heads)
            entry: dict[str, Any] = {"field": field, "value": value}
            if after is None:
                entry["outcome"] = "refused"
            elif np.abs(after - before).max() <= 1e-6:
                entry["outcome"] = "same"
            else:
                entry |= {"outcome": "other", "numbers": [float(f"{x:.7g}") for x in after]}
            if field in ADDED and field not in config:
                entry["added"] = True
            if value == REMOVED:
                entry["removed"] = True
            found.append(entry)
    return found


def main() -> int:
    asked = tuple(sys.argv[1:]) or ("",)
    for name in VARIANTS:
        version = VARIANTS[name].transformers
        if name.startswith(asked) and transformers.__version__.startswith(version):
            found = make(name)
            lines = ",\n".join(json.dumps(entry) for entry in found)
            (HERE / name / "fields.json").write_text(f"[\n{lines}\n]\n")
            print(
                name,
                {k: sum(e["outcome"] == k for e in found) for k in ("same", "other", "refused")},
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
