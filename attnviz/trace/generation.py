"""What a decoder wrote, token by token."""

from __future__ import annotations

from typing import Any, NamedTuple

from attnviz.nn.cache import Cache
from attnviz.tokens import Tokens
from attnviz.trace.record import Record


class Step(NamedTuple):
    """One token written."""

    id: int
    probability: float
    records: tuple[Record, ...]
    """Of the decoder, if asked for: one row a token that was read in this step."""


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

    def manifest(self, text: str) -> dict[str, Any]:
        """As it stands in a file; `text` is what was written, as words."""
        return {
            "text": text,
            "ids": list(self.written.ids),
            "probabilities": [step.probability for step in self.steps],
            "n_given": self.n_given,
            "ended": self.ended,
        }
