"""A name or a path -> a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from attnviz.registry import nearest, parse_spec

if TYPE_CHECKING:
    from attnviz.models.model import Model

DEFAULT = "random"

PACKAGED = ("random",)


def load_model(name: str = DEFAULT, changes: Mapping[str, Any] | None = None) -> Model:
    """The model that `-m` names: `random`, `random:layers=2,…`, a `.toml` stack, a folder.

    Args:
        name: the name or path.
        changes: fields of the stack by name. A checkpoint takes only those that need no other
            weights: mask, score (without learned arrays), temperature, softcap, dtype.
    """
    from attnviz.models import stack

    changes = dict(changes or {})
    word, options = parse_spec(name) if not Path(name).exists() else (name, {})
    if word == "random":
        from attnviz.models.random import random_model

        config = stack.from_options(options)
        return random_model(stack.from_values(changes, "the flags", config), name)
    path = Path(name)
    if path.suffix == ".toml":
        from attnviz.models.random import random_model

        config = stack.from_toml(path)
        return random_model(stack.from_values(changes, "the flags", config), path.stem)
    if path.is_dir():
        from attnviz.models.checkpoint import load_checkpoint
        from attnviz.models.intervene import intervene

        model = load_checkpoint(path, changes.pop("dtype", "float32"))
        return intervene(model, changes) if changes else model
    if path.exists():
        raise AttnvizError(
            f"{name} is no model: expected a folder with config.json, or a .toml stack",
            "attnviz show draws files of arrays",
        )
    looks_like_path = "/" in name or "\\" in name or name.startswith(".")
    raise AttnvizError(
        f"no such {'model or folder' if looks_like_path else 'model'}: {name!r}",
        "name a folder with config.json, a .toml stack, or random"
        if looks_like_path
        else nearest(word, [*PACKAGED, "a .toml file", "a folder"]),
    )


__all__ = ["DEFAULT", "load_model"]
