"""A folder of sentence-transformers: how the vector of a text is made of a model's states.

`modules.json` lists what follows the model: pooling (`1_Pooling`), linear maps (`2_Dense`) and
normalisation (`2_Normalize`), a folder each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.models.build.layers import linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.json_object import read_bytes, read_object
from attnviz.models.model import Model
from attnviz.models.sources.folder import open_weights
from attnviz.nn.activations import gelu, identity, relu, sigmoid, silu, tanh
from attnviz.nn.linear import Linear
from attnviz.nn.pooling import (
    Pool,
    Several,
    Step,
    TextHead,
    first_token,
    largest,
    last_token,
    mean,
    rising_mean,
    root_mean,
    unit_length,
)
from attnviz.parse import parse_json
from attnviz.tokens import label

MODULES = "modules.json"
SETTINGS = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"

POOLS: dict[str, Pool] = {
    "cls": first_token,
    "max": largest,
    "mean": mean,
    "mean_sqrt_len_tokens": root_mean,
    "weightedmean": rising_mean,
    "lasttoken": last_token,
}
"""By the names of sentence-transformers, in the order in which it joins them."""

MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How files say so: a switch each."""

ACTIVATIONS: dict[str, Step] = {
    "Identity": identity,
    "Tanh": tanh,
    "ReLU": relu,
    "GELU": gelu,
    "SiLU": silu,
    "Sigmoid": sigmoid,
}


class Module(NamedTuple):
    kind: str
    """The name of its class: `Pooling`."""
    folder: Path


def read_modules(folder: Path) -> tuple[Module, ...]:
    """What `modules.json` lists, the model first; nothing where there is no such file.

    Raises:
        AttnvizError: a file that does not list modules.
    """
    path = folder / MODULES
    if not path.exists():
        return ()
    try:
        entries = parse_json(read_bytes(path))
    except ValueError as error:
        raise AttnvizError(f"{path} is damaged: {error}", "download it again") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("type"), str) for entry in entries
    ):
        raise AttnvizError(f"{path}: expected a list of modules", "take it from the model's folder")
    return tuple(
        Module(entry["type"].rpartition(".")[2], folder / _inside(path, entry.get("path", "")))
        for entry in entries
    )


def _inside(path: Path, name: object) -> str:
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise AttnvizError(f"{path}: a module's path is no folder beside it", "1_Pooling")
    return name


def with_embedding(model: Model, modules: Sequence[Module], folder: Path) -> Model:
    """The model with the head that makes a vector of a text; what cannot be read is said."""
    try:
        head = _head(model, modules)
    except AttnvizError as error:
        note = to_say("the vector of a text is not computed: {why}", why=error.message)
        return model._replace(notes=(*model.notes, note))
    transformer = model.transformer._replace(unembed=head)
    return model._replace(
        transformer=transformer,
        task="embed",
        labels=(),
        problem="",
        cut_tokens=_cut(modules[0].folder),
        notes=(*model.notes, *_settings_notes(modules[0].folder, folder)),
    )


def _head(model: Model, modules: Sequence[Module]) -> TextHead:
    pool: Pool | None = None
    steps: list[Step] = []
    d = int(model.shape["d_model"])
    for module in modules[1:]:
        if module.kind == "Pooling" and pool is None:
            pool, n = _pool(module.folder)
            d *= n
        elif module.kind == "Dense":
            step, activation = _dense(module.folder, d, model.dtype)
            d = len(step.weight)
            steps += [step, activation]
        elif module.kind == "Normalize":
            steps.append(unit_length)
        elif module.kind != "Dropout":
            raise AttnvizError(f"{MODULES} has {label(module.kind)}, which is not known", "")
    if pool is None:
        raise AttnvizError(f"{MODULES} has no Pooling", "")
    return TextHead(tuple(steps), pool)


def _pool(folder: Path) -> tuple[Pool, int]:
    """How vectors are pooled, and how many are joined."""
    config = Config(read_object(folder / "config.json"), str(folder / "config.json"))
    if config.has("pooling_mode"):  # as sentence-transformers 5 has it
        named = config.get("pooling_mode")
        names = set(named if isinstance(named, list) else [named])
    else:
        names = {name for key, name in MODES.items() if config.switch(key)}
    if not names or not names <= POOLS.keys():
        raise AttnvizError(f"{config.where} names no pooling that is known", "")
    pools = tuple(pool for name, pool in POOLS.items() if name in names)
    return (pools[0] if len(pools) == 1 else Several(pools)), len(pools)


def _dense(folder: Path, d: int, dtype: str) -> tuple[Linear, Step]:
    path = folder / "config.json"
    config = Config(read_object(path), str(path))
    config.require("in_features", d)
    name = config.text("activation_function", "Tanh").rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise AttnvizError(f"{path}: the activation {label(name)} is not known", "")
    tensors = Tensors(open_weights(folder, {}), (), np.dtype(dtype))
    has_bias = config.switch("bias", True)
    step = linear(tensors, "linear", d, config.count("out_features"), bias=has_bias)
    return step, ACTIVATIONS[name]


def _cut(folder: Path) -> int | None:
    """After how many tokens sentence-transformers cuts a text."""
    path = folder / SETTINGS
    config = Config(read_object(path) if path.exists() else {}, str(path))
    return config.count("max_seq_length") if config.has("max_seq_length") else None


def _settings_notes(model: Path, folder: Path) -> tuple[str, ...]:
    """What sentence-transformers does to a text before the model reads it, and attnviz does not."""
    notes: tuple[str, ...] = ()
    path, prompts = model / SETTINGS, folder / PROMPTS
    if path.exists() and Config(read_object(path), str(path)).switch("do_lower_case"):
        notes = (to_say("sentence-transformers lowers the case of a text first, attnviz does not"),)
    values = read_object(prompts) if prompts.exists() else {}
    name, texts = values.get("default_prompt_name"), values.get("prompts")
    if not isinstance(name, str) or not isinstance(texts, dict) or not texts.get(name):
        return notes
    return (
        *notes,
        to_say(
            "sentence-transformers puts “{prompt}” before a text, attnviz does not",
            prompt=label(str(texts[name])),
        ),
    )
