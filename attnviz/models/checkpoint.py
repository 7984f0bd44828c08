"""A checkpoint: a folder with `config.json` and safetensors, as Hugging Face writes them."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models import families
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.hf_tokenizer import HFTokenizer, NoTokenizer
from attnviz.models.model import Model, Tokenizer
from attnviz.models.tensors import TensorFile
from attnviz.registry import nearest


def load_checkpoint(folder: Path, dtype: str = "float32") -> Model:
    """The model in a folder."""
    config = _config(folder)
    weights = _weights(folder)
    tokenizer = folder / "tokenizer.json"
    model = assemble(
        folder.resolve().name,
        families.Config(config, str(folder / "config.json")),
        weights,
        HFTokenizer(tokenizer) if tokenizer.exists() else NoTokenizer(folder),
        dtype,
    )
    check_card(folder, weights)
    return model


def assemble(
    name: str, config: families.Config, weights: TensorFile, tokenizer: Tokenizer, dtype: str
) -> Model:
    """A model from what a file format holds: `config` and tensor names as Hugging Face's."""
    family = config.text("model_type", None)
    built = _family(family, config.where).build(config, weights, np.dtype(dtype))
    return Model(
        name=name,
        transformer=built.transformer,
        tokenizer=built.tokenizer or tokenizer,
        target_tokenizer=built.target_tokenizer,
        task=built.task,
        labels=built.labels,
        image=built.image,
        trained=True,
        shape={"family": family, **built.shape},
        n_parameter=built.n_parameter,
        max_tokens=built.max_tokens,
        trained_tokens=built.trained_tokens,
        n_vocabulary=built.n_vocabulary,
        dtype=dtype,
        fingerprint=weights.sha256,
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.exists():
        raise AttnvizError(
            f"{folder} is no checkpoint: it has no config.json",
            "name the folder that holds config.json and model.safetensors",
        )
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AttnvizError(
            f"{path} is damaged or no JSON file: {error}", "download it again"
        ) from error
    if not isinstance(config, dict):
        raise AttnvizError(f"{path}: expected a JSON object", "download it again")
    return config


def read_card(folder: Path) -> dict[str, Any] | None:
    """What is told of a model that attnviz trained: its data, licence and figures."""
    path = folder / "card.json"
    if not path.exists():
        return None
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AttnvizError(f"{path} is damaged: {error}", "install attnviz again") from error
    if not isinstance(card, dict) or "sha256" not in card:
        return None  # somebody else's file of that name
    kinds: dict[str, type] = {
        "figures": dict,
        "figures_text": dict,
        "limits": list,
        "training_seconds": float,
    }
    for key, kind in kinds.items():
        value = card.get(key, kind())
        if not isinstance(float(value) if isinstance(value, int) else value, kind):
            raise AttnvizError(f"{path}: {key} is garbled", "install attnviz again")
    return card


def check_card(folder: Path, weights: TensorFile) -> None:
    """Raise AttnvizError if the weights are not those that the card's figures are of."""
    card = read_card(folder)
    if card is not None and card.get("sha256") != weights.sha256():
        raise AttnvizError(
            f"{weights.path} is damaged: its SHA-256 is not the one in card.json",
            "install attnviz again, or train the model again",
        )


def known_families() -> list[str]:
    """The architectures that can be loaded: `model_type`, with _ where that may have -."""
    return [module.name for module in pkgutil.iter_modules(families.__path__)]


def _family(name: str, where: str) -> Any:
    module = name.replace("-", "_")
    if module not in known_families():
        raise AttnvizError(
            f"{where}: the architecture {name!r} is not supported", nearest(name, known_families())
        )
    return importlib.import_module(f"{families.__name__}.{module}")


def _weights(folder: Path) -> TensorFile:
    path = folder / "model.safetensors"
    if path.exists():
        return SafetensorsFile(path)
    if (folder / "pytorch_model.bin").exists():
        raise AttnvizError(
            f"{folder} has its weights in pytorch_model.bin only, a pickle, which is never loaded",
            "convert it where PyTorch is installed: "
            "AutoModel.from_pretrained(folder).save_pretrained(folder)",
        )
    raise AttnvizError(
        f"{folder} has no model.safetensors", "name the folder that holds the weights"
    )
