"""Where a checkpoint keeps its chat template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_bytes
from attnviz.models.tokenizers.names import CONFIG
from attnviz.parse import decoded

if TYPE_CHECKING:
    from attnviz.models.chat.template import ChatTemplate

DEFAULT = "default"

JINJA = "chat_template.jinja"
MORE = "additional_chat_templates"
"""A folder of templates with other names than the default."""

GGUF = "tokenizer.chat_template"


def read_template(folder: Path) -> ChatTemplate | None:
    """The chat template in a folder, as transformers finds it: files of their own count before
    what tokenizer_config.json says; None if there is none. What is wrong with one is an error when
    it is used."""
    files = {DEFAULT: folder / JINJA} if (folder / JINJA).is_file() else {}
    files |= {path.stem: path for path in sorted((folder / MORE).glob("*.jinja"))}
    if not files and not (folder / CONFIG).exists():
        return None
    from attnviz.models.chat.template import ChatTemplate, make_template
    from attnviz.models.tokenizers.settings import NAMES, read_settings

    where = str(next(iter(files.values()), folder / CONFIG))
    try:
        settings = read_settings(folder)
        sources = {name: _text(path) for name, path in files.items()}
    except AttnvizError as error:
        return ChatTemplate({}, where, {}, damage=error.message)
    special = {
        key: token.content
        for key in (f"{name}_token" for name in NAMES)
        if (token := settings.special.get(key)) is not None
    }
    if files:
        return ChatTemplate(sources, where, special)
    value = settings.values.get("chat_template")
    if value is None:
        return None
    return make_template(value, where, special)


def _text(path: Path) -> str:
    try:
        return decoded(read_bytes(path))
    except ValueError as error:
        raise AttnvizError(f"{path} is no text: {error}", "download it again") from error


def gguf_template(metadata: Mapping[str, Any], path: Path) -> ChatTemplate | None:
    """The chat template in the metadata of a GGUF file: `tokenizer.chat_template` is the default,
    `tokenizer.chat_template.NAME` another."""
    sources = {
        key.removeprefix(GGUF).removeprefix(".") or DEFAULT: value
        for key, value in metadata.items()
        if (key == GGUF or key.startswith(f"{GGUF}.")) and isinstance(value, str)
    }
    if not sources:
        return None
    from attnviz.models.chat.template import ChatTemplate

    found = metadata.get("tokenizer.ggml.tokens")
    tokens = found if isinstance(found, list) else []
    special = {}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"),
                      ("pad", "padding"), ("cls", "cls"), ("mask", "mask")):  # fmt: skip
        id = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(id, int) and 0 <= id < len(tokens) and isinstance(tokens[id], str):
            special[f"{name}_token"] = tokens[id]
    return ChatTemplate(sources, str(path), special)
