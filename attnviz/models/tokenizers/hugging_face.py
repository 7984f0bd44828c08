"""Tokenizers of the tokenizers package, and their file `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.tokenizers.loading import Loaded, make_plain
from attnviz.models.tokenizers.package import package_errors
from attnviz.models.tokenizers.settings import MAX_ID
from attnviz.models.tokenizers.spelling import show, spelling_of
from attnviz.models.tokenizers.tokenizer import Tokenizer, spelled_twice
from attnviz.tokens import Tokens

UNASSIGNED = "\U0010fffd"
"""A character that no vocabulary has."""

MASKS = ("[MASK]", "<mask>")
"""How the token to be predicted is spelled."""

SPACED = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't", " 'm": "'m",
          " 's": "'s", " 've": "'ve", " 're": "'re"}  # fmt: skip

OTHER_IDS = to_say(
    "tokenizer.json alone gives this text other ids; as in transformers 5, the class and the "
    "settings of tokenizer_config.json count"
)

IDS_HINT = "give token ids instead: --ids 101,1045,102"


class HFTokenizer(Tokenizer):
    """A `tokenizers.Tokenizer`, without the padding and truncation it may switch on."""

    def __init__(
        self,
        backend: Any,
        begin: int | None = None,
        end: int | None = None,
        where: str = "the tokenizer",
        other_ends: Collection[int] = (),
        loaded: Loaded | None = None,
    ) -> None:
        self._backend, self._loaded = backend, loaded
        self.begin, self.end, self.where = begin, end, where
        self.other_ends = frozenset(other_ends)
        with package_errors(f"{where} is damaged", "download it again"):
            make_plain(backend)
            self.n_entry = backend.get_vocab_size()
            self.mask = next(filter(None, map(backend.token_to_id, MASKS)), None)
            added = backend.get_added_tokens_decoder()
            self._unknown = _unknown_id(backend)
            self._spelling = spelling_of(backend)
            self._suffix = getattr(backend.model, "end_of_word_suffix", None) or ""
        is_bpe = type(backend.model).__name__ == "BPE"  # transformers leaves its spaces as they are
        self._cleans_up = loaded is not None and not is_bpe and loaded.settings.cleans_up
        self._added = set(added)
        self._special = {id for id, token in added.items() if token.special}

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        # a lone surrogate has no UTF-8: the reference tokenizers refuse it too
        clean = [None if t is None else t.encode("utf-8", "replace").decode() for t in (text, pair)]
        with package_errors(f"{self.where} cannot read this text", IDS_HINT):
            encoding = self._backend.encode(*clean)
            notes = self._notes(clean, encoding.ids)
        pieces, ids = encoding.tokens, encoding.ids
        segments, special = encoding.type_ids, encoding.special_tokens_mask
        if not len(pieces) == len(ids) == len(segments) == len(special):
            raise AttnvizError(
                f"{self.where} is damaged: it gives {len(ids)} ids for {len(pieces)} tokens, so "
                "a token of its post_processor has ids and names that do not fit",
                IDS_HINT,
            )
        tokens = self._tokens(
            pieces, ids, segments=segments, special=[i for i, added in enumerate(special) if added]
        )
        notes = (*notes, *spelled_twice(tokens))
        return replace(tokens, notes=(*tokens.notes, *notes)) if notes else tokens

    def encode_as_is(self, text: str) -> tuple[Tokens, list[tuple[int, int]]]:
        clean = text.encode("utf-8", "replace").decode()
        with package_errors(f"{self.where} cannot read this text", IDS_HINT):
            encoding = self._backend.encode(clean, add_special_tokens=False)
        added = self._special - {self._unknown}
        tokens = self._tokens(
            encoding.tokens,
            encoding.ids,
            segments=[0] * len(encoding.ids),
            special=[i for i, id in enumerate(encoding.ids) if id in added],
        )
        return tokens, encoding.offsets

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        all_ids = [*ids, *(pair or ())]
        special = self._special - {self._unknown}
        return self._tokens(
            [self._entry(id) or f"#{id}" for id in all_ids],
            all_ids,
            segments=[0] * len(ids) + [1] * len(pair or ()),
            special=[i for i, id in enumerate(all_ids) if id in special],
        )

    def join(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        with package_errors(f"{self.where} cannot write these ids as text", "download it again"):
            text = str(self._backend.decode([id for id in ids if 0 <= id <= MAX_ID]))
        if self._suffix:
            text = text.replace(self._suffix, " ").strip()
        return clean_up(text) if self._cleans_up else text

    def _notes(self, texts: Sequence[str | None], ids: Sequence[int]) -> tuple[str, ...]:
        """What is to be said of how these texts became ids."""
        if self._loaded is None:
            return ()
        notes, alone = self._loaded.notes, self._loaded.alone
        if alone is not None and alone().encode(*texts).ids != ids:
            notes = (*notes, OTHER_IDS)
        return notes

    def _entry(self, id: int) -> str | None:
        return self._backend.id_to_token(id) if 0 <= id <= MAX_ID else None

    def _tokens(
        self,
        pieces: Sequence[str],
        ids: Sequence[int],
        segments: Sequence[int],
        special: Sequence[int],
    ) -> Tokens:
        entries = [self._entry(id) for id in ids]
        whole_tokens = {
            position
            for position, (piece, id, entry) in enumerate(zip(pieces, ids, entries, strict=True))
            if entry is None or (id in self._added and piece == entry)
        }
        return Tokens.of(
            pieces,
            ids,
            segments=segments,
            special=special,
            unknown=[i for i, id in enumerate(ids) if id == self._unknown],
            **show(pieces, self._spelling, whole_tokens)._asdict(),
        )


def clean_up(text: str) -> str:
    """A text without the spaces before its punctuation, as transformers writes it."""
    for spaced, joined in SPACED.items():
        text = text.replace(spaced, joined)
    return text


def _unknown_id(backend: Any) -> int | None:
    """The id of pieces that the vocabulary lacks."""
    model = backend.model
    if hasattr(model, "unk_token"):
        return None if model.unk_token is None else backend.token_to_id(model.unk_token)
    # Unigram does not expose its id, but a token of that id keeps the text of the piece
    tokens = model.tokenize(UNASSIGNED)
    is_known = len(tokens) != 1 or backend.id_to_token(tokens[0].id) == tokens[0].value
    return None if is_known else int(tokens[0].id)
