"""A name or a path -> a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from attnviz.registry import nearest, parse_spec

if TYPE_CHECKING:
    from attnviz.models.model import Model

DEFAULT = "tagger"
RANDOM = "random"

PACKAGED = Path(__file__).parent / "packaged"


def packaged() -> list[str]:
    """The names of the trained models that ship with attnviz."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.json"))


def is_packaged(name: str) -> bool:
    """Whether a model of this name ships with attnviz."""
    return name.replace("-", "").isalnum() and (PACKAGED / name / "config.json").exists()


def load_model(name: str | None = None, changes: Mapping[str, Any] | None = None) -> Model:
    """The model that `-m` names: a packaged one, `random:layers=2,…`, a `.toml` stack, a folder.

    Args:
        name: the name or path; None for `tagger`, or for `random` if the changes ask for other
            weights.
        changes: fields of the stack by name. A trained model takes only those that need no other
            weights: mask, score (without learned arrays), temperature, softcap, dtype.
    """
    changes = dict(changes or {})
    if name is None:
        name = RANDOM if _needs_other_weights(changes) else DEFAULT
    word: str = name
    options: dict[str, str] = {}
    is_ours = is_packaged(name.partition(":")[0])  # ./tagger is a folder of the user's
    if is_ours or name.partition(":")[0] == RANDOM or not Path(name).exists():
        word, options = parse_spec(name)
    if word == RANDOM:
        from attnviz.models import stack
        from attnviz.models.random import random_model

        config = stack.from_options(options)
        return random_model(stack.from_values(changes, "the flags", config), name)
    path = Path(name)
    if path.suffix == ".toml":
        from attnviz.models import stack
        from attnviz.models.random import random_model

        config = stack.from_toml(path)
        return random_model(stack.from_values(changes, "the flags", config), path.stem)
    if is_ours:
        if options:
            raise AttnvizError(f"{word} is trained: it has no options", f"-m {word}")
        path = PACKAGED / word
    if path.is_dir():
        from attnviz.models import stack
        from attnviz.models.checkpoint import load_checkpoint
        from attnviz.models.intervene import intervene

        dtype = stack.from_values({"dtype": changes.pop("dtype", "float32")}, "the flags").dtype
        model = load_checkpoint(path, dtype)
        return intervene(model, changes) if changes else model
    if path.exists():
        raise AttnvizError(
            f"{name} is no model: expected a folder with config.json, or a .toml stack",
            "attnviz show draws files of arrays",
        )
    looks_like_path = "/" in name or "\\" in name or name.startswith(".")
    raise AttnvizError(
        f"no such {'model or folder' if looks_like_path else 'model'}: {name!r}",
        "name a folder with config.json, a .toml stack, or a model that attnviz models lists"
        if looks_like_path
        else nearest(word, [RANDOM, *packaged(), "a .toml file", "a folder"]),
    )


def _needs_other_weights(changes: Mapping[str, Any]) -> bool:
    """Whether a change asks for a stack that no trained model has."""
    from attnviz.models.intervene import CHANGES

    if set(changes) - {*CHANGES, "dtype"}:
        return True
    if "score" not in changes:
        return False
    from attnviz.nn.scores import SCORES, parameters

    score = parse_spec(changes["score"])[0]
    return score in SCORES and bool(parameters(score, 1, 1, 1))


__all__ = ["DEFAULT", "load_model", "packaged"]
