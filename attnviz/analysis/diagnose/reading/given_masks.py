"""What an array that hides keys means: which keys, and what is added to the scores of the others.

Axes: [n_batch, n_head, n_q, n_k], 1 where it is the same for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.masking import recognised
from attnviz.analysis.diagnose.reading.picked import Picked
from attnviz.analysis.diagnose.specs import DEFAULT, Conventions
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.masks import NEVER
from attnviz.nn.types import Array, Bool


class GivenMask(NamedTuple):
    """A mask of a dump as it is understood."""

    visible: Bool | None
    """None where it hides nothing."""
    bias: Array | None
    """What it adds to the scores that are visible; None where that is 0."""
    raw: Array
    """Its own numbers."""
    reading: str
    """How it was understood, in a sentence."""

    @property
    def is_finite(self) -> bool:
        """Whether keys are hidden by a finite number that is added, as by finfo.min."""
        x = self.raw
        return x.dtype.kind == "f" and bool((np.isfinite(x) & (x <= NEVER)).any())

    def of(self, some: Picked) -> GivenMask:
        """The part of it for some items and heads."""
        parts = (None if x is None else some.of(x) for x in self[:3])
        visible, bias, raw = parts
        assert raw is not None
        return GivenMask(visible, bias, raw, self.reading)


def read_mask(name: str, role: str, x: Array, conventions: Conventions = DEFAULT) -> GivenMask:
    """A mask (`role` is `mask`, `padding` or `bias`): booleans, 0 and 1, or what is added.

    Raises:
        AttnvizError: whole numbers that are none of these.

    x [..., n_k].
    """
    if x.dtype == bool:
        return _of_truths(name, role, x, x, conventions)
    some_hidden = bool((x <= NEVER).any())
    is_flags = bool(((x == 0) | (x == 1)).all()) and (x.dtype.kind != "f" or bool(x.any()))
    if is_flags and role != "bias":
        return _of_truths(name, "mask", x == 1, x, conventions)
    if x.dtype.kind != "f" and role != "bias" and not some_hidden:
        other = x[(x != 0) & (x != 1)]
        raise AttnvizError(
            f"{name} is no mask: it holds {x.dtype}, {other.flat[0]!s} for example",
            "expected booleans, 0 and 1, or what is added to the scores: 0 and -inf",
        )
    return _of_added(name, x.astype(np.float64) if x.dtype.kind != "f" else x)


def _of_truths(name: str, role: str, truth: Bool, raw: Array, rules: Conventions) -> GivenMask:
    is_padding = role == "padding"
    hides = rules.true_is == "hidden" or is_padding
    turned = not hides and rules.name == DEFAULT.name and means_hidden(truth)
    one, zero = ("True", "False") if raw.dtype == bool else ("1", "0")
    if is_padding:
        reading = say("{name}: {one} is padding, as in PyTorch", name=name, one=one)
    elif turned:
        reading = say(
            "{name}: {one} is hidden, {zero} visible: else each query would see only later keys",
            name=name, one=one, zero=zero,
        )  # fmt: skip
    elif hides:
        reading = say("{name}: {one} is hidden, {zero} visible", name=name, one=one, zero=zero)
    else:
        reading = say("{name}: {one} is visible, {zero} hidden", name=name, one=one, zero=zero)
    seen = ~truth if hides or turned else truth
    return GivenMask(None if seen.all() else np.asarray(seen), None, raw, reading)


def means_hidden(truth: Bool) -> bool:
    """Whether True has to be what is hidden: then the mask is a causal one, perhaps with padding or
    a window, as of `triu(ones, 1)`; else each query would see only later keys.

    truth [..., n_q, n_k].
    """
    n_q, n_k = truth.shape[-2:]
    if n_q < 2:
        return False
    rows = np.arange(n_q)
    own = [truth[..., rows, rows + offset] for offset in (0, n_k - n_q) if n_k >= n_q]
    if own and all(seen.all() for seen in own):
        return False  # at once for the usual mask: a query sees its own key
    rules = recognised(np.asarray(~truth), n_q)
    is_band = rules.left is None or rules.left > 0
    return rules.causal and rules.ahead == 0 and is_band and rules.custom is None


def _of_added(name: str, x: Array) -> GivenMask:
    """What is added to the scores; what hides is -inf or as good as it."""
    hidden = (x <= NEVER) | (x == np.inf)
    rest = np.where(hidden | np.isnan(x), 0, x)
    fills = np.unique(x[hidden])
    words = [say("{name} is added to the scores", name=name)]
    if len(fills) and not np.isneginf(fills).all():
        words.append(say("{fill} in it hides a key", fill=_number(fills[np.isfinite(fills)][:1])
                         if np.isfinite(fills).any() else "+inf"))  # fmt: skip
    elif len(fills):
        words.append(say("-inf in it hides a key"))
    if np.isnan(x).any():
        words.append(say("its NaN are read as 0"))
    return GivenMask(
        ~hidden if hidden.any() else None, rest if rest.any() else None, x, "; ".join(words)
    )


def _number(x: Array) -> str:
    return f"{float(x[0]):g}"
