"""How much heads look at what the system, the user and the model itself say."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.metrics.pattern import Measure, MetricContext, Pattern, Span
from attnviz.analysis.metrics.registry import METRICS, SHARE
from attnviz.language import to_say
from attnviz.nn.types import Bool
from attnviz.tokens import Tokens

ANSWER, CONTEXT = Span("answer"), Span("context")


def spans_of_keys(keys: Tokens) -> dict[str, Bool]:
    """By name, [n_k]: the spans that metrics are about, `system`, `user`, `assistant`, `template`
    and `generated`; `answer`, which is what was generated, or in a conversation that was given the
    assistant's last message; and `context`, all else. Empty where nothing is known of them."""
    spans = keys.spans
    found = {name: spans[name] for name in SPANS if name in spans}
    answer = spans.get("generated") or _last_message(keys)
    if answer:
        found["answer"] = answer
        found["context"] = tuple(sorted(set(range(len(keys))) - set(answer)))
    if not found:
        return {}
    masks = np.zeros((len(found), len(keys)), bool)
    for mask, places in zip(masks, found.values(), strict=True):
        mask[list(places)] = True
    return dict(zip(found, masks, strict=True))


SPANS = ("system", "user", "assistant", "template", "generated")


def _last_message(keys: Tokens) -> tuple[int, ...]:
    """What the assistant says behind all that others say."""
    spans = keys.spans
    others = [max(spans[name]) for name in ("user", "system") if name in spans]
    behind = max(others, default=-1)
    return tuple(place for place in spans.get("assistant", ()) if place > behind)


@METRICS.add(range=SHARE, heading=to_say("system"), priority=5)
def system_tokens(pattern: Pattern) -> Measure:
    """The weight on all that the system says in a conversation; mean over the queries that see
    some of it and have a choice.

    Σ_j w_ij over these keys j, from 0 to 1. Not defined without --chat, or without a system.
    """
    return pattern.mass(Span("system"))


@METRICS.add(range=SHARE, heading=to_say("user"), priority=5)
def user_tokens(pattern: Pattern) -> Measure:
    """The weight on all that the user says in a conversation; mean over the queries that see some
    of it and have a choice.

    Σ_j w_ij over these keys j, from 0 to 1. Not defined without --chat.
    """
    return pattern.mass(Span("user"))


@METRICS.add(range=SHARE, heading=to_say("assistant"), priority=5)
def assistant_tokens(pattern: Pattern) -> Measure:
    """The weight on all that the assistant says in the messages that were given; mean over the
    queries that see some of it and have a choice.

    Σ_j w_ij over these keys j, from 0 to 1. Not defined without such messages.
    """
    return pattern.mass(Span("assistant"))


@METRICS.add(range=SHARE)
def template_tokens(pattern: Pattern) -> Measure:
    """The weight on what the chat template writes between messages, special tokens aside; mean
    over the queries that see some of it and have a choice.

    Σ_j w_ij over these keys j, from 0 to 1. Not defined without --chat.
    """
    return pattern.mass(Span("template"))


@METRICS.add(range=SHARE, heading=to_say("generated"), priority=5)
def generated_tokens(pattern: Pattern) -> Measure:
    """The weight on all that the model wrote itself; mean over the queries that see some of it and
    have a choice.

    Σ_j w_ij over these keys j, from 0 to 1. Only of what `attnviz decode -o FILE` wrote.
    """
    return pattern.mass(Span("generated"))


@METRICS.add(range=SHARE, heading=to_say("lookback"), priority=5)
def lookback_ratio(pattern: Pattern) -> Measure:
    """How much more a token of the context gets than one of the answer itself: A(context) /
    (A(context) + A(new)); mean over the queries of the answer.

    A is the mean weight of a visible key: of all that was given, and of what has been written so
    far. From 0 (only at the answer) to 1 (only back at the context, of which a sink is part); 0.5
    for an even spread. The answer is what was generated, or the assistant's last message. Source:
    Chuang et al. 2024, Lookback Lens
    """
    context = pattern.context
    n_context, n_new = context.among(CONTEXT), context.among(ANSWER)
    queries = _answering(context)
    if n_context is None or n_new is None or queries is None:
        return pattern.undefined()
    old = pattern.given(CONTEXT) / np.maximum(n_context, 1)
    both = old + pattern.given(ANSWER) / np.maximum(n_new, 1)
    rows = (n_context > 0) & (n_new > 0) & queries[..., None, :] & (both > 0)
    return pattern.over_rows(old / np.where(both > 0, both, 1), rows)


def _answering(context: MetricContext) -> Bool | None:
    """[..., n_q]: the queries that are tokens of the answer; None where they are no keys."""
    whole, n_row = context.whole, context.visible.shape[-2]
    answer = whole.spans.get(ANSWER.name)
    if answer is None or whole.first is None:
        return None
    start = whole.first + context.start[0]
    queries: Bool = answer[..., start : start + n_row]
    return queries
