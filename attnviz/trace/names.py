"""What the arrays of anybody's file are, by their names: `q`, `layer0_key`, `encoder.0.self/v`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

ROLES: Mapping[str, tuple[str, ...]] = {
    "q": ("q", "query", "queries"),
    "k": ("k", "key", "keys"),
    "v": ("v", "value", "values"),
    "qkv": ("qkv",),
    "weights": (
        *("weights", "attn", "attention", "attentions", "probs", "pattern"),
        *("attn_weights", "attention_weights", "attn_probs", "attention_probs"),
    ),
    "context": (
        *("context", "ctx", "out", "output", "z", "o"),
        *("attn_out", "attn_output", "attention_output"),
    ),
    "scores": ("scores", "attn_scores", "attention_scores"),
    "logits": ("logits", "attn_logits", "attention_logits"),
    "mask": ("mask", "attn_mask", "attention_mask", "causal_mask"),
    "padding": ("padding", "padding_mask", "key_padding_mask", "pad_mask"),
    "bias": ("bias", "attn_bias", "attention_bias", "position_bias"),
    "sinks": ("sinks",),
    "w_q": ("w_q",),
    "w_k": ("w_k",),
    "w_v": ("w_v",),
    "w": ("w",),
}
"""What an array is -> the words that its name may end with."""

PROJECTED = ("q", "k", "v")

FILLERS = frozenset(("states", "layer", "proj", "heads", "vectors"))
"""Words behind the one that counts: `query_states`, `q_proj`."""

_ROLE_OF = {word: role for role, words in ROLES.items() for word in words}


class Name(NamedTuple):
    """What the name of an array says."""

    role: str
    group: tuple[str, ...]
    """What names the layer: the words before, and a number behind."""


def parse_name(name: str) -> Name | None:
    """The role and the group of an array; None where the name says nothing.

    >>> parse_name("layer0_key")
    Name(role='k', group=('layer', '0'))
    """
    words = re.findall(r"[a-z]+|\d+", name.casefold())
    number = (words.pop(),) if words and words[-1].isdigit() else ()
    while len(words) > 1 and words[-1] in FILLERS:
        words.pop()
    for length in (3, 2, 1):
        role = _ROLE_OF.get("_".join(words[-length:])) if len(words) >= length else None
        if role is not None:
            return Name(role, (*words[:-length], *number))
    return None


def has_projections(names: Iterable[str]) -> bool:
    """Whether queries and keys are among arrays of these names."""
    roles = {parsed.role for name in names if (parsed := parse_name(name)) is not None}
    return "qkv" in roles or {"q", "k"} <= roles


def by_group(names: Iterable[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """The layers of a file: group -> role -> name, in the order of their numbers.

    What belongs to all layers, a mask say, has a group of no words.
    """
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        parsed = parse_name(name)
        if parsed is not None:
            groups.setdefault(parsed.group, {}).setdefault(parsed.role, name)
    return dict(sorted(groups.items(), key=lambda item: _natural(item[0])))


def _natural(group: tuple[str, ...]) -> list[tuple[int, int | str]]:
    return [(0, int(word)) if word.isdigit() else (1, word) for word in group]


def place(group: tuple[str, ...]) -> tuple[str | None, int | None, str | None]:
    """Block, layer and kind of a group, as far as its words say them."""
    words = set(group)
    block = next((word for word in ("decoder", "encoder") if word in words), None)
    kind = "cross" if "cross" in words or {"encoder", "attn"} <= words - {block} else None
    if kind is None and "self" in words:
        kind = "self"
    numbers = [int(word) for word in group if word.isdigit()]
    return block, numbers[-1] if numbers and len(str(numbers[-1])) < 5 else None, kind
