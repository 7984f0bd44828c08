"""A text, token ids or an image -> tokens, and the arrays that a transformer reads."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.chat.messages import Chat
from attnviz.models.model import Model
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.embedding import Embedding, Input
from attnviz.nn.masks import NONE, Mask
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

if TYPE_CHECKING:
    from attnviz.models.sound.reader import Sound
    from attnviz.models.vision.images import Pixels

Text = str | Sequence[int] | Chat


def read_text(model: Model, text: Text, pair: Text | None = None) -> Tokens:
    """The tokens of a text or of ids, within the limits of the model."""
    return _read_tokens(model, model.tokenizer, model.n_vocabulary, text, pair)


def read_target(model: Model, text: Text) -> Tokens:
    """The tokens of what an encoder-decoder's decoder has so far."""
    tokenizer = model.output_tokenizer
    n_vocabulary = model.n_target or tokenizer.n_entry or model.n_vocabulary
    return _read_tokens(model, tokenizer, n_vocabulary, text, None)


def first_token(model: Model) -> int:
    """What the decoder of an encoder-decoder reads first."""
    begin = model.output_tokenizer.begin
    if begin is None:
        raise AttnvizError(f"{model.name} has no first token to begin with", "--target TEXT")
    return begin


def first_tokens(model: Model) -> tuple[int | None, ...]:
    """All that the decoder of an encoder-decoder is given before it writes: `Tokenizer.prompt`."""
    first_token(model)
    return model.output_tokenizer.prompt


def read_image(
    model: Model, image: str | Path | Array, check: Callable[[int], None] | None = None
) -> Pixels:
    """An image as the model sees it; `check` sees its number of tokens before it is decoded."""
    if model.image is None:
        reads = "text" if model.sound is None else "sounds"
        raise AttnvizError(
            f"{model.name} reads {reads}, not images", "attnviz image FILE -m digits"
        )
    return model.image.read(image, check)


def read_sound(model: Model, sound: str | Path | Array) -> Sound:
    """A sound as the model hears it."""
    if model.sound is None:
        raise AttnvizError(f"{model.name} does not read sounds", "Whisper does: -m MODEL_FOLDER")
    return model.sound.read(sound)


def as_input(model: Model, tokens: Tokens, mask: Mask = NONE, *, target: bool = False) -> Input:
    """What the transformer reads of these tokens."""
    reader = model.target_tokenizer if target and model.target_tokenizer else model.tokenizer
    pieces = reader.pieces(tokens.tokens) if reader.n_piece else None
    return Input(
        ids=np.array(tokens.ids),
        segments=_segments(model, tokens, target),
        pieces=pieces,
        mask=mask,
    )


def _segments(model: Model, tokens: Tokens, target: bool) -> Array | None:
    """[n_token]: the rows of the model's table of segments; None where all are the first, as in
    a table of one row: such a model (RoBERTa) does not tell two texts apart by segments."""
    embed = model.transformer.target if target else model.transformer.source
    table = embed.segments if isinstance(embed, Embedding) else None
    if not tokens.segments or table is None or len(table) == 1:
        return None
    segments = np.array(tokens.segments)
    if segments.min() < 0 or segments.max() >= len(table):
        raise AttnvizError(
            f"{model.name} knows the segments 0 to {len(table) - 1}, and "
            f"{model.tokenizer.where} gives tokens the segment {segments.max()}",
            "take the config, the weights and the tokenizer from one model",
        )
    return segments


def _checked(text: Text) -> Text:
    """A text, or ids as plain whole numbers."""
    if isinstance(text, str | Chat):
        return text
    try:
        return [operator.index(id) for id in text]
    except TypeError:
        raise AttnvizError(
            f"expected a text or a list of token ids, got {text!r:.60}", "[101, 1045, 102]"
        ) from None


def _read_chat(model: Model, tokenizer: Tokenizer, chat: Chat) -> Tokens:
    """The tokens of a conversation as the model's template writes it, and who says each."""
    from attnviz.models.chat.template import roles_of

    if model.chat is None:
        raise AttnvizError(
            f"{model.name} has no chat template: it does not say how it reads a conversation",
            "without --chat, the text is read as it is",
        )
    text = model.chat.apply(chat)
    tokens, spans = tokenizer.encode_as_is(text.text)
    roles = tuple(roles_of(spans, text))
    notes = list(tokens.notes)
    spelled = [i for i in tokens.special if roles[i] != "template"]
    if spelled:
        notes.append(
            to_say(
                "a message spells {token}, which is read as the special token",
                token=tokens.labels[spelled[0]],
            )
        )
    if text.not_found:
        notes.append(
            to_say(
                "the chat template leaves out or changes what {role} says: not all of it is in "
                "the spans",
                role=" + ".join(text.not_found),
            )
        )
    if text.own_system:
        notes.append(to_say("the system message is the chat template's own"))
    if text.date:
        notes.append(
            to_say(
                "the chat template asks for today's date and is told {date}, so that the same "
                "command gives the same numbers",
                date=text.date,
            )
        )
    return replace(tokens, roles=roles, segments=(), notes=tuple(notes))


def _read_tokens(
    model: Model, tokenizer: Tokenizer, n_vocabulary: int | None, text: Text, pair: Text | None
) -> Tokens:
    text, pair = _checked(text), None if pair is None else _checked(pair)
    pair = pair or None  # as in transformers: an empty second text is none
    if isinstance(text, Chat) or isinstance(pair, Chat):
        if pair is not None or not isinstance(text, Chat):
            raise AttnvizError("a conversation has no second text", "leave out --pair")
        tokens = _read_chat(model, tokenizer, text)
    elif isinstance(text, str):
        if pair is not None and not isinstance(pair, str):
            raise AttnvizError("text and pair are both texts or both token ids", "give both as ids")
        tokens = tokenizer.encode(text, pair)
    else:
        if isinstance(pair, str):
            raise AttnvizError("text and pair are both texts or both token ids", "give both as ids")
        tokens = tokenizer.take(list(text), None if pair is None else list(pair))
    if not len(tokens):
        raise AttnvizError("the text has no tokens", "give at least one word")
    if model.max_tokens is not None and len(tokens) > model.max_tokens:
        from attnviz.models.edit.extrapolate import table_length

        goes_on = table_length(model) is None
        raise AttnvizError(
            f"the text has {len(tokens)} tokens; {model.name} reads at most {model.max_tokens}",
            "shorten the text" + ("; --extrapolate goes beyond what was trained" * goes_on),
        )
    _check_ids(model, tokenizer, n_vocabulary, tokens, from_text=isinstance(text, str | Chat))
    return tokens


def _check_ids(
    model: Model, tokenizer: Tokenizer, n_vocabulary: int | None, tokens: Tokens, from_text: bool
) -> None:
    for position, id in enumerate(tokens.ids):
        if id >= 0 and (n_vocabulary is None or id < n_vocabulary):
            continue
        upper = "" if n_vocabulary is None else f" to {n_vocabulary - 1}"
        if from_text:
            raise AttnvizError(
                f"{tokenizer.where} is the tokenizer of another model: it reads "
                f"{tokens.labels[position]} as {id}, and by the config of {model.name} ids go "
                f"from 0{upper}",
                "take the config, the weights and the tokenizer from one model",
            )
        raise AttnvizError(
            f"{model.name} has no token {id}: its ids go from 0{upper}", "are these ids of it?"
        )
