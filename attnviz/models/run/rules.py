"""Rules of decoding, as a checkpoint's generation_config.json names them: each changes the logits
of the next token. Names, order and numbers are those of transformers' logits processors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry

NEVER = -np.inf


class SoFar(NamedTuple):
    """What a rule may look at."""

    ids: Array
    """[n_token]: what the decoder has read, given and written."""
    n_given: int
    """How many of them it was given."""
    source: Array
    """[n_source]: what the encoder read; of a decoder alone, what it was given."""
    ends: Sequence[int]
    """Ids at which decoding stops."""
    max_length: int
    """How many tokens there will be at most, with those that were given."""
    begin: int | None = None
    """How many tokens there are before the first that is freely chosen; by default `n_given`."""


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_factor(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_one_or_list(value: Any) -> bool:
    return _is_count(value) or (_is_list(value) and bool(value))


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(_is_list(each) and each for each in value)


def _are_biases(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, list)
        and len(each) == 2
        and _is_list(each[0])
        and bool(each[0])
        and isinstance(each[1], int | float)
        for each in value
    )


def _is_decay(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and _is_count(value[0]) and _is_factor(value[1])
    )


@dataclass(frozen=True, eq=False, repr=False)
class RuleEntry(Entry):
    """`(logits [n_vocabulary], SoFar, value) -> [n_vocabulary]`"""

    takes_value: Callable[[Any], bool] = _is_count
    expects: str = "a whole number from 0"
    nothing: Any = 0
    """The value that changes nothing."""


RULES: Registry[RuleEntry] = Registry("rule of decoding", RuleEntry)
"""In the order in which they are applied."""


def apply_rules(rules: Mapping[str, Any], logits: Array, so_far: SoFar) -> Array:
    """The logits [n_vocabulary] after all rules, each with its value."""
    if so_far.n_given == 1 and forced_bos_token_id.__name__ in rules:
        so_far = so_far._replace(begin=2)
    for name, rule in RULES.items():
        if name in rules:
            logits = rule(logits, so_far, rules[name])
    return logits


@RULES.add(takes_value=_are_biases, expects="pairs of ids and a number", nothing=[])
def sequence_bias(logits: Array, so_far: SoFar, biases: list[Any]) -> Array:
    """Add a number to the logit of the token that would complete a sequence of ids."""
    return _biased(logits, so_far, [(tuple(ids), bias) for ids, bias in biases])


@RULES.add(takes_value=_is_factor, expects="a number above 0", nothing=1)
def encoder_repetition_penalty(logits: Array, so_far: SoFar, penalty: float) -> Array:
    """Raise the logits of the source's tokens: times the penalty if positive, else divided."""
    return _penalised(logits, so_far.source, 1 / penalty)


@RULES.add(takes_value=_is_factor, expects="a number above 0", nothing=1)
def repetition_penalty(logits: Array, so_far: SoFar, penalty: float) -> Array:
    """Lower the logits of all tokens so far: divided by the penalty if positive, else times it.

    Source: Keskar et al. 2019, CTRL
    """
    return _penalised(logits, so_far.ids, penalty)


@RULES.add
def no_repeat_ngram_size(logits: Array, so_far: SoFar, size: int) -> Array:
    """Never write the same `size` tokens twice, those that were given included."""
    return _without_ngrams(logits, so_far.ids, so_far.ids, size)


@RULES.add
def encoder_no_repeat_ngram_size(logits: Array, so_far: SoFar, size: int) -> Array:
    """Never write `size` tokens that the source has."""
    return _without_ngrams(logits, so_far.source, so_far.ids, size)


@RULES.add(takes_value=_are_words, expects="lists of ids", nothing=[])
def bad_words_ids(logits: Array, so_far: SoFar, words: list[list[int]]) -> Array:
    """Never write these sequences of ids; the end of the text may be written all the same."""
    ends = [[end] for end in so_far.ends]
    return _biased(logits, so_far, [(tuple(word), NEVER) for word in words if word not in ends])


@RULES.add
def min_length(logits: Array, so_far: SoFar, length: int) -> Array:
    """Do not end before there are so many tokens, those that were given included."""
    return _without(logits, so_far.ends) if len(so_far.ids) < length else logits


@RULES.add
def min_new_tokens(logits: Array, so_far: SoFar, count: int) -> Array:
    """Do not end before so many tokens are written."""
    short = len(so_far.ids) < so_far.n_given + count
    return _without(logits, so_far.ends) if short else logits


@RULES.add(nothing=None)
def forced_bos_token_id(logits: Array, so_far: SoFar, id: int) -> Array:
    """Write this token behind the first: the language of a translation, say."""
    return _only(logits, [id]) if len(so_far.ids) == 1 else logits


@RULES.add(takes_value=_is_one_or_list, expects="an id, or ids", nothing=None)
def forced_eos_token_id(logits: Array, so_far: SoFar, ids: int | list[int]) -> Array:
    """Write this token as the last that there may be."""
    is_last = len(so_far.ids) == so_far.max_length - 1
    return _only(logits, [ids] if isinstance(ids, int) else ids) if is_last else logits


@RULES.add(takes_value=_is_decay, expects="how many tokens, and a factor", nothing=None)
def exponential_decay_length_penalty(logits: Array, so_far: SoFar, decay: list[Any]) -> Array:
    """Raise the logit of the end ever more: by |logit| (factor^k − 1), k tokens after a start."""
    start, factor = decay
    late = len(so_far.ids) - so_far.n_given - start
    if late <= 0:
        return logits
    changed = logits.copy()
    for end in so_far.ends:
        if np.isfinite(logits[end]):
            changed[end] += np.abs(logits[end]) * (factor**late - 1)
    return changed


@RULES.add(takes_value=_is_list, expects="ids", nothing=[])
def suppress_tokens(logits: Array, so_far: SoFar, ids: list[int]) -> Array:
    """Never write these tokens."""
    return _without(logits, ids)


@RULES.add(takes_value=_is_list, expects="ids", nothing=[])
def begin_suppress_tokens(logits: Array, so_far: SoFar, ids: list[int]) -> Array:
    """Do not begin with these tokens; a first one that is forced does not count."""
    begin = so_far.begin or so_far.n_given
    return _without(logits, ids) if len(so_far.ids) == begin else logits


def _without(logits: Array, ids: Sequence[int]) -> Array:
    changed = logits.copy()
    changed[[id for id in ids if id < len(logits)]] = NEVER
    return changed


def _only(logits: Array, ids: Sequence[int]) -> Array:
    changed = np.full_like(logits, NEVER)
    changed[ids] = 0
    return changed


def _penalised(logits: Array, ids: Array, penalty: float) -> Array:
    changed = logits.copy()
    some = logits[ids]
    changed[ids] = np.where(some < 0, some * penalty, some / penalty)
    return changed


def _without_ngrams(logits: Array, text: Array, written: Array, size: int) -> Array:
    """Without the tokens that would complete `size` tokens of `text`, as `written` ends."""
    if len(text) < size or len(written) + 1 < size:
        return logits
    windows = np.lib.stride_tricks.sliding_window_view(text, size)
    last = written[len(written) + 1 - size :]
    repeated = windows[(windows[:, :-1] == last).all(axis=1), -1]
    return _without(logits, repeated.tolist())


def _biased(logits: Array, so_far: SoFar, biases: Sequence[tuple[tuple[int, ...], float]]) -> Array:
    changed = logits.copy()
    for ids, bias in biases:
        n_before = len(ids) - 1
        before = so_far.ids[len(so_far.ids) - n_before :] if n_before <= len(so_far.ids) else None
        if before is not None and np.array_equal(before, ids[:-1]):
            changed[ids[-1]] += bias
    return changed
