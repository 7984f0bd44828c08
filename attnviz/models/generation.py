"""How a checkpoint wants its decoder to write: its generation_config.json, or the fields of an
older config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.json_object import read_object

FILE = "generation_config.json"

SAMPLING: Mapping[str, Any] = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": None,
                               "typical_p": 1.0}  # fmt: skip
"""What `do_sample` is about, with what changes nothing, or is usual."""

OTHERS: Mapping[str, Any] = {
    "num_beams": 1,
    "penalty_alpha": 0,
    "guidance_scale": 1,
    "dola_layers": None,
    "force_words_ids": None,
    "constraints": None,
    "stop_strings": None,
    "watermarking_config": None,
}
"""What greedy decoding does not do, with what changes nothing."""


class Generation(NamedTuple):
    """How a checkpoint wants its decoder to write, as far as greedy decoding can."""

    where: str = ""
    """The file that says so."""
    rules: Mapping[str, Any] = MappingProxyType({})
    """Values by the names in `RULES`, without those that change nothing."""
    max_length: int | None = None
    """Tokens at most, with those that it was given."""
    max_new_tokens: int | None = None
    """Tokens that it writes at most; counts before `max_length`."""
    asks: tuple[str, ...] = ()
    """What it asks for besides, and is not done: `do_sample`, `num_beams 4`, …"""

    def most(self, n_given: int) -> int | None:
        """How many tokens may be written, of a text that has so many; None where nobody says."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return None if self.max_length is None else max(1, self.max_length - n_given)


def read_generation(folder: Path, config: Mapping[str, Any]) -> Generation:
    """What generation_config.json in a folder says; where there is none, `config`, the fields of
    its config.json, as transformers falls back on it."""
    path = folder / FILE
    if path.exists():
        return make_generation(read_object(path), path)
    return make_generation(config, folder / "config.json")


def make_generation(values: Mapping[str, Any], path: Path) -> Generation:
    """The same of what a file holds."""
    from attnviz.models.run.rules import RULES

    rules = {}
    for name, rule in RULES.items():
        value = values.get(name)
        if value is None or value == rule.nothing:
            continue
        if not rule.takes_value(value):
            raise _wrong(path, name, value, rule.expects)
        rules[name] = value
    limits = {}
    for name in ("max_length", "max_new_tokens"):
        limits[name] = value = values.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise _wrong(path, name, value, "a whole number of at least 1")
    return Generation(path.name, rules, **limits, asks=_asks(values))


def _asks(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the file asks for that is not greedy."""
    asks = []
    if values.get("do_sample") is True:
        details = [
            f"{name} {values[name]:.5}"
            if isinstance(values[name], float)
            else f"{name} {values[name]}"
            for name, usual in SAMPLING.items()
            if values.get(name) not in (None, usual)
        ]
        asks.append(" ".join(["do_sample", *([f"({', '.join(details)})"] if details else [])]))
    for name, usual in OTHERS.items():
        value = values.get(name)
        if value is not None and value != usual and value != []:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            asks.append(f"{name} {value}" if is_number else name)
    return tuple(asks)


def _wrong(path: Path, name: str, value: Any, expected: str) -> AttnvizError:
    return AttnvizError(f"{path}: {name} = {value!r:.60}, expected {expected}", "download it again")
