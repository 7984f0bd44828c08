"""What a model is called that somebody gave as a folder or a file: what it is, and not `model`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnviz.tokens import label

GENERIC = frozenset(
    (
        *("best", "cache", "checkpoint", "checkpoints", "ckpt", "data", "download", "downloads"),
        *("export", "files", "final", "ggml-model", "gguf", "hf", "hub", "last", "latest", "local"),
        *("main", "master", "model", "models", "model_files", "my_model", "output", "outputs"),
        *("private", "pytorch", "pytorch_model", "result", "results", "safetensors", "saved"),
        *("saved_model", "snapshot", "snapshots", "src", "temp", "tmp", "transformers", "var"),
        "weights",
    )
)
"""Names of folders and files that say nothing of the model inside."""

MODULE = re.compile(r"\d+(_[A-Z]\w*)?|[0-9a-f]{12,64}")
"""Names of numbers, of parts of a pipeline (`0_Transformer`), and of commits."""

STEP = re.compile(
    r"(checkpoint|ckpt|epoch|step|iter|run|fold|version|v)[-_=]?\d[\d.]*", re.IGNORECASE
)
"""Names of one of several states of a model, which say something beside the model's."""

LEVELS = 4
"""Folders above that are looked at."""

CARD = "README.md"
CARD_BYTES = 1 << 16
LONGEST = 60
"""Characters of a name; a longer heading is a sentence."""

FRONT = re.compile(r"\A---\s*\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
FRONT_NAME = re.compile(
    r"^(?:model_name:|model-index:\s*\n-?\s*-\s*name:)[ \t]*([^\n]+)$", re.MULTILINE
)
FRONT_BASE = re.compile(r"^base_model:[ \t]*(?:\n[ \t]*-[ \t]*)?([^\s\[]+)", re.MULTILINE)
HEADING = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
PREAMBLE = re.compile(r"model\s+card\s*(?:for|of|:|-)?\s*", re.IGNORECASE)
NO_NAME = frozenset(("", "model id", "model", "readme", "model name", "description", "untitled"))


def folder_name(folder: Path, config: Mapping[str, Any]) -> str:
    """The name of the model in a folder.

    In the hub's cache the repository's; else the folder's own, if it says anything; else what its
    model card is headed by, or the nearest folder above whose name says anything. What the config
    was made from comes last, since that may be the model that this one was tuned from.
    """
    from attnviz.models.sources.hub import name_of

    folder = folder.resolve()
    if (on_hub := name_of(folder)) is not None:
        return str(on_hub)
    if not is_generic(folder.name) and not STEP.fullmatch(folder.name):
        return folder.name
    found = _card_name(folder / CARD) or _above(folder) or _origin(config)
    if found is None:
        return folder.name
    return f"{found}/{folder.name}" if STEP.fullmatch(folder.name) else found


def is_generic(name: str) -> bool:
    """Whether the name of a folder or a file says nothing of the model inside."""
    return name.casefold() in GENERIC or MODULE.fullmatch(name) is not None


def card_base(folder: Path) -> str:
    """The model that the card in a folder says that this one was made of; empty if it says none."""
    front = FRONT.match(_card_text(folder / CARD) or "")
    named = FRONT_BASE.search(front[1]) if front else None
    return label(named[1].strip("\"' ")) if named else ""


def _card_text(path: Path) -> str | None:
    """How a model card begins."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return None


def _card_name(path: Path) -> str | None:
    """What a model card calls its model: in its front matter, or in its first heading."""
    text = _card_text(path)
    if text is None:
        return None
    front = FRONT.match(text)
    named = FRONT_NAME.search(front[1]) if front else None
    heading = HEADING.search(text, front.end() if front else 0)
    for match in (named, heading):
        if match is None:
            continue
        name = label(PREAMBLE.sub("", match[1].strip("\"' ")).strip(" `*"))
        if name.casefold() not in NO_NAME and len(name) <= LONGEST:
            return name
    return None


def _above(folder: Path) -> str | None:
    """The nearest folder above whose name says anything; not somebody's own."""
    homes = {Path.home(), *Path.home().parents}
    for each in list(folder.parents)[:LEVELS]:
        if each in homes or each.parent.name in ("home", "Users"):
            return None
        if not is_generic(each.name) and not STEP.fullmatch(each.name):
            return each.name
    return None


def _origin(config: Mapping[str, Any]) -> str | None:
    """`org/name` that a config says it was made from; not a path on somebody's machine."""
    from attnviz.models.sources.hub import parse_name

    name = config.get("_name_or_path")
    if not isinstance(name, str) or parse_name(name) is None:
        return None
    return None if is_generic(name.rpartition("/")[2]) else name
