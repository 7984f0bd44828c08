"""The messages of a conversation, and what else its template is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.files import read_file
from attnviz.parse import parse_json
from attnviz.tokens import RESERVED

EXAMPLE = '[{"role": "user", "content": "Who are you?"}]'

ROLE = re.compile(r"[A-Za-z][A-Za-z_]{0,31}", re.ASCII)
"""How roles are spelled, so that `--keys` can name them."""

USER, SYSTEM, ASSISTANT = "user", "system", "assistant"


@dataclass(frozen=True)
class Chat:
    """A conversation that a model's own template makes a text of."""

    messages: tuple[Mapping[str, Any], ...]
    """As in a JSON file: `{"role": …, "content": …}`, and whatever else the template reads."""
    variables: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the template is told besides: `tools`, `enable_thinking`, `date`, …"""
    continues: bool = False
    """Whether the last message, if it is the assistant's, is left open, to be continued."""

    @property
    def about(self) -> str:
        """What the last message says, if that is a text."""
        content = self.messages[-1].get("content")
        return content if isinstance(content, str) else ""


def as_chat(text: str, system: str | None = None) -> Chat:
    """A text as what the user says, behind what the system says."""
    said = [] if system is None else [{"role": SYSTEM, "content": system}]
    return Chat((*said, {"role": USER, "content": text}))


def read_chat(path: Path, system: str | None = None) -> Chat:
    """The messages in a JSON file: a list of them, or an object that has them as `messages` and
    besides what the template is told.

    Raises:
        AttnvizError: it cannot be read, or is something else.
    """
    content = read_file(path)
    try:
        value = parse_json(content)
    except ValueError as error:
        raise AttnvizError(f"{path} is no JSON: {error}", EXAMPLE) from error
    return make_chat(value, str(path), system)


def make_chat(value: Any, where: str = "the messages", system: str | None = None) -> Chat:
    """A conversation of what JSON holds: see `read_chat`."""
    variables: dict[str, Any] = {}
    if isinstance(value, dict):
        variables = {key: each for key, each in value.items() if key != "messages"}
        value = value.get("messages")
    if not isinstance(value, list | tuple) or not value:
        raise AttnvizError(
            f"{where}: expected messages, or an object that has them as messages", EXAMPLE
        )
    messages = [_message(where, number, each) for number, each in enumerate(value)]
    if system is not None:
        if messages[0]["role"] == SYSTEM:
            raise AttnvizError(f"{where} has a system message already", "leave out --system")
        messages.insert(0, {"role": SYSTEM, "content": system})
    return Chat(tuple(messages), variables)


def _message(where: str, number: int, value: Any) -> dict[str, Any]:
    """One message, without what is null, as transformers hands it to a template."""
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise AttnvizError(f"{where}: message {number} has no role: {value!r:.60}", EXAMPLE)
    role = value["role"]
    if not ROLE.fullmatch(role) or role in RESERVED:
        raise AttnvizError(
            f"{where}: message {number} has the role {role!r:.60}, which cannot be one",
            "user, assistant, system, tool: letters and _, and not the name of another span",
        )
    if value.get("content") is None and len(value) < 3:
        raise AttnvizError(f"{where}: message {number} has no content: {value!r:.60}", EXAMPLE)
    return {key: each for key, each in value.items() if each is not None}


def texts_of(message: Mapping[str, Any]) -> Sequence[str]:
    """What a message says: its content, or the texts among the parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str)]
