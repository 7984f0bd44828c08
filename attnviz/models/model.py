"""A model: a transformer with what reads its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from attnviz.nn.transformer import Transformer
from attnviz.tokens import Tokens


class Tokenizer(Protocol):
    """Text to tokens."""

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        """A text, or two as the model takes a pair of them."""
        ...

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        """Token ids as they are: nothing is added; a pair becomes the second segment."""
        ...


class Model(NamedTuple):
    """What `-m` names."""

    name: str
    transformer: Transformer
    tokenizer: Tokenizer
    trained: bool
    shape: Mapping[str, Any]
    """n_layer, n_head, d_model, …: what the screen and the manifest say about it."""
    n_parameter: int
    max_tokens: int | None = None
    """The longest text it can read; None for no limit."""
    n_vocabulary: int | None = None
    """Token ids lie below it; None for no limit."""
    dtype: str = "float32"
    """What it computes in."""
    fingerprint: Callable[[], str | None] = lambda: None
    """The SHA-256 of the weights, read when asked for; None for seeded weights."""
    notes: tuple[str, ...] = ()
    """What the reader has to know about it, a sentence each."""

    @property
    def kind(self) -> str:
        return self.transformer.kind
