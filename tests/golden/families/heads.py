"""The tensors of every class of transformers that a checkpoint of a family may be of: heads.json.

    python tests/golden/families/heads.py

A class is told by what its file has besides the tensors of a golden of the family, which of those
it lacks, which prefix their names have, and what it sets in the config.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from make_families import EAGER
from safetensors.numpy import load_file
from variants import ENCODERS, VARIANTS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from attnviz.models.build.answers import reader_of  # noqa: E402
from tests.models.build.families.checkpoints import of_class  # noqa: E402

NAMES = HERE.parents[2] / "attnviz" / "models" / "build" / "read_names.json"

CAUSAL = ("ForCausalLM", "LMHeadModel")
"""Endings of the classes that an encoder must be told to be a decoder for."""


def saved(cls: Any, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """config.json and the shapes of the tensors, as `cls` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        cls(cls.config_class(**config)).save_pretrained(folder)
        tensors = load_file(Path(folder) / "model.safetensors")
        values = json.loads((Path(folder) / "config.json").read_text())
    return values, {name: list(tensor.shape) for name, tensor in tensors.items()}


def prefixes(names: set[str], others: set[str], body: str) -> tuple[str, str]:
    """What `others` and `names` begin with, so that most of them are the same without it."""
    choices = [(a, b) for a in ("", f"{body}.") for b in ("", f"{body}.", "transformer.")]
    return max(choices, key=lambda pair: len(_without(others, pair[0]) & _without(names, pair[1])))


def _without(names: set[str], start: str) -> set[str]:
    return {name.removeprefix(start) for name in names}


def describe(name: str, variant: str) -> dict[str, Any] | None:
    cls, first = getattr(transformers, name, None), getattr(transformers, VARIANTS[variant].model)
    if not isinstance(cls, type) or getattr(cls, "config_class", None) is not first.config_class:
        return None
    is_encoder = cls.config_class.model_type.replace("-", "_") in ENCODERS
    needed = {"is_decoder": True} if is_encoder and name.endswith(CAUSAL) else {}
    try:
        config, shapes = saved(cls, {**VARIANTS[variant].config, **needed})
    except (NotImplementedError, StopIteration, AttributeError):
        return None  # a base of classes
    base = json.loads((HERE / variant / "config.json").read_text())
    golden = {n: list(t.shape) for n, t in load_file(HERE / variant / "model.safetensors").items()}
    other, mine = prefixes({*shapes}, {*golden}, first.base_model_prefix)
    renamed = {(mine if n.startswith(other) else "") + n.removeprefix(other): n for n in golden}
    keys = (config.keys() | base.keys()) - {"architectures", "transformers_version"}
    entry = {
        "variant": variant,
        "prefix": [other, mine],
        "extra": {n: shape for n, shape in shapes.items() if n not in renamed},
        "lacks": sorted(n for n in renamed if n not in shapes),
        "config": {k: config.get(k) for k in sorted(keys) if config.get(k) != base.get(k)},
    }
    return entry | ({"answer": answer(cls, name, entry)} if reader_of(name) else {})


def answer(cls: Any, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Ids with what ends a text inside and at their end, and with padding behind; the logits."""
    with tempfile.TemporaryDirectory() as parent:
        folder = of_class(Path(parent) / "model", name, entry)
        model = cls.from_pretrained(folder, **EAGER).eval()
    config = model.config
    ids = np.random.default_rng(1).integers(5, config.vocab_size - 2, 11).tolist()
    padding, end = (getattr(config, f"{key}_token_id", None) for key in ("pad", "eos"))
    if config.is_encoder_decoder:
        ids[3] = ids[8] = end
    elif isinstance(padding, int) and 0 <= padding < config.vocab_size and hasattr(model, "score"):
        ids[9:] = [padding] * 2
    batch = torch.tensor([[ids]] if name.endswith("MultipleChoice") else [ids])
    with torch.no_grad():
        output = model(input_ids=batch)
    if "start_logits" in output:
        logits = torch.stack([output.start_logits, output.end_logits], -1)[0]
    else:
        logits = output.logits[0] if output.logits.ndim == 3 else output.logits
    return {"ids": ids, "logits": [[float(f"{x:.7g}") for x in row] for row in logits.tolist()]}


def main() -> int:
    firsts: dict[str, str] = {}
    for variant in VARIANTS:
        family = json.loads((HERE / variant / "config.json").read_text())["model_type"]
        firsts.setdefault(family, variant)
    classes = json.loads(NAMES.read_text())["classes"]
    found = {
        name: entry
        for family, variant in firsts.items()
        for name in classes[family.replace("-", "_")]
        if (entry := describe(name, variant)) is not None
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    (HERE / "heads.json").write_text(f"{{\n{lines}\n}}\n")
    print(len(found), "classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
