"""What the decoder of an encoder-decoder reads: a first token, then the text without its end."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.tokens import Tokens


class DecoderTokenizer(Tokenizer):
    """A tokenizer of whole texts as the decoder sees them while it writes."""

    def __init__(self, inner: Tokenizer, begin: int | None, end: int | None) -> None:
        self._inner = inner
        self.begin, self.end, self.where = begin, end, inner.where
        self.other_ends = inner.other_ends

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        tokens = self._inner.encode(text, pair)
        last = len(tokens) - 1
        if last in tokens.special and tokens.ids[last] == self.end:
            tokens = tokens.first(last)
        return tokens if self.begin is None else self.take([self.begin]).followed_by(tokens)

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        return self._inner.take(ids, pair)

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without what marks its beginning and end."""
        return self._inner.join(ids)
