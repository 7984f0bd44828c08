"""`tokenizer.json`, through the tokenizers package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.model import Tokenizer
from attnviz.tokens import Tokens


class HFTokenizer(Tokenizer):
    """A tokenizer of Hugging Face's format, without the padding and truncation it may switch on."""

    def __init__(self, path: Path) -> None:
        try:
            import tokenizers
        except ImportError:
            raise AttnvizError(
                f"{path} needs the package `tokenizers`", "pip install 'attnviz[models]'"
            ) from None
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises bare Exception
            raise AttnvizError(
                f"{path} is damaged or no tokenizer file: {error}", "download it again"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._unknown = getattr(self._tokenizer.model, "unk_token", None)

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        # a lone surrogate has no UTF-8: the reference tokenizers refuse it too
        clean = [None if t is None else t.encode("utf-8", "replace").decode() for t in (text, pair)]
        encoding = self._tokenizer.encode(*clean)
        return Tokens.of(
            encoding.tokens,
            encoding.ids,
            segments=encoding.type_ids,
            special=[i for i, special in enumerate(encoding.special_tokens_mask) if special],
            unknown=[i for i, token in enumerate(encoding.tokens) if token == self._unknown],
        )

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        every = [*ids, *(pair or ())]
        pieces = [self._tokenizer.id_to_token(id) for id in every]
        return Tokens.of(
            [f"#{id}" if piece is None else piece for id, piece in zip(every, pieces, strict=True)],
            every,
            segments=[0] * len(ids) + [1] * len(pair or ()),
        )


class NoTokenizer(Tokenizer):
    """Of a checkpoint that has none: it can still be given token ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def encode(self, text: str, pair: str | None = None) -> Tokens:
        raise AttnvizError(
            f"{self._folder} has no tokenizer.json, so it cannot read text",
            "put tokenizer.json there, or give token ids: --ids 101,1045,102",
        )

    def take(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Tokens:
        every = [*ids, *(pair or ())]
        return Tokens.of(
            [f"#{id}" for id in every], every, segments=[0] * len(ids) + [1] * len(pair or ())
        )
