"""What every tokenizer does, whichever file it is read from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
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
    spoken: Callable[[str], Tokenizer] | None = None
    """Reads the same files for texts in another language; None where no text names its own."""
    language: int | None = None
    """The id of the language that its texts name."""
    n_piece: int = 0
    """How many parts of words there are, for models that read them besides the words."""

    @property
    def prompt(self) -> tuple[int | None, ...]:
        """What a decoder is given before it writes: its first id, and those that say in which
        language and for what purpose. None stands for a language that the model has to detect."""
        return () if self.begin is None else (self.begin,)

    @property
    def languages(self) -> Mapping[str, int]:
        """Tokens of the languages that may be detected, with their ids."""
        return {}

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        """A text, or two as the model takes a pair of them."""
        ...

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        """Token ids as they are: nothing is added; a pair becomes the second segment."""
        ...

    def encode_as_is(self, text: str) -> tuple[Tokens, list[tuple[int, int]]]:
        """A text that spells its special tokens itself: nothing is added. And of each token, its
        first character and the one behind its last."""
        raise AttnvizError(
            f"{self.where} does not read conversations", "without --chat it reads a text"
        )

    def in_language(self, code: str) -> Tokenizer:
        """The same for texts in another language, by the tokenizer's own name of it."""
        if self.spoken is None:
            raise AttnvizError(f"{self.where}: its texts name no language", "give no language")
        return self.spoken(code)

    def stops_at(self, id: int) -> bool:
        """Whether nothing is written after this id."""
        return id == self.end or id in self.other_ends

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without what marks its beginning and end."""
        return " ".join(self.take([id for id in ids if id not in (self.begin, self.end)]).tokens)

    def pieces(self, words: Sequence[str]) -> Array:
        """[n_token, n_piece_of_word]: the ids of each word's parts; none by default."""
        return np.zeros((len(words), 0), np.int64)


class NoTokenizer(Tokenizer):
    """Of a checkpoint without a tokenizer: it still takes token ids."""

    def __init__(
        self,
        problem: str,
        hint: str,
        begin: int | None = None,
        end: int | None = None,
        other_ends: Collection[int] = (),
        words: Sequence[str] = (),
    ) -> None:
        """`words` by id are those of a vocabulary of which it is not known how it reads texts."""
        self._problem, self._hint, self._words = problem, hint, words
        self.begin, self.end, self.other_ends = begin, end, frozenset(other_ends)

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        raise AttnvizError(self._problem, self._hint)

    def encode_as_is(self, text: str) -> tuple[Tokens, list[tuple[int, int]]]:
        raise AttnvizError(self._problem, self._hint)

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        all_ids = [*ids, *(pair or ())]
        segments = [0] * len(ids) + [1] * len(pair or ())
        return Tokens.of(list(map(self._label, all_ids)), all_ids, segments=segments)

    def _label(self, id: int) -> str:
        return self._words[id] if 0 <= id < len(self._words) else f"#{id}"


class DecoderTokenizer(Tokenizer):
    """What the decoder of an encoder-decoder reads while it writes: its first tokens, then the text
    without its end."""

    def __init__(
        self,
        inner: Tokenizer,
        begin: int | None,
        end: int | None,
        more: Sequence[int | None] = (),
        languages: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        Args:
            more: ids that follow `begin` in what the decoder is given; for None see `prompt`.
        """
        self._inner = inner
        self.begin, self.end, self.where = begin, end, inner.where
        self.other_ends = inner.other_ends
        self.n_entry = inner.n_entry
        self._prompt = (*super().prompt, *more)
        self._languages = languages
        self._ends = {end, inner.language}

    @property
    def prompt(self) -> tuple[int | None, ...]:
        return self._prompt

    @property
    def languages(self) -> Mapping[str, int]:
        return self._languages

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        prompt = [id for id in self.prompt if id is not None]
        if len(prompt) < len(self.prompt):
            raise AttnvizError(
                f"{self.where}: a target does not say its language", "--target-lang en"
            )
        tokens = self._inner.encode(text, pair)
        kept = len(tokens)
        while kept and kept - 1 in tokens.special and tokens.ids[kept - 1] in self._ends:
            kept -= 1
        tokens = tokens.first(kept)
        first = 0  # some tokenizers begin a text as its decoder does
        while first in tokens.special and tokens.ids[first] in prompt:
            first += 1
        tokens = tokens.after(first)
        return self.take(prompt).followed_by(tokens) if prompt else tokens

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        return self._inner.take(ids, pair)

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without what marks its beginning and end."""
        return self._inner.join(ids)


def spelled_twice(tokens: Tokens) -> tuple[str, ...]:
    """That a text spells a token which is added to it as well, a sentence; empty if none is."""
    added = {tokens.ids[position] for position in tokens.special}
    own = set(range(len(tokens))) - {*tokens.special, *tokens.unknown}
    twice = [position for position in sorted(own) if tokens.ids[position] in added]
    if not twice:
        return ()
    first = twice[0]
    return (
        to_say(
            "{token} is read {n} times: the text spells it, and the tokenizer adds it too",
            token=tokens.labels[first],
            n=tokens.ids.count(tokens.ids[first]),
        ),
    )
