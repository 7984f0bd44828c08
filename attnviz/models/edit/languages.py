"""A translator that is told which language it reads, and which it is to write."""

from __future__ import annotations

from attnviz.errors import AttnvizError
from attnviz.models.model import Model


def in_languages(
    model: Model, source_lang: str | None = None, target_lang: str | None = None
) -> Model:
    """`model` for texts in one language and targets in another, as its tokenizer calls them.

    Raises:
        AttnvizError: a model whose texts name no language, or a language that it does not know.
    """
    target = model.target_tokenizer
    for option, code, reader in (
        ("--source-lang", source_lang, model.tokenizer),
        ("--target-lang", target_lang, target),
    ):
        if code is not None and (reader is None or reader.spoken is None):
            raise AttnvizError(f"{model.name}: its texts name no language", f"leave out {option}")
    if source_lang is not None:
        model = model._replace(tokenizer=model.tokenizer.in_language(source_lang))
    if target_lang is not None and target is not None:
        model = model._replace(target_tokenizer=target.in_language(target_lang))
    return model
