"""The tokenizer classes of transformers 5, and which of them a folder is read with.

Most classes take only the vocabulary, the merges and sometimes the post-processor of a
`tokenizer.json`, and set its other parts anew from `tokenizer_config.json`. What is built here
gives the same ids. Source: transformers 5.23, `models/auto/tokenization_auto.py`,
`tokenization_utils_tokenizers.py` and `models/*/tokenization_*.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.tokenizers.classes import byte_level, sentence_piece_bpe, unigram, word_piece
from attnviz.models.tokenizers.classes.as_it_is import as_it_is
from attnviz.models.tokenizers.classes.parts import Class, Source
from attnviz.models.tokenizers.settings import Settings

AS_IT_IS = "TokenizersBackend"
"""Reads a `tokenizer.json` as it is."""

LOADED_AS_IT_IS = ("TokenizersBackend", "PythonBackend", "PreTrainedTokenizer", "BloomTokenizer")

MISNAMED = ("qwen2",)
"""Families whose checkpoints name a class that transformers does not believe."""

CLASSES: dict[str, Class] = {
    **word_piece.CLASSES,
    **byte_level.CLASSES,
    **sentence_piece_bpe.CLASSES,
    **unigram.CLASSES,
}


def class_name(settings: Settings, config: Mapping[str, Any], is_byte_level: bool = False) -> str:
    """The class that `AutoTokenizer` takes.

    Args:
        is_byte_level: whether a `tokenizer.json` names the step `ByteLevel`.
    """
    family = str(config.get("model_type"))
    usual = _usual_class(family)
    named = settings.text("tokenizer_class") or config.get("tokenizer_class")
    if not isinstance(named, str):
        return usual or AS_IT_IS
    named = named.removesuffix("Fast")
    if named == "LlamaTokenizer" and is_byte_level and family not in MISNAMED:
        return AS_IT_IS
    if usual == AS_IT_IS or named in LOADED_AS_IT_IS:
        return usual if usual and family in MISNAMED else AS_IT_IS
    return usual if usual and family in MISNAMED else named


def build(name: str, source: Source, settings: Settings) -> Any:
    """The `tokenizers.Tokenizer` of a class; None where the class is not known here, or is made
    of another kind of model than this."""
    if name == AS_IT_IS:
        return as_it_is(source, settings)
    if name not in CLASSES or type(source.model).__name__ != CLASSES[name].kind:
        return None
    return CLASSES[name].make(source, settings)


def _usual_class(family: str) -> str | None:
    """The class of a family's checkpoints that name none."""
    name = family_name(family)
    return getattr(FAMILIES[name], "TOKENIZER", None) if name in FAMILIES else None
