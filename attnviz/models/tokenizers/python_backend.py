"""Tokenizers that transformers runs in Python: the package sentencepiece cuts the text.

A text is split at its added tokens, and what lies between them is cut into pieces. Source:
transformers 5.23, `tokenization_python.py` and `models/{m2m_100,marian,siglip}/tokenization_*.py`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.tokenizers.classes.languages import M2M100, no_language
from attnviz.models.tokenizers.names import PIECES, SENTENCE_PIECE, SERIALIZED
from attnviz.models.tokenizers.settings import FLAGS, NAMES, Settings, Token, wrong
from attnviz.models.tokenizers.spelling import SPACE, Spelling, sentence_piece, show
from attnviz.models.tokenizers.tokenizer import Tokenizer, spelled_twice
from attnviz.models.tokenizers.vocabulary import read_pieces
from attnviz.tokens import Tokens

LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)
"""What a text of Marian begins with where a model writes several languages."""

MARIAN = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
M2M100_TOKENS = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>"}
SIGLIP = {"eos": "</s>", "unk": "<unk>", "pad": "</s>"}

PUNCTUATION = str.maketrans("", "", string.punctuation)


class PythonTokenizer(Tokenizer):
    """The pieces of a text or of two, and the end.

    Args:
        model: what cuts a text, a `sentencepiece.SentencePieceProcessor`.
        entries: the vocabulary, with its ids.
        special: the class's own special tokens, by name.
    """

    shadows = True
    """Whether an added token takes the place of the piece with its id, when pieces are counted."""

    def __init__(
        self,
        model: Any,
        entries: Mapping[str, int],
        settings: Settings,
        special: Mapping[str, str],
        where: Path,
    ) -> None:
        self._model, self._entries, self.where = model, entries, str(where)
        named: dict[str, Token | None] = {
            f"{name}_token": Token(special[name]) if name in special else None for name in NAMES
        }
        named |= settings.special
        self._added = _with_ids(named.values(), entries, settings, self.shadows)
        self._id_of = {token.content: id for id, token in self._added.items()}
        given = {*entries, *(token.content for token in settings.added.values())}
        self._unknown = self._id_of[_needed(named, "unk", given, where)]
        self.end: int = self._id_of[_needed(named, "eos", given, where)]
        self._entry = {id: text for text, id in entries.items()}
        self._entry |= {id: token.content for id, token in self._added.items()}
        self.n_entry = len(self._entry)
        self._notes = _unread(settings)
        every = sorted(filter(None, self._id_of), key=len, reverse=True)
        splits = settings.switch("split_special_tokens", False)
        self._at = None if splits else re.compile(f"({'|'.join(map(re.escape, every))})")

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        # a lone surrogate has no UTF-8
        clean = [t.encode("utf-8", "replace").decode() for t in (text, pair) if t is not None]
        pieces, special = self._around([self._read(each) for each in clean])
        tokens = self._tokens(pieces, [self._id(piece) for piece in pieces], special)
        return replace(tokens, notes=(*tokens.notes, *self._notes, *spelled_twice(tokens)))

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        all_ids = [*ids, *(pair or ())]
        special = [i for i, id in enumerate(all_ids) if self._is_special(id)]
        return self._tokens([self._entry.get(id, f"#{id}") for id in all_ids], all_ids, special)

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        pieces = [self._entry[id] for id in ids if id in self._entry and not self._is_special(id)]
        return str(self._model.decode_pieces(pieces)).replace(SPACE, " ").strip()

    def _around(self, parts: Sequence[Sequence[str]]) -> tuple[list[str], list[int]]:
        """All pieces of texts, and the positions of what is added to them."""
        pieces = [piece for part in parts for piece in part]
        return [*pieces, self._entry[self.end]], [len(pieces)]

    def _cut(self, text: str) -> list[str]:
        """A text without added tokens."""
        return list(self._model.encode(text, out_type=str))

    def _read(self, text: str) -> list[str]:
        pieces: list[str] = []
        for part in self._parts(text):
            is_added = self._at is not None and self._at.fullmatch(part)
            pieces += [part] if is_added else self._cut(part)
        return pieces

    def _parts(self, text: str) -> list[str]:
        """A text split at its added tokens."""
        if self._at is None:
            return [text]
        parts = [part for part in self._at.split(text) if part]
        for i, part in enumerate(parts):
            id = self._id_of.get(part)
            if id is None:
                continue
            flags = dict(zip(FLAGS, self._added[id].flags or (), strict=False))
            before = parts[i - 1] if i else ""
            after = parts[i + 1] if i + 1 < len(parts) else ""
            if flags.get("rstrip") and after:
                parts[i + 1] = after = after.lstrip()
            if flags.get("lstrip") and before:
                parts[i - 1] = before = before.rstrip()
            if flags.get("single_word"):
                if before and before[-1] != " ":
                    parts[i - 1], parts[i] = before + part, ""
                elif after and after[0] != " ":
                    parts[i + 1], parts[i] = part + after, ""
        return [part for part in parts if part]

    def _id(self, piece: str) -> int:
        return self._id_of.get(piece, self._entries.get(piece, self._unknown))

    def _is_special(self, id: int) -> bool:
        return id in self._added and self._added[id].is_special and id != self._unknown

    def _tokens(self, pieces: Sequence[str], ids: Sequence[int], special: Sequence[int]) -> Tokens:
        whole_tokens = {
            i
            for i, (piece, id) in enumerate(zip(pieces, ids, strict=True))
            if id not in self._entry or self._id_of.get(piece) == id or LANGUAGE.fullmatch(piece)
        }
        return Tokens.of(
            pieces,
            ids,
            special=special,
            unknown=[i for i, id in enumerate(ids) if id == self._unknown],
            **show(pieces, Spelling(sentence_piece), whole_tokens)._asdict(),
        )


class MarianTokenizer(PythonTokenizer):
    """One side of a translator; a text may begin with the language to write."""

    shadows = False

    def _cut(self, text: str) -> list[str]:
        language = LANGUAGE.match(text)
        if language is None:
            return super()._cut(text)
        return [language[0], *super()._cut(text[language.end() :])]


class M2M100Tokenizer(PythonTokenizer):
    """A text begins with its language; the languages' ids follow the vocabulary."""

    def __init__(self, model: Any, entries: Mapping[str, int], settings: Settings, where: Path):
        codes = M2M100.get(settings.text("language_codes") or "m2m100", ())
        code = settings.text("src_lang") or "en"
        if code not in codes:
            raise no_language(where, code, codes)
        languages = {f"__{each}__": len(entries) + i for i, each in enumerate(codes)}
        super().__init__(model, entries, settings, M2M100_TOKENS, where)
        self._id_of = {**languages, **self._id_of}
        self._language, self.language = f"__{code}__", languages[f"__{code}__"]
        self._entry |= {id: text for text, id in languages.items()}
        self._added = {**{id: Token(text) for text, id in languages.items()}, **self._added}

    def _around(self, parts: Sequence[Sequence[str]]) -> tuple[list[str], list[int]]:
        pieces, special = super()._around(parts)
        return [self._language, *pieces], [0, *(position + 1 for position in special)]


class SiglipTokenizer(PythonTokenizer):
    """A text without its punctuation, in small letters."""

    def __init__(self, model: Any, settings: Settings, where: Path):
        entries = {model.id_to_piece(id): id for id in range(model.get_piece_size())}
        super().__init__(model, entries, settings, SIGLIP, where)
        self._lower = settings.switch("do_lower_case", True)
        self._first = self._entry[self._unknown]
        self._n_first = len(model.encode(self._first))
        self._unknown = model.unk_id()

    def _around(self, parts: Sequence[Sequence[str]]) -> tuple[list[str], list[int]]:
        pieces: list[str] = []
        special: list[int] = []
        for part in parts:
            pieces += part
            if not part or self._id(part[-1]) != self.end:
                special.append(len(pieces))
                pieces.append(self._entry[self.end])
        return pieces, special

    def _read(self, text: str) -> list[str]:
        pieces = super()._read(SPACE + text.replace(SPACE, " "))
        begins_special = len(pieces) > 1 and pieces[0] == SPACE and pieces[1] in self._id_of
        return pieces[1:] if begins_special else pieces

    def _cut(self, text: str) -> list[str]:
        text = (text.lower() if self._lower else text).translate(PUNCTUATION)
        text = re.sub(r"\s+", " ", text).strip()
        pieces = super()._cut(self._first + text)  # what begins with a space keeps it
        return pieces[self._n_first :] if len(pieces) >= self._n_first else pieces


def read_python_tokenizer(folder: Path, name: str, settings: Settings) -> Tokenizer | None:
    """The tokenizer of a class that runs in Python; None for another class, for a folder without
    its files, and where there is a `tokenizer.json` but not the package.

    Args:
        name: of the class.
    """
    if (folder / SERIALIZED).exists() and not find_spec("sentencepiece"):
        return None
    vocabulary, pieces = folder / PIECES, folder / SENTENCE_PIECE[2]
    if name == "M2M100Tokenizer" and vocabulary.exists() and pieces.exists():
        entries = read_pieces(vocabulary)
        return M2M100Tokenizer(sentence_piece_model(pieces), entries, settings, vocabulary)
    path = folder / SENTENCE_PIECE[1]
    if name == "SiglipTokenizer" and path.exists():
        return SiglipTokenizer(sentence_piece_model(path), settings, path)
    return None


def read_marian(model: Path, vocabulary: Path, settings: Settings) -> MarianTokenizer:
    """One side of Marian."""
    entries = read_pieces(vocabulary)
    return MarianTokenizer(sentence_piece_model(model), entries, settings, MARIAN, vocabulary)


def sentence_piece_model(path: Path) -> Any:
    """A model that cuts text as the package does."""
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


def _needed(
    named: Mapping[str, Token | None], name: str, given: Collection[str], where: Path
) -> str:
    """The text of a special token that every text needs."""
    token = named.get(f"{name}_token")
    if token is None or token.content not in given:
        text = "null" if token is None else token.content
        raise AttnvizError(f"{where} has no {text:.60}, its {name}_token", "download it again")
    return token.content


def _with_ids(
    named: Iterable[Token | None], entries: Mapping[str, int], settings: Settings, shadows: bool
) -> dict[int, Token]:
    """The added tokens by id: those of the settings, then special ones, which get the next id
    where the vocabulary lacks them."""
    added = dict(settings.added)
    extra = settings.additional if settings.extra is None else settings.extra
    contents = {token.content for token in added.values()}
    kept = {text for text, id in entries.items() if not (shadows and id in added)}
    n_entry = len(kept | contents)
    for token in (*named, *(extra or ())):
        if token is None or not token.content or token.content in contents:
            continue
        contents.add(token.content)
        id = entries.get(token.content)
        if id is None:
            id, n_entry = n_entry, n_entry + 1
        added[id] = Token(token.content)
    return added


def _unread(settings: Settings) -> tuple[str, ...]:
    """That a setting which transformers heeds is not read here, a sentence; empty if none is."""
    value = settings.values.get("sp_model_kwargs")
    if value is not None and not isinstance(value, dict):
        raise wrong(settings.where, "sp_model_kwargs", value, "an object")
    if not value:
        return ()
    return (to_say("sp_model_kwargs are not read: ids may differ from transformers"),)
