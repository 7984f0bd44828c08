"""The heads that answer about a text: made of a checkpoint's tensors by the name of its class.

As transformers' classes compute them: `…ForSequenceClassification`, `…ForTokenClassification`,
`…ForQuestionAnswering`, `…ForMultipleChoice`, `…ForNextSentencePrediction`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.models.build.layers import ACTIVATIONS, linear
from attnviz.models.build.outputs import architecture, read_labels
from attnviz.models.build.tensors import Tensors
from attnviz.nn.activations import Activation, relu, tanh
from attnviz.nn.linear import Linear
from attnviz.nn.pooling import (
    LastBut,
    LastOf,
    Pool,
    Step,
    TextHead,
    against_zero,
    first_token,
    last_token,
)


class HeadOptions(NamedTuple):
    """What a family does differently from BERT before it answers."""

    activation: Activation = tanh
    """Behind the pooler, or the dense layer of the classifier."""
    pool: Pool = first_token
    """What a classifier of an encoder reads."""
    steps: tuple[Step, ...] = ()
    """What a vector goes through before all else, instead of a pooler."""
    end: int = 2
    """The id of the end of a text, at which an encoder-decoder reads it, where the config has
    none."""


BERT_LIKE = HeadOptions()


class Answers(NamedTuple):
    """A head, and what its outputs are."""

    head: TextHead | None
    """None where the file lacks a part of it."""
    task: str = ""
    labels: tuple[str, ...] = ()
    problem: str = ""
    """As `Model.problem`."""
    lacks: str = ""
    """Why there is no head: what is missing, or has another shape."""


def read_answers(
    config: Config, tensors: Tensors, d_model: int, kind: str, options: HeadOptions
) -> Answers | None:
    """The head that the class of a checkpoint has; None for a class whose head is not known.

    Args:
        kind: that of the transformer: `encoder`, `decoder`, `encoder-decoder`.
    """
    read = reader_of(architecture(config))
    return None if read is None else read(_Parts(config, tensors, d_model, kind, options))


def reader_of(name: str) -> Callable[[_Parts], Answers] | None:
    """What reads the head of a class of transformers; None if that is not known."""
    found = (read for ending, read in READERS.items() if re.fullmatch(f".+{ending}", name))
    return next(found, None)


class _Parts:
    """Reads the parts of a head one by one, and keeps what is missing of them."""

    def __init__(
        self, config: Config, tensors: Tensors, d_model: int, kind: str, options: HeadOptions
    ) -> None:
        self.config, self.tensors, self.kind, self.options = config, tensors, kind, options
        self.pool: Pool | None = None
        self.steps: list[Step] = list(options.steps)
        self.lacks = ""
        maps = [step for step in options.steps if isinstance(step, Linear)]
        self._d = len(maps[-1].weight) if maps else d_model

    def labels(self) -> tuple[str, ...]:
        try:
            return read_labels(self.config)
        except AttnvizError:
            self.lacks = "id2label with a name for every class"
            return ()

    def has(self, name: str) -> bool:
        return self.tensors.has(f"{name}.weight")

    def add(self, name: str, n_output: int, activation: Activation | None = None) -> None:
        """The linear map of this name; without a bias where the file has none, as transformers'
        is 0 then."""
        weight, bias = (self.tensors.shape(f"{name}.{part}") for part in ("weight", "bias"))
        if weight != (n_output, self._d) or bias not in (None, (n_output,)):
            found = "" if weight is None else f" [{n_output}, {self._d}]"
            self.lacks = self.lacks or f"{name}.weight{found}"
            return
        has_bias = bias is not None
        self.steps.append(linear(self.tensors, name, self._d, n_output, bias=has_bias))
        self._d = n_output
        if activation is not None:
            self.steps.append(activation)

    def dense(self, name: str, activation: Activation) -> None:
        """A map that keeps the width."""
        self.add(name, self._d, activation)

    def pooler(self) -> None:
        """A map of the vector that is pooled, unless the family has something else there."""
        if not self.options.steps:
            name = "pooler" if self.has("pooler") else "pooler.dense"
            self.dense(name, self.options.activation)

    def answers(self, task: str, labels: Sequence[str] = (), problem: str = "") -> Answers:
        head = None if self.lacks else TextHead(tuple(self.steps), self.pool)
        return Answers(head, task, tuple(labels), problem, self.lacks)


def _sequence(parts: _Parts) -> Answers:
    """Of a whole text: one of several labels, several, or numbers."""
    labels = parts.labels()
    _classifier(parts, len(labels))
    kind = parts.config.text("problem_type")
    if kind == "multi_label_classification":
        return parts.answers("classify", labels, "several")
    is_number = kind == "regression" or len(labels) == 1
    return parts.answers("classify", labels, "number" if is_number else "")


def _classifier(parts: _Parts, n_output: int) -> None:
    """Pooling, and the maps from the pooled vector to the outputs."""
    config, options = parts.config, parts.options
    if parts.has("score") or parts.kind == "decoder":
        padding = config.get("pad_token_id", -1)
        parts.pool = LastBut(padding) if isinstance(padding, int) else last_token
        parts.add("score", n_output)
        return
    parts.pool = options.pool
    if parts.kind == "encoder-decoder":
        end = config.get("eos_token_id", options.end)
        parts.pool = LastOf(end if isinstance(end, int) else options.end)
        parts.dense("classification_head.dense", tanh)
        parts.add("classification_head.out_proj", n_output)
    elif parts.has("classifier.out_proj"):
        parts.dense("classifier.dense", options.activation)
        parts.add("classifier.out_proj", n_output)
    else:
        if parts.has("pre_classifier"):
            parts.dense("pre_classifier", relu)
        elif parts.has("sequence_summary.summary"):
            parts.dense("sequence_summary.summary", options.activation)
        else:
            parts.pooler()
        parts.add("classifier", n_output)


def _choice(parts: _Parts) -> Answers:
    """Of one of several texts: how well it fits."""
    _classifier(parts, 1)
    return parts.answers("classify", ("score",), "number")


def _next_sentence(parts: _Parts) -> Answers:
    parts.pool = parts.options.pool
    parts.pooler()
    parts.add("cls.seq_relationship", 2)
    return parts.answers("classify", ("follows", "does not follow"))


def _tokens(parts: _Parts) -> Answers:
    labels = parts.labels()
    parts.add("score" if parts.has("score") else "classifier", len(labels))
    return parts.answers("tag", labels)


def _replaced(parts: _Parts) -> Answers:
    """Of each token, whether a generator has put it there (ELECTRA's discriminator)."""
    activation = ACTIVATIONS[parts.config.text("hidden_act", "gelu")]
    parts.dense("discriminator_predictions.dense", activation)
    parts.add("discriminator_predictions.dense_prediction", 1)
    parts.steps.append(against_zero)
    return parts.answers("tag", ("original", "replaced"))


def _span(parts: _Parts) -> Answers:
    """Of each token, how well an answer begins and how well it ends there."""
    has_other = parts.has("classifier") and not parts.has("qa_outputs")
    parts.add("classifier" if has_other else "qa_outputs", 2)
    return parts.answers("span", ("start", "end"))


READERS: dict[str, Callable[[_Parts], Answers]] = {
    "ForSequenceClassification": _sequence,
    "ForTokenClassification": _tokens,
    r"ForQuestionAnswering(Simple)?": _span,
    "ForMultipleChoice": _choice,
    "ForNextSentencePrediction": _next_sentence,
    r"(?<=Electra)ForPreTraining": _replaced,
}
"""By what the names of transformers' classes end in."""


def lacking_note(lacks: str) -> str:
    """That a head cannot be computed."""
    return to_say("its file has no {name}, so its answers cannot be computed", name=lacks)
