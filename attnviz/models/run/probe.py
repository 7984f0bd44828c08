"""A text, the positions at which a model's output is looked at, and what would be right there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import Text, read_sound, read_target, read_text
from attnviz.models.run.prepare import Prepared, as_heard, prepare, prepare_tokens
from attnviz.nn.embedding import Input
from attnviz.nn.pooling import TextHead
from attnviz.nn.types import Array
from attnviz.registry import nearest
from attnviz.tokens import Tokens, label

if TYPE_CHECKING:
    from attnviz.models.sound.reader import Sound

UNKNOWN = -1
"""Where nobody knows what would be right."""


class Probe(NamedTuple):
    """A text as a model reads it, and what is asked of its output."""

    prepared: Prepared
    positions: Array
    """[n_position]: where the output counts."""
    right: Array | None = None
    """[n_position]: the outputs that would be right, `UNKNOWN` where nobody knows; None if
    nowhere."""
    watched: Array | None = None
    """[n_position]: where an answer's probability is reported; None for nowhere."""
    choice: int | None = None
    """That answer; None for what the model itself finds most probable."""
    all_or_nothing: bool = False
    """Whether the positions make one answer, which is right only if all of it is."""
    about: str = ""
    """What is watched and what counts as right, where that is not plain."""

    @property
    def streams(self) -> Mapping[str, Tokens]:
        return self.prepared.streams

    @property
    def inputs(self) -> Mapping[str, Input]:
        return self.prepared.inputs


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

    Raises:
        AttnvizError: the model cannot read this, or has no such output.
    """
    choice = None if token is None else output_id(model, token)
    if model.image is not None:
        return _image_probe(model, text)._replace(choice=choice)
    if model.sound is not None:
        return _sound_probe(model, text, target, choice)
    if model.kind == "encoder-decoder" and model.task == "continue":
        return _target_probe(model, read_text(model, text, pair), text, target, choice)
    prepared = prepare(model, text, pair=pair, target=target, stages=())
    source = prepared.streams["source"]
    read = prepared.streams.get("target", source)
    probe = Probe(prepared, np.arange(len(read)), choice=choice)
    if model.task == "tag":
        ordinary = np.array([i for i in range(len(source)) if i not in source.special], int)
        return watch_all(probe._replace(positions=ordinary))
    if model.task in ("classify", "span") and chooses(model):
        return _answer_probe(model, probe)
    if model.task == "continue":
        return _next_token_probe(probe, source)
    return probe


def _answer_probe(model: Model, probe: Probe) -> Probe:
    """What is the label, which labels are there, where does the answer start and end?"""
    n = len(model.labels) if model.problem == "several" or model.task == "span" else 1
    head, streams = model.transformer.unembed, probe.streams
    if isinstance(head, TextHead) and head.pool is not None:
        read = np.empty((len(streams.get("target", streams["source"])), 1))
        if not len(head.pool(read, np.array(streams["source"].ids))):
            raise AttnvizError(
                f"{model.name} answers at the token that ends a text, which is not there",
                "end the ids with it" if model.tokenizer.end is None else "give a text, not ids",
            )
    if model.problem == "several" and probe.choice is not None:  # that label: no or yes
        return watch_all(probe._replace(positions=np.array([probe.choice]), choice=1))
    return watch_all(probe._replace(positions=np.arange(n)))


def chooses(model: Model) -> bool:
    """Whether the output is a choice among options, and neither a number nor a vector."""
    is_known = bool(model.task) and model.transformer.unembed is not None
    return is_known and model.task != "embed" and model.problem != "number"


def answer_name(model: Model, probe: Probe, output: int) -> str:
    """What an output of a probe stands for, safe to show."""
    if model.task == "span":
        source = probe.streams["source"]
        return f"{output} {source.labels[output]}"
    if model.problem == "several":
        return ("no", "yes")[output]
    return output_name(model, output)


def watch_all(probe: Probe) -> Probe:
    """Watch the answers at all positions."""
    return probe._replace(watched=np.ones(len(probe.positions), bool))


def output_id(model: Model, token: str) -> int:
    """The number of an output: of a label, or of a token by its text or as `#ID`."""
    if model.labels and chooses(model) and model.task != "span":
        if token not in model.labels:
            raise AttnvizError(
                f"--token: {model.name} has no output {token!r}", nearest(token, model.labels)
            )
        return model.labels.index(token)
    if not chooses(model) or model.task == "span":
        raise AttnvizError(
            f"--token: {model.name} has no output whose probability could be reported",
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
    return model.output_tokenizer.take([id]).labels[0]


def _image_probe(model: Model, path: Text) -> Probe:
    if not isinstance(path, str):
        raise AttnvizError(f"{model.name} reads images, not ids", "attnviz ablate FILE.png")
    prepared = prepare(model, image=path, stages=())
    if model.task == "classify":
        return watch_all(Probe(prepared, np.arange(1)))
    return Probe(prepared, np.arange(len(prepared.streams["source"])))


def _sound_probe(model: Model, path: Text, target: Text | None, choice: int | None) -> Probe:
    if not isinstance(path, str):
        raise AttnvizError(f"{model.name} hears sounds, not ids", "attnviz ablate FILE.wav")
    if model.kind == "encoder-decoder":
        sound = read_sound(model, path)
        return _target_probe(model, sound.tokens, path, target, choice, sound)
    prepared = prepare(model, sound=path, stages=())
    return Probe(prepared, np.arange(len(prepared.streams["source"])))


def _next_token_probe(probe: Probe, tokens: Tokens) -> Probe:
    """At each token, which comes next? Watched is the last, after which nobody knows."""
    last = probe.positions == len(tokens) - 1
    watched = "watched: the next token after the text"
    if len(tokens) == 1:
        return probe._replace(watched=last, about=watched)
    return probe._replace(
        right=np.array([*tokens.ids[1:], UNKNOWN]),
        watched=last,
        about=f"{watched}; right: what the text itself has next",
    )


def _target_probe(
    model: Model,
    source: Tokens,
    text: Text,
    target: Text | None,
    choice: int | None,
    sound: Sound | None = None,
) -> Probe:
    """What does the decoder write next: at each position of what it was given, or wrote itself?"""
    if model.task != "continue":
        read = read_target(model, text if target is None else target)
        return pair_probe(model, source, read, sound)._replace(choice=choice)
    if target is not None:
        read = without_end(model, read_target(model, target))
        probe = pair_probe(model, source, read, sound)._replace(choice=choice)
        return _next_token_probe(probe, read)
    generated = generate(model, source, source_input=sound and as_heard(model, sound))
    positions = np.arange(generated.n_given - 1, len(generated.read))
    right = np.array(generated.written.ids)
    own = np.array([step.instead_of is None for step in generated.steps])
    if own.any():  # what a rule made it write, the model itself would not
        positions, right = positions[own], right[own]
    only_last = positions == positions[-1]
    return pair_probe(model, source, generated.read, sound)._replace(
        positions=positions,
        right=right,
        watched=np.ones(len(positions), bool) if choice is None else only_last,
        choice=choice,
        all_or_nothing=True,
        about="watched and right: what the whole model writes",
    )


def pair_probe(model: Model, source: Tokens, target: Tokens, sound: Sound | None = None) -> Probe:
    """About the decoder's output at every token that it reads."""
    streams = {"source": source, "target": target}
    prepared = prepare_tokens(model, streams, sound=sound, stages=())
    return Probe(prepared, np.arange(len(target)))


def without_end(model: Model, tokens: Tokens) -> Tokens:
    """The tokens without the one that ends a text."""
    reader = model.output_tokenizer
    if len(tokens) > 1 and reader.end is not None and tokens.ids[-1] == reader.end:
        return reader.take(tokens.ids[:-1])
    return tokens
