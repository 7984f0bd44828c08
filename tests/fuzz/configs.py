"""Configs of every family with random fields, against transformers.

For each, transformers makes a tiny random checkpoint. attnviz computes the same, or refuses with
an error; another number is a finding.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.families.variants import VARIANTS, Variant

BOUND = 1e-4
"""Of attention weights and, relative to their size, hidden states and logits."""

LARGEST: dict[tuple[str, str], float] = {}
"""The largest difference by family and what differs."""

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24)
FLOATS = (0.0, 1e-6, 0.03, 0.5, 1.0, 2.0, 4.0, 50.0)
ACTIVATIONS = (
    "gelu",
    "gelu_new",
    "gelu_pytorch_tanh",
    "relu",
    "relu2",
    "silu",
    "quick_gelu",
    "tanh",
    "mish",
)
ROPE: tuple[dict[str, Any], ...] = (
    {"rope_type": "default", "rope_theta": 500.0},
    {"rope_type": "linear", "factor": 3.0, "rope_theta": 1e4},
    {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
    {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 10},
    {"rope_type": "llama3", "factor": 8.0, "rope_theta": 1e4, "low_freq_factor": 1.0,
     "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
)  # fmt: skip
KEPT = ("vocab_size", "model_type", "architectures", "transformers_version", "dtype", "torch_dtype",
        "id2label", "label2id", "return_dict", "initializer_factor", "output_attentions", "output_hidden_states", "chunk_size_feed_forward",
        "_name_or_path", "problem_type", "num_labels", "image_size", "patch_size", "num_channels")  # fmt: skip


OTHER_CLASSES = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
"""Endings of classes that a checkpoint of text may be of instead."""


def change(random_: random.Random, name: str, value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, dict) and any(isinstance(part, dict) for part in value.values()):
        part = random_.choice(sorted(value))  # the rotation of some layers
        return {**value, part: random_.choice(ROPE)}
    if name in ("rope_parameters", "rope_scaling"):
        return random_.choice(ROPE)
    if isinstance(value, dict) and value:
        part = random_.choice(sorted(value))
        return {**value, part: change(random_, part, value[part])}
    if "activation" in name or name.endswith("_act"):
        return random_.choice(ACTIVATIONS)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random_.choice((*SIZES, value + 1, max(1, value - 1)))
    if isinstance(value, float):
        return random_.choice(FLOATS)
    if value is None:
        return random_.choice((None, 2, 4, 1.0, True))
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [random_.choice(value) for _ in value]
    if isinstance(value, list) and all(isinstance(entry, int) for entry in value):
        return [random_.choice((*value, 0, 1)) for _ in value or "ab"]
    return value


def random_config(random_: random.Random, variant: Variant, cls: Any) -> dict[str, Any]:
    config = dict(variant.config)
    known = {k: v for k, v in cls.config_class(**config).to_dict().items() if k not in KEPT}
    for name in random_.sample(sorted(known), min(len(known), random_.choice((1, 1, 2, 3)))):
        config[name] = change(random_, name, known[name])
    if "num_hidden_layers" in known and random_.random() < 0.1:
        kinds = ("full_attention", "sliding_attention")
        config["layer_types"] = [random_.choice(kinds) for _ in range(known["num_hidden_layers"])]
    return config


def random_variant(random_: random.Random, variant: Variant) -> Variant:
    """The variant, or now and then another class of its family and the longer input."""
    import transformers

    cls = getattr(transformers, variant.model)
    if random_.random() < 0.2 and variant.cases != "classified":
        stem = cls.config_class.__name__.removesuffix("Config")
        other = stem + random_.choice(OTHER_CLASSES)
        if hasattr(transformers, other):
            is_pair = variant.cases == "seq2seq"
            return replace(variant, model=other, cases="classified" if is_pair else variant.cases)
    return variant


def make(
    folder: Path, variant: Variant, config: dict[str, Any], seed: int, length: str = "single"
) -> dict[str, Any] | None:
    """A checkpoint of this config and what transformers computes of it; None if it cannot."""
    import torch
    import transformers

    from tests.golden.families import cases, make_families

    cls = getattr(transformers, variant.model)
    with contextlib.suppress(Exception), torch.no_grad():
        torch.manual_seed(seed)
        model = cls(cls.config_class(**config))
        make_families.randomise(model, variant)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        loaded, report = cls.from_pretrained(
            folder, **make_families.EAGER, output_loading_info=True
        )
        if any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            return None
        given = getattr(cases, variant.cases)(
            loaded.config, np.random.default_rng(seed), variant.tokens
        )
        case = given[length]
        outputs = make_families.record(make_families.correct(loaded.eval()), case)
        if all(np.isfinite(array).all() for array in outputs.values()):
            return {"case": case, "outputs": outputs}
    return None


def compare(folder: Path, truth: dict[str, Any], is_projected: bool) -> str | None:
    """What is wrong; None if attnviz computes the same or refuses."""
    import attnviz
    from attnviz.errors import AttnvizError

    case = truth["case"]
    try:
        given: dict[str, Any] = {
            name: case[key][0].tolist() if key == "ids" else case[key][0]
            for name, key in (("text", "ids"), ("image", "pixels"), ("sound", "sound"))
            if key in case
        }
        if "target" in case:
            given["target"] = case["target"][0].tolist()
        trace = attnviz.run(**given, model=str(folder), hidden_states=True, logits=True)
    except AttnvizError:
        return None
    found = {record.id: record.weights for record in trace}
    for stack, states in trace.hidden_states.items():
        found[f"{stack}.hidden"] = np.stack(states)
    if trace.logits is not None:
        found["logits"] = trace.logits
    for name, array in found.items():
        if name not in truth["outputs"]:
            continue
        expected = truth["outputs"][name][0]
        if is_projected and name.endswith("hidden"):
            array = array[: len(expected)]  # its last state is projected for the output
        if name == "logits":
            expected = np.atleast_2d(expected)  # [n_class]
            if array.shape[::-1] == (2, expected.size):  # the other one is 0
                array = array[:, 1][None]
        if array.shape != expected.shape:
            return f"{name}: shape {array.shape}, transformers has {expected.shape}"
        off = float(np.abs(array - expected).max() / max(1.0, float(np.abs(expected).max())))
        kind = name if name in ("logits",) else "hidden" if name.endswith("hidden") else "attention"
        key = (str(trace.model.shape["family"]), kind)
        LARGEST[key] = max(LARGEST.get(key, 0.0), off)
        if off > BOUND:
            return f"{name}: off by {off:.1e}"
    return None


def run(seconds: float, seed: int, only: str = "") -> Iterator[str]:
    """Findings, each with the config's changed fields."""
    names = [name for name in sorted(VARIANTS) if re.search(only, name)]
    if not names:
        raise SystemExit(f"no variant matches {only!r}")
    try:
        import transformers
    except ImportError:
        print("transformers is not installed: no configs are compared")
        return
    sys.path.insert(0, str(Path(__file__).parents[1] / "golden" / "families"))
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    random_ = random.Random(seed)
    end = time.monotonic() + seconds
    n = compared = 0
    while time.monotonic() < end:
        name = random_.choice(names)
        variant = random_variant(random_, VARIANTS[name])
        n += 1
        try:
            config = random_config(random_, variant, getattr(transformers, variant.model))
        except Exception:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            length = random_.choice(("single", "long"))
            truth = make(folder, variant, copy.deepcopy(config), n, length)
            if truth is None:
                continue
            compared += 1
            own = {
                k: v
                for k, v in config.items()
                if variant.config.get(k) != v or k not in variant.config
            }
            try:
                wrong = compare(folder, truth, name.startswith("opt"))
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                yield f"{name}, {variant.model}, {length}, with {json.dumps(own, default=str)} (number {n} of seed {seed})\n  {wrong}"
    print(f"{n} configs, of which transformers could load {compared}")
    for key, off in sorted(LARGEST.items(), key=lambda entry: -entry[1])[:8]:
        print(f"largest difference of {' '.join(key)}: {off:.1e}")
