"""What a model answers, in a line or two."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attnviz.language import say
from attnviz.tokens import Tokens
from attnviz.trace.answer import Answer, Option
from attnviz.trace.record import Trace
from attnviz.views.kinds import Line

MAX_OPTIONS = 5
SMALLEST = 0.0005
MAX_MASKS = 8
"""Lines for tokens that are filled in."""


def answer_lines(trace: Trace) -> Iterator[Line]:
    """The answer; nothing where there is none, or where it stands at the tokens."""
    answer = trace.answer
    if answer is None or not answer.options:
        return
    if answer.task == "classify":
        yield Line(_label_text(answer), say("label"), "head")
    elif answer.task == "span":
        yield Line(" · ".join(map(_span, answer.options[:3])), say("answer"), "head")
    elif answer.task == "continue":
        yield Line(_options(answer.options), say("next"), "head")
    elif answer.task == "fill":
        yield from _filled(answer, trace.streams["source"])
    elif answer.task == "embed":
        several = len(answer.options) > 1
        text = _options(answer.options)
        text = say("{texts} (cosine)", texts=text) if several else text
        yield Line(text, say("nearest") if several else say("cosine"), "head")


def _label_text(answer: Answer) -> str:
    first, options = answer.options[0], answer.options
    if first.value is None:
        text = _options(options)
        return say("{labels} (each by itself)", labels=text) if answer.several else text
    if len(options) > 1:
        return _options(options)
    chance = 1 / (1 + math.exp(-max(-700.0, min(700.0, first.value))))
    return say("{name} {value} ({chance} by the logistic function)", name=first.text,
               value=f"{first.value:.3f}", chance=f"{chance:.3f}")  # fmt: skip


def _options(options: tuple[Option, ...]) -> str:
    """`POSITIVE 0.998 · NEGATIVE 0.002`, without those that would be 0.000."""
    first, *others = options
    options = (first, *(each for each in others if each.probability is None
                        or each.probability >= SMALLEST))  # fmt: skip
    shown = " · ".join(f"{each.text} {_number(each)}" for each in options[:MAX_OPTIONS])
    rest = len(options) - MAX_OPTIONS
    return shown + (" · " + say("and {n} more", n=rest) if rest > 0 else "")


def _number(option: Option) -> str:
    number = option.value if option.probability is None else option.probability
    return "" if number is None else f"{number:.3f}"


def _span(option: Option) -> str:
    """`in Paris 0.930 (at 5-6)`"""
    if not option.text:
        return say("no answer {probability}", probability=_number(option))
    first, last = option.positions[0], option.positions[-1]
    place = str(first) if first == last else f"{first}-{last}"
    return say("{text} {probability} (at {place})", text=option.text,
               probability=_number(option), place=place)  # fmt: skip


def _filled(answer: Answer, source: Tokens) -> Iterator[Line]:
    """A line for each masked token."""
    places = dict.fromkeys(option.positions[:1] for option in answer.options)
    for number, place in enumerate(places):
        if number == MAX_MASKS:
            yield Line(say("and {n} more", n=len(places) - MAX_MASKS), "", "note")
            return
        options = tuple(each for each in answer.options if each.positions[:1] == place)
        names = " ".join(" ".join((str(i), *source.labels[i : i + 1])) for i in place)
        text = say("at {token}: {options}", token=names, options=_options(options))
        yield Line(text, "" if number else say("masked"), "head")
