"""How the stacks that attnviz trains read text: by a list of words or of characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.tokenizers.pieces import SHAPES, word_pieces
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, split_words


class Reader(Tokenizer):
    """Text to tokens, by a list whose indices are the ids.

    A word that the list lacks gets the id of `unknown`, but its token keeps its letters.
    """

    def __init__(self, config: Config) -> None:
        config.require("reads", "words", "characters")
        self._kind = config.text("reads", "words")
        self.entries = config.texts(self._kind)
        self.n_entry = len(self.entries)
        self._lower = config.switch("lower")
        self._id = {entry: id for id, entry in enumerate(self.entries)}
        unknown = self._special(config, "unknown", "[UNK]")
        if unknown is None:
            raise AttnvizError(f"{config.where}: unknown: it names no entry", "'[UNK]'")
        self.unknown = unknown
        self.begin = self._special(config, "begin")
        self.end = self._special(config, "end")
        self._closes = config.switch("close")
        self.n_piece = config.whole("n_piece")
        if 0 < self.n_piece <= len(SHAPES):
            raise AttnvizError(
                f"{config.where}: n_piece = {self.n_piece} is too small",
                f"at least {len(SHAPES) + 1}",
            )
        config.finish()

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        if pair is not None:
            raise AttnvizError("this model reads one text, not a pair", "leave out --pair")
        words = split_words(text) if self._kind == "words" else [c for c in text if not c.isspace()]
        if not words:
            return Tokens.of([])
        ids = [self._id.get(word.lower() if self._lower else word, self.unknown) for word in words]
        first = [] if self.begin is None else [self.begin]
        last = [self.end] if self._closes and self.end is not None else []
        added = [*range(len(first)), *range(len(first) + len(ids), len(first + ids + last))]
        return Tokens.of(
            [self._entry(id) for id in first] + words + [self._entry(id) for id in last],
            first + ids + last,
            special=added,
            unknown=[i + len(first) for i, id in enumerate(ids) if id == self.unknown],
        )

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        if pair is not None:
            raise AttnvizError("this model reads one text, not a pair", "give one list of ids")
        special = (self.begin, self.end)
        return Tokens.of(
            [self._entry(id) for id in ids],
            ids,
            special=[i for i, id in enumerate(ids) if id in special],
            unknown=[i for i, id in enumerate(ids) if id == self.unknown],
        )

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without what marks its beginning and end."""
        words = [self._entry(id) for id in ids if id not in (self.begin, self.end)]
        if self._kind == "characters":
            return "".join(words)
        text = ""
        for word in words:
            joins = not text or (len(word) == 1 and word in ".,!?;:")
            text += word if joins else f" {word}"
        return text

    def pieces(self, words: Sequence[str]) -> Array:
        """[n_token, n_piece_of_word]: the ids of the pieces of each word."""
        return np.array([word_pieces(word, self.n_piece) for word in words])

    def _entry(self, id: int | None) -> str:
        known = id is not None and 0 <= id < len(self.entries)
        return self.entries[id] if known and id is not None else f"#{id}"

    def _special(self, config: Config, name: str, default: str = "") -> int | None:
        entry = config.text(name, default)
        if not entry:
            return None
        if entry not in self._id:
            raise AttnvizError(
                f"{config.where}: {name} = {entry!r} is not in its list", "write the list again"
            )
        return self._id[entry]


class NoText(Tokenizer):
    """The tokenizer of a model that reads images or sounds."""

    def __init__(self, reads: str = "image") -> None:
        """`reads`: image or sound."""
        self._reads = reads

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        hint = {"image": "attnviz image FILE -m MODEL", "sound": "attnviz run FILE.wav -m MODEL"}
        raise AttnvizError(f"this model reads {self._reads}s, not text", hint[self._reads])

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        return self.encode("")
