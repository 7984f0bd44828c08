"""A model: a transformer with what reads its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from attnviz.models.vision.images import ImageReader
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array
from attnviz.tokens import Tokens


class Tokenizer(Protocol):
    """Text to tokens. What a tokenizer does not know of itself keeps its default."""

    begin: int | None = None
    """The id that a decoder starts from."""
    end: int | None = None
    """The id that closes a text."""
    other_ends: frozenset[int] = frozenset()
    """Ids besides `end` at which decoding stops: the end of a turn, say."""
    mask: int | None = None
    """The id that stands for a token to be guessed."""
    n_entry: int | None = None
    """How many ids there are, if it knows."""
    where: str = "the tokenizer"
    """The file that it was read from."""
    n_piece: int = 0
    """How many parts of words there are, for models that read them besides the words."""

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        """A text, or two as the model takes a pair of them."""
        ...

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        """Token ids as they are: nothing is added; a pair becomes the second segment."""
        ...

    def stops_at(self, id: int) -> bool:
        """Whether nothing is written after this id."""
        return id == self.end or id in self.other_ends

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without what marks its beginning and end."""
        return " ".join(self.take([id for id in ids if id not in (self.begin, self.end)]).tokens)

    def pieces(self, words: Sequence[str]) -> Array:
        """[n_token, n_piece_of_word]: the ids of each word's parts; none by default."""
        return np.zeros((len(words), 0), np.int64)


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
    trained_tokens: int | None = None
    """The longest text that it was trained on; it reads longer ones, and that is said."""
    n_vocabulary: int | None = None
    """Token ids lie below it; None for no limit."""
    n_target: int | None = None
    """The same of what the decoder of an encoder-decoder reads and writes."""
    dtype: str = "float32"
    """What it computes in."""
    n_disk: int = 0
    """Bytes of its weights on disk; 0 for seeded weights."""
    fingerprint: Callable[[], str | None] = lambda: None
    """The SHA-256 of the weights, read when asked for; None for seeded weights."""
    keep_weights: Callable[[int], None] = lambda n_byte: None
    """Convert half-precision and quantised weights once, as far as so many bytes go: for many
    passes with few tokens each."""
    check_weights: Callable[[], None] = lambda: None
    """Raises AttnvizError that names a tensor with NaN or infinity: to be asked when a run's
    numbers are broken, as it reads all weights."""
    target_tokenizer: Tokenizer | None = None
    """Of what the decoder of an encoder-decoder writes."""
    task: str = ""
    """What the output is: `tag` (of every token), `classify` (at the first), `continue` (the
    next token), `fill` (masked tokens); empty where nothing is known."""
    labels: tuple[str, ...] = ()
    """The names of the outputs, for `tag` and `classify`."""
    image: ImageReader | None = None
    """What reads images, of a model that does."""
    notes: tuple[str, ...] = ()
    """What the reader has to know about it, a sentence each."""

    @property
    def kind(self) -> str:
        return self.transformer.kind
