"""A text with the places at which a model's output is looked at, and what would be right there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.edit.ablate import Given
from attnviz.models.model import Model
from attnviz.models.run.prepare import Text, as_input, read_target, read_text
from attnviz.nn.embedding import Input
from attnviz.nn.types import Array
from attnviz.registry import nearest
from attnviz.tokens import Tokens, label

UNKNOWN = -1
"""Where nobody knows what would be right."""


class Probe(NamedTuple):
    """A text as a model reads it, and what is asked of its output."""

    streams: Mapping[str, Tokens]
    given: Given
    places: Array
    """[n_place]: where the output counts."""
    right: Array | None = None
    """[n_place]: the outputs that would be right, `UNKNOWN` where nobody knows; None if nowhere."""
    watched: Array | None = None
    """Which of the places have an answer whose probability is told, [n_place]; None for none."""
    choice: int | None = None
    """That answer; None for what the model itself finds most probable."""
    whole: bool = False
    """Whether the places make one answer, right only as a whole."""
    about: str = ""
    """What is watched and what counts as right, where that is not plain."""


def make_probe(
    model: Model,
    text: Text,
    *,
    pair: Text | None = None,
    target: Text | None = None,
    token: str | None = None,
) -> Probe:
    """What there is to ask about one text (of a vision model: the path of an image).

    Args:
        target: what the decoder of an encoder-decoder has so far; by default what it writes.
        token: the output whose probability is watched.
    """
    choice = None if token is None else output_id(model, token)
    if model.image is not None:
        return _of_image(model, text)._replace(choice=choice)
    source = read_text(model, text, pair)
    if model.kind == "encoder-decoder":
        return _of_pair(model, source, text, target, choice)
    if target is not None:
        raise AttnvizError(
            f"{model.name} is no encoder-decoder: it reads no target", "leave out --target"
        )
    given = as_input(model, source), None
    n = len(source)
    question = Probe({"source": source}, given, np.arange(n), choice=choice)
    if model.task == "tag":
        own = np.array([i for i in range(n) if i not in source.special], int)
        return watch_all(question._replace(places=own))
    if model.task == "classify":
        return watch_all(question._replace(places=np.arange(1)))
    if model.task == "continue":
        return _of_next(question, source)
    return question


def watch_all(question: Probe) -> Probe:
    """Tell the probabilities of all answers."""
    return question._replace(watched=np.ones(len(question.places), bool))


def output_id(model: Model, token: str) -> int:
    """The number of an output: of a label, or of a token by its text or as `#ID`."""
    if model.labels:
        if token not in model.labels:
            raise AttnvizError(
                f"--token: {model.name} has no output {token!r}", nearest(token, model.labels)
            )
        return model.labels.index(token)
    if not model.task:
        raise AttnvizError(
            f"--token: {model.name} has no output whose probability could be told",
            "leave out --token",
        )
    by_id = token[:1] == "#" and token[1:].isdecimal()
    tokens = read_target(model, [int(token[1:])] if by_id else token)
    ids = [id for i, id in enumerate(tokens.ids) if i not in tokens.special or len(tokens) == 1]
    if len(ids) != 1 or tokens.unknown:
        names = " ".join(label(name) for name in tokens.tokens)
        raise AttnvizError(
            f"--token: {label(token)} is not one token of {model.name}, but {names}",
            "give its id: --token '#17'",
        )
    return ids[0]


def output_name(model: Model, id: int) -> str:
    """What an output stands for, safe to show."""
    if model.labels:
        return label(model.labels[id])
    return (model.target_tokenizer or model.tokenizer).take([id]).labels[0]


def _of_image(model: Model, path: Text) -> Probe:
    from attnviz.models.vision.seeing import read_pixels

    if not isinstance(path, str):
        raise AttnvizError(f"{model.name} reads images, no ids", "attnviz ablate FILE.png")
    pixels = read_pixels(model, path)
    given = Input(pixels=pixels.values.astype(model.dtype)), None
    if model.task == "classify":
        return watch_all(Probe({"source": pixels.tokens}, given, np.arange(1)))
    return Probe({"source": pixels.tokens}, given, np.arange(len(pixels.tokens)))


def _of_next(question: Probe, tokens: Tokens) -> Probe:
    """At each token, which comes next? Watched is the last, after which nobody knows."""
    last = question.places == len(tokens) - 1
    watched = "watched: the next token after the text"
    if len(tokens) == 1:
        return question._replace(watched=last, about=watched)
    return question._replace(
        right=np.array([*tokens.ids[1:], UNKNOWN]),
        watched=last,
        about=f"{watched}; right: what the text itself has next",
    )


def _of_pair(
    model: Model, source: Tokens, text: Text, target: Text | None, choice: int | None
) -> Probe:
    """What does the decoder write next: at each place of what it was given, or wrote itself?"""
    if model.task != "continue":
        read = read_target(model, text if target is None else target)
        return pair_question(model, source, read)._replace(choice=choice)
    if target is not None:
        read = unended(model, read_target(model, target))
        return _of_next(pair_question(model, source, read)._replace(choice=choice), read)
    from attnviz.models.run.generate import generate

    generated = generate(model, source)
    places = np.arange(generated.n_given - 1, len(generated.read))
    only_last = places == places[-1]
    return pair_question(model, source, generated.read)._replace(
        places=places,
        right=np.array(generated.written.ids),
        watched=np.ones(len(places), bool) if choice is None else only_last,
        choice=choice,
        whole=True,
        about="watched and right: what the whole model writes",
    )


def pair_question(model: Model, source: Tokens, target: Tokens) -> Probe:
    """About the decoder's output at every token that it reads."""
    given = as_input(model, source), as_input(model, target, target=True)
    return Probe({"source": source, "target": target}, given, np.arange(len(target)))


def unended(model: Model, tokens: Tokens) -> Tokens:
    """The tokens without what says that nothing follows."""
    reader = model.target_tokenizer or model.tokenizer
    if len(tokens) > 1 and reader.end is not None and tokens.ids[-1] == reader.end:
        return reader.take(tokens.ids[:-1])
    return tokens
