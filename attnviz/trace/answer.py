"""What a model answers: labels, a span, the next token, how similar two texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnviz.nn.types import Array
from attnviz.tokens import label

MAX_SHOWN = 5
"""How many of the options `str` names."""


@dataclass(frozen=True)
class Option:
    """One of the things that a model may answer."""

    text: str
    """A label, a token or a span, safe to show; of similar texts the other text."""
    probability: float | None = None
    """None where the answer is a number."""
    value: float | None = None
    """That number: of a regression the output, of similar texts the cosine."""
    positions: tuple[int, ...] = ()
    """Of a token that is tagged, filled in or continued, where it is; of a span all its tokens."""

    def to_manifest(self) -> dict[str, Any]:
        """As it stands in files; what is not there is left out."""
        return {
            "text": self.text,
            **({} if self.probability is None else {"probability": self.probability}),
            **({} if self.value is None else {"value": self.value}),
            **({"positions": list(self.positions)} if self.positions else {}),
        }

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Option:
        def number(key: str) -> float | None:
            return None if entry.get(key) is None else float(entry[key])

        positions, text = tuple(map(int, entry.get("positions", ()))), str(entry["text"])
        return cls(text and label(text), number("probability"), number("value"), positions)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model makes of a text."""

    task: str
    """As `ModelFacts.task`: `classify`, `tag`, `span`, `continue`, `fill`, `embed`."""
    options: tuple[Option, ...]
    """The most probable first; of `tag` one for each token, of `fill` some for each mask."""
    several: bool = False
    """Whether any number of the options may be right, each by itself."""
    embedding: Array | None = None
    """Of `embed`: the vector of the text, [d]."""

    @property
    def best(self) -> Option | None:
        """The first option; None where there is nothing to compare with."""
        return self.options[0] if self.options else None

    def __str__(self) -> str:
        shown = ", ".join(
            f"{option.text} {_number(option):.3f}" for option in self.options[:MAX_SHOWN]
        )
        return f"{self.task}: {shown}"

    def compared(self, others: Mapping[str, Answer]) -> Answer:
        """With the similarity to other texts, by their names, the nearest first."""
        if self.embedding is None:
            return self
        options = tuple(
            Option(label(name), value=cosine(self.embedding, other.embedding))
            for name, other in others.items()
            if other.embedding is not None
        )
        return replace(self, options=tuple(sorted(options, key=lambda each: -_number(each))))

    def to_manifest(self) -> dict[str, Any]:
        """As it stands in files, without the embedding."""
        return {
            "task": self.task,
            "options": [option.to_manifest() for option in self.options],
            **({"several": True} if self.several else {}),
        }

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], embedding: Array | None = None) -> Answer:
        """What `to_manifest` gave, back. Raises an error of Python for what is malformed."""
        options = tuple(map(Option.from_manifest, entry["options"]))
        return cls(str(entry["task"]), options, bool(entry.get("several")), embedding)


def _number(option: Option) -> float:
    number = option.value if option.probability is None else option.probability
    return float("nan") if number is None else number


def cosine(a: Array, b: Array) -> float:
    """The cosine of the angle between two vectors [d]; 0 if one of them is 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def best_options(
    texts: Sequence[str], probabilities: Array, positions: tuple[int, ...] = ()
) -> tuple[Option, ...]:
    """Options by falling probability; texts [n], probabilities [n]."""
    order = np.argsort(-probabilities, kind="stable")
    return tuple(
        Option(texts[i], probability=float(probabilities[i]), positions=positions) for i in order
    )
