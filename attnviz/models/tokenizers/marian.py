"""Marian's tokenizer: SentencePiece splits the text, `vocab.json` has the ids of the pieces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.tokenizers.settings import Settings
from attnviz.models.tokenizers.spelling import Spelling, sentence_piece, show
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.models.tokenizers.vocabulary import read_pieces
from attnviz.tokens import Tokens, label

END, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"
SPECIAL = re.compile(f"({END}|{UNKNOWN}|{PADDING})")

LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)
"""What a text begins with where a model writes several languages."""


class MarianTokenizer(Tokenizer):
    """The tokenizer of one language: the pieces of a text, then the end."""

    def __init__(self, model: Path, vocabulary: Path, notes: Sequence[str] = ()) -> None:
        self._notes = tuple(notes)
        self._model = _sentence_piece_model(model)
        self._id = _vocabulary(vocabulary)
        self._entry = {id: piece for piece, id in self._id.items()}
        self._unknown, self._end = self._id[UNKNOWN], self._id[END]
        self._special = {self._end, self._id.get(PADDING)}
        self.end = self._end
        self.n_entry, self.where = len(self._id), str(vocabulary)

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        pieces = [piece for each in (text, pair or "") for piece in self._split(each)]
        tokens = self._tokens(
            [*pieces, END],
            [*(self._id.get(piece, self._unknown) for piece in pieces), self._end],
            special=[len(pieces)],
        )
        return replace(tokens, notes=(*tokens.notes, *self._notes))

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        all_ids = [*ids, *(pair or ())]
        return self._tokens(
            [self._entry.get(id, f"#{id}") for id in all_ids],
            all_ids,
            special=[i for i, id in enumerate(all_ids) if id in self._special],
        )

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        pieces = [self._entry[id] for id in ids if id in self._entry and id not in self._special]
        return str(self._model.decode_pieces(pieces)).replace("▁", " ").strip()

    def _split(self, text: str) -> list[str]:
        # a lone surrogate has no UTF-8
        clean = text.encode("utf-8", "replace").decode()
        pieces: list[str] = []
        for part in SPECIAL.split(clean):
            if SPECIAL.fullmatch(part):
                pieces.append(part)
                continue
            if language := LANGUAGE.match(part):
                pieces.append(language[0])
                part = part[language.end() :]
            pieces += self._model.encode(part, out_type=str)
        return pieces

    def _tokens(self, pieces: Sequence[str], ids: Sequence[int], special: Sequence[int]) -> Tokens:
        whole_tokens = {
            i
            for i, id in enumerate(ids)
            if id in self._special or id not in self._entry or LANGUAGE.fullmatch(pieces[i])
        }
        return Tokens.of(
            pieces,
            ids,
            special=special,
            unknown=[i for i, id in enumerate(ids) if id == self._unknown],
            **show(pieces, Spelling(sentence_piece), whole_tokens)._asdict(),
        )


def unread_settings(settings: Settings) -> tuple[str, ...]:
    """That settings which transformers heeds are not read here, a sentence; empty if none are."""
    usual = {"unk_token": UNKNOWN, "eos_token": END, "pad_token": PADDING}
    unread = [
        key for key, token in settings.special.items() if token and token.content != usual.get(key)
    ]
    if any(token.content not in usual.values() for token in settings.added.values()):
        unread.append("added tokens")
    unread += ["extra_special_tokens"] * bool(settings.extra)
    unread += ["sp_model_kwargs"] * bool(settings.values.get("sp_model_kwargs"))
    names = ", ".join(label(name) for name in unread)
    return (
        (to_say("{names} of Marian are not read: ids may differ from transformers", names=names),)
        if unread
        else ()
    )


def _sentence_piece_model(path: Path) -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise AttnvizError(
            f"{path} needs the package `sentencepiece`", "pip install 'attnviz[marian]'"
        ) from None
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise AttnvizError(
            f"{path} is damaged or not a SentencePiece model: {error}", "download it again"
        ) from error


def _vocabulary(path: Path) -> Mapping[str, int]:
    vocabulary = read_pieces(path)
    for token in (UNKNOWN, END):
        if token not in vocabulary:
            raise AttnvizError(f"{path} has no {token}", "download it again")
    return vocabulary
