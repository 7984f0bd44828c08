"""What a decoder wrote, token by token."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from attnviz.nn.cache import Cache
from attnviz.tokens import Tokens
from attnviz.trace.record import Record


class Step(NamedTuple):
    """One token written."""

    id: int
    probability: float
    """As the model has it, before any rule."""
    records: tuple[Record, ...]
    """Of the decoder, if asked for: one row a token that was read in this step."""
    instead_of: int | None = None
    """What would have been written, the most probable token, if a rule had not changed that."""


class Generated(NamedTuple):
    """What a decoder wrote."""

    read: Tokens
    """What it read: the tokens that it started from, and all that it wrote but the last."""
    written: Tokens
    n_given: int
    """How many tokens it started from."""
    steps: tuple[Step, ...]
    """One for each token written."""
    ended: bool
    """Whether it wrote the end-of-text token; otherwise it was stopped."""
    cache: Cache | None = None
    """The keys and values of the tokens that it read, if it kept them."""
    first_step: int = 0
    """From this step on, tokens were rotated as those of the final length are: what was kept of
    them was computed anew. Above 0 only for models whose rotations depend on the length."""
    rules: Mapping[str, Any] = MappingProxyType({})
    """The rules of the checkpoint that were kept to, `no_repeat_ngram_size` …, with their
    values."""
    most_probable: Tokens | None = None
    """What the steps would have written without rules, if these changed any of them."""
    rules_file: str = ""
    """The file that has them."""
    not_done: tuple[str, ...] = ()
    """What that file asks for besides, `do_sample`, `num_beams 4`; here each token is the most
    probable."""

    def manifest(self, text: str) -> dict[str, Any]:
        """As it stands in a file; `text` is what was written, as words."""
        return {
            "text": text,
            "ids": list(self.written.ids),
            "probabilities": [step.probability for step in self.steps],
            "n_given": self.n_given,
            "ended": self.ended,
            **(
                {
                    "rules": dict(self.rules),
                    "instead_of": [step.instead_of for step in self.steps],
                }
                if self.rules
                else {}
            ),
        }
