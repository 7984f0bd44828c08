"""A name or a path -> a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from attnviz.files import shortened, why_unreachable
from attnviz.language import to_say
from attnviz.models.tokenizers.names import LANGUAGES
from attnviz.registry import nearest, parse_spec

if TYPE_CHECKING:
    from attnviz.models.model import Model
    from attnviz.models.sources.hub import HubName

DEFAULT = "tagger"
RANDOM = "random"

MAX_HEADS = 4096
"""Heads for which a width is chosen."""

PACKAGED = Path(__file__).parent / "packaged"


def packaged() -> list[str]:
    """The names of the trained models that ship with attnviz."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.json"))


def is_packaged(name: str) -> bool:
    """Whether a model of this name ships with attnviz."""
    return name.replace("-", "").isalnum() and os.path.exists(PACKAGED / name / "config.json")


def hub_name(name: str) -> HubName | None:
    """The model of the Hugging Face hub that `-m` means; None if it means something else.

    A short name that everybody knows, like gpt2, means the full one, unless the cache has it as it
    is.
    """
    base = name.partition(":")[0]
    if is_packaged(base) or base == RANDOM:
        return None
    if os.path.exists(name) or _names_file(name):
        return None
    from attnviz.models.sources.hub import parse_name
    from attnviz.models.sources.known import full_name

    found = parse_name(name)
    full = None if found is None else full_name(found.repository)
    if found is None or full is None or found.folder.exists():
        return found
    return found._replace(repository=full)


def _names_file(name: str) -> bool:
    """Whether a name ends as the files of models do."""
    from attnviz.models.formats import whole_formats

    suffixes = (".toml", *(each.SUFFIX for each in whole_formats()))
    return name.lower().endswith(suffixes)


def load_model(
    name: str | os.PathLike[str] | None = None, changes: Mapping[str, Any] | None = None
) -> Model:
    """The model that `-m` names: a packaged one, `random:layers=2,…`, a `.toml` stack, a folder,
    a `.gguf` file, `org/name` in Hugging Face's cache. The network is never used.

    Args:
        name: the name or path; None for `tagger`, or for `random` if the changes ask for other
            weights.
        changes: fields of the stack by name. A trained model takes only those that need no other
            weights: mask, score (without learned arrays), temperature, softcap, dtype;
            `adapter`, `none` or the folder of a LoRA adapter to merge into it; `source_lang` and
            `target_lang`, of translators that are told what they read and write.

    Raises:
        AttnvizError: no such model, a damaged one, or changes that it cannot take.
    """
    changes = dict(changes or {})
    languages = {side: changes.pop(side) for side in LANGUAGES if side in changes}
    if languages:
        from attnviz.models.edit.languages import in_languages

        return in_languages(load_model(name, changes), **languages)
    name = None if name is None else os.fspath(name)
    if name == "":  # a path would be the folder one is in
        raise AttnvizError("there is no name of a model", f"-m {DEFAULT}")
    if name is None and changes and needs_other_weights(changes):
        model = _seeded(RANDOM, changes)
        asked = ", ".join(f"{field}={value}" for field, value in changes.items())
        why = to_say(
            "{model} has no weights for {asked}: these are random", model=DEFAULT, asked=asked
        )
        return model._replace(notes=(*model.notes, why))
    name = DEFAULT if name is None else name
    if name.partition(":")[0] == RANDOM or name.endswith(".toml"):
        return _seeded(name, changes)
    from attnviz.models.build import stack

    dtype = stack.from_values({"dtype": changes.pop("dtype", "float32")}, "the flags").dtype
    model = _trained(name, dtype, changes.pop("adapter", None))
    if not changes:
        return model
    from attnviz.models.edit.override import override

    return override(model, changes)


def _seeded(name: str, changes: Mapping[str, Any]) -> Model:
    from attnviz.models.build import stack
    from attnviz.models.build.seeded import random_model

    if name.endswith(".toml"):
        fields, where = stack.read_stack(Path(name)), name
        width = _width(stack, {**fields, **changes})
        config, name = stack.from_values({**fields, **width}, where), Path(name).stem
    else:
        options = parse_spec(name)[1]
        width = _width(stack, {**options, **changes})
        config = stack.from_options({**options, **{key: str(n) for key, n in width.items()}})
    return random_model(stack.from_values(changes, "the flags", config), name)


def _width(stack: ModuleType, given: Mapping[str, Any]) -> dict[str, int]:
    """The width of the stack, where a number of heads is given, but no width that it divides."""
    heads = str(given.get("heads", ""))
    if (
        "d_model" in given
        or "d_k" in given
        or not (heads.isdecimal() and 0 < int(heads) <= MAX_HEADS)
    ):
        return {}
    return {"d_model": stack.width_for(int(heads))}


def _trained(name: str, dtype: str, adapter: str | None = None) -> Model:
    from attnviz.models.sources.checkpoint import load_checkpoint

    base, path = name.partition(":")[0], Path(name)
    if adapter is not None and (is_packaged(base) or os.path.isfile(path)):
        raise AttnvizError(
            f"{name} takes no adapter: one is merged into the weights of a folder",
            "-m FOLDER, with config.json and safetensors",
        )
    if is_packaged(base):  # ./tagger is a folder of the user's
        if parse_spec(name)[1]:
            raise AttnvizError(f"{base} is trained: it has no options", f"-m {base}")
        return load_checkpoint(PACKAGED / base, dtype, base)
    if os.path.isdir(path):  # which no name is too long for
        return load_checkpoint(path, dtype, adapter=adapter)
    from attnviz.models.formats import whole_format

    file_format = whole_format(path)
    if file_format is not None:
        model: Model = file_format.load(path, dtype)
        return model
    if os.path.exists(path):
        raise AttnvizError(
            f"{name} is not a model: expected a folder with config.json, a .gguf file "
            "or a .toml stack",
            f"name its folder: {path.parent}"
            if path.suffix == ".safetensors"
            else "attnviz show draws files of arrays",
        )
    on_hub = hub_name(name)
    if on_hub is not None:
        from attnviz.models.sources.hub import find

        snapshot = find(on_hub)
        if snapshot is not None:
            return load_checkpoint(snapshot, dtype, str(on_hub), adapter)
    raise _unknown(name, on_hub)


def _unknown(name: str, on_hub: HubName | None) -> AttnvizError:
    reason = why_unreachable(name)
    if reason is not None:
        return AttnvizError(
            f"no such model: {shortened(Path(name))}: {reason}", "attnviz models lists what is here"
        )
    if on_hub is not None and "/" in on_hub.repository and "/" not in name:
        return AttnvizError(
            f"{name} is not here: Hugging Face's cache has no {on_hub}",
            f"-m {on_hub} --download fetches it; attnviz models lists what is here",
        )
    if on_hub is not None and "/" in name:
        return AttnvizError(
            f"no such folder, and no such model in Hugging Face's cache: {name!r}",
            "--download fetches a model by this name; attnviz models lists what is here",
        )
    if _names_file(name) or "/" in name or "\\" in name or name.startswith("."):
        return AttnvizError(
            f"no such model, file or folder: {name!r}",
            "name a folder with config.json, a .gguf file, a .toml stack, or a model that "
            "attnviz models lists",
        )
    known = [RANDOM, *packaged(), "a folder", "a .gguf file", "a .toml file", "org/name"]
    base = parse_spec(name)[0]
    return AttnvizError(f"no such model: {name!r}", nearest(base, known, _short_names()))


def _short_names() -> list[str]:
    from attnviz.models.sources.known import KNOWN

    return list(KNOWN)


def needs_other_weights(changes: Mapping[str, Any]) -> bool:
    """Whether a change asks for a stack that no trained model has."""
    from attnviz.models.edit.override import CHANGES

    if set(changes) - {*CHANGES, *LANGUAGES, "dtype"}:
        return True
    if "score" not in changes:
        return False
    from attnviz.nn.scores import SCORES

    score = parse_spec(changes["score"])[0]
    return score in SCORES and bool(SCORES[score].arrays)


__all__ = ["DEFAULT", "hub_name", "load_model", "packaged"]
