"""Texts of several lengths in one computation: side by side where that is possible, else packed
one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.masking import Masking, Segments, recognised
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool

MAX_CELLS = 1 << 25
"""Of the scores: (2, 8, 512, 512) are 2 ** 22."""
MAX_NUMBERS = 1 << 26
"""Of q, k and v together."""


class Text(NamedTuple):
    """One text's queries, keys and values as serving code has them, tokens first."""

    q: Array
    """[n_q, n_head, d_k]"""
    k: Array
    """[n_k, n_kv_head, d_k]"""
    v: Array
    """[n_k, n_kv_head, d_v]"""
    out: Array | None = None
    """[n_q, n_head, d_v]"""
    visible: Bool | None = None
    """[n_head or 1, n_q, n_k], True = visible"""
    bias: Array | None = None
    """[n_head or 1, n_q, n_k]"""
    factor: Array | None = None
    """[n_q]: what the scores of each query are multiplied by"""
    mask: Array | None = None
    """[n_head or 1, n_q, n_k]: what the dump itself holds, of which `visible` and `bias` were
    made."""

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.q), len(self.k)


def misfit(texts: Sequence[Text]) -> str | None:
    """Why the arrays of the texts do not fit together, with the axes; None where they do."""
    q, k, v = texts[0].q, texts[0].k, texts[0].v
    if any(x.ndim != 3 for x in (q, k, v)):
        return f"q, k and v of a text have {q.ndim}, {k.ndim} and {v.ndim} axes; expected 3"
    if q.shape[2] != k.shape[2]:
        return f"a head of the queries has the width {q.shape[2]}, and one of the keys {k.shape[2]}"
    if k.shape[1] != v.shape[1] or k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        return f"{q.shape[1]} query heads, {k.shape[1]} of keys and {v.shape[1]} of values"
    for number, text in enumerate(texts):
        if len(text.k) != len(text.v):
            return f"text {number} has {len(text.k)} keys and {len(text.v)} values"
        if text.out is not None and text.out.shape != (*text.q.shape[:2], v.shape[2]):
            wanted = [*text.q.shape[:2], v.shape[2]]
            return f"the output of text {number} has the shape {list(text.out.shape)}, not {wanted}"
    return None


class PickedTexts(NamedTuple):
    """Texts and heads that are looked at."""

    texts: list[Text]
    heads: Array
    """[n_head]"""
    reading: tuple[str, ...]
    """What was left out, in a sentence; none if nothing was."""


def picked_texts(texts: Sequence[Text]) -> PickedTexts:
    """Evenly spaced texts, at least two, and then key/value heads with their query heads, as many
    as can be computed in some seconds."""
    n_text, (n_head, n_kv_head) = len(texts), (texts[0].q.shape[1], texts[0].k.shape[1])
    count, n_kv = n_text, n_kv_head
    while _is_too_much(_spaced(texts, count), n_kv / n_kv_head):
        if count > 2:
            count = max(2, count // 2)
        elif n_kv > 1:
            n_kv //= 2
        else:
            break
    group = n_head // n_kv_head
    kv_heads = np.unique(np.linspace(0, n_kv_head - 1, n_kv).round().astype(int))
    heads = (kv_heads[:, None] * group + np.arange(group)).reshape(-1)
    if count == n_text and n_kv == n_kv_head:
        return PickedTexts([*texts], heads, ())
    said = to_say(
        "too large to be looked at whole: {count} of {n_text} texts and {n_some} of {n_head} heads",
        count=count,
        n_text=n_text,
        n_some=len(heads),
        n_head=n_head,
    )
    some = [_with_heads(text, heads, kv_heads) for text in _spaced(texts, count)]
    return PickedTexts(some, heads, (said,))


def _spaced(texts: Sequence[Text], count: int) -> list[Text]:
    return [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, count).round().astype(int))]


def _is_too_much(texts: Sequence[Text], share: float) -> bool:
    """Whether so many texts, with this share of their heads, take long or much memory."""
    n_q, n_k = (np.array([text.sizes[which] for text in texts]) for which in (0, 1))
    side_by_side = len(set(n_q.tolist())) == 1
    cells = n_q.sum() * (n_k.max() if side_by_side else n_k.sum()) * texts[0].q.shape[1]
    n = sum(text.q.size + text.k.size + text.v.size for text in texts)
    return bool(cells * share > MAX_CELLS or n * share > MAX_NUMBERS)


def _with_heads(text: Text, heads: Array, kv_heads: Array) -> Text:
    """The text with some of its heads."""
    n_head = text.q.shape[1]

    def of(x: Array | None) -> Array | None:
        return x[heads] if x is not None and len(x) == n_head else x

    return text._replace(
        q=text.q[:, heads],
        k=text.k[:, kv_heads],
        v=text.v[:, kv_heads],
        out=None if text.out is None else text.out[:, heads],
        visible=of(text.visible),
        bias=of(text.bias),
        mask=of(text.mask),
    )


class Rule(NamedTuple):
    """What hides keys in every text: the last query stands at the last key."""

    causal: bool = False
    left: int | None = None
    """How many keys before its own a query sees; None: all."""

    def visible(self, n_q: int, n_k: int) -> Bool:
        """[n_q, n_k]"""
        masking = Masking(causal=self.causal, left=self.left, offset=n_k - n_q)
        seen = masking.visible(np.arange(n_q), n_k)
        return np.ones((n_q, n_k), bool) if seen is None else np.asarray(seen[0, 0])


class Together(NamedTuple):
    """All texts, with the axes of a computation."""

    q: Array
    k: Array
    v: Array
    masking: Masking
    bias: Array | None
    out: Array | None
    """[n_batch, n_head, n_q, d_v]"""
    factor: Array | None
    """[n_batch, 1, n_q, 1]"""
    mask: Array | None
    """As the dump holds it, with axes that broadcast to those of the scores."""


def together(texts: Sequence[Text], rule: Rule) -> Together:
    """The texts as a batch, where all have as many queries (keys are padded at the end), or packed
    in one item, where a query sees only its own text."""
    rule, texts = _simplified(texts, rule)
    if len({len(text.q) for text in texts}) == 1:
        return _side_by_side(texts, rule)
    return _packed(texts, rule)


def _simplified(texts: Sequence[Text], rule: Rule) -> tuple[Rule, list[Text]]:
    """Masks that are nothing but causal become the rule."""
    masks = [(text.visible, text.sizes) for text in texts]
    causal = Rule(causal=True)
    plain = all(
        mask is not None and (mask == causal.visible(*sizes)).all() for mask, sizes in masks
    )
    if plain and rule.left is None and any(n_k > 1 for _, (_, n_k) in masks):
        return causal, [text._replace(visible=None) for text in texts]
    return rule, list(texts)


def _side_by_side(texts: Sequence[Text], rule: Rule) -> Together:
    n_q = len(texts[0].q)
    lengths = np.array([len(text.k) for text in texts])
    n_k = int(lengths.max())
    even = (lengths == n_k).all()
    masking = Masking(
        causal=rule.causal,
        left=rule.left,
        offset=n_k - n_q if even else lengths - n_q,
        keys=None if even else np.arange(n_k) < lengths[:, None, None, None],
    )
    custom = _stacked([text.visible for text in texts], n_k, False)
    if custom is not None:
        found = recognised(np.asarray(custom, bool), n_q) if masking.is_empty else None
        masking = replace(masking, custom=custom) if found is None else found
    return Together(
        q=np.stack([text.q.swapaxes(0, 1) for text in texts]),
        k=np.stack([_longer(text.k, n_k).swapaxes(0, 1) for text in texts]),
        v=np.stack([_longer(text.v, n_k).swapaxes(0, 1) for text in texts]),
        masking=masking,
        bias=_stacked([text.bias for text in texts], n_k, 0),
        out=None if texts[0].out is None else np.stack([_out(text) for text in texts]),
        factor=_factor([text.factor for text in texts], np.stack),
        mask=_stacked([text.mask for text in texts], n_k, 0),
    )


def _packed(texts: Sequence[Text], rule: Rule) -> Together:
    segments = Segments(_numbers(texts, 0), _numbers(texts, 1))
    custom = _diagonal([text.visible for text in texts], texts, True)
    aligned = all(n_q == n_k for n_q, n_k in (text.sizes for text in texts))
    masking = Masking(segments=segments, custom=custom)
    if aligned:
        masking = replace(masking, causal=rule.causal, left=rule.left)
    elif rule != Rule():
        seen = _diagonal([rule.visible(*text.sizes)[None] for text in texts], texts, False)
        masking = replace(masking, custom=seen if custom is None else seen & custom)
    return Together(
        q=_joined([text.q for text in texts]),
        k=_joined([text.k for text in texts]),
        v=_joined([text.v for text in texts]),
        masking=masking,
        bias=_diagonal([text.bias for text in texts], texts, 0),
        out=None if texts[0].out is None else np.concatenate([_out(t) for t in texts], 1)[None],
        factor=_factor([text.factor for text in texts], lambda own: np.concatenate(own)[None]),
        mask=_diagonal([text.mask for text in texts], texts, 0),
    )


def _factor(factors: Sequence[Array | None], join: Callable[[list[Array]], Array]) -> Array | None:
    """[n_batch, 1, n_q, 1] of what each text has, [n_q]."""
    own = [factor for factor in factors if factor is not None]
    return join(own)[:, None, :, None] if own else None


def _out(text: Text) -> Array:
    """[n_head, n_q, d_v]"""
    assert text.out is not None
    return text.out.swapaxes(0, 1)


def _joined(arrays: Sequence[Array]) -> Array:
    """[n, n_head, d] each -> [1, n_head, Σn, d]"""
    return np.concatenate(arrays).swapaxes(0, 1)[None]


def _numbers(texts: Sequence[Text], which: int) -> Array:
    """The number of its text, for every query (0) or key (1)."""
    return np.repeat(np.arange(len(texts)), [text.sizes[which] for text in texts])


def _longer(x: Array, n: int) -> Array:
    """[n_k, n_head, d] -> [n, n_head, d]: zeros behind."""
    return np.concatenate([x, np.zeros((n - len(x), *x.shape[1:]), x.dtype)])


def _stacked(parts: Sequence[Array | None], n_k: int, filler: float) -> Array | None:
    """[n_batch, n_head or 1, n_q, n_k] of what each text has; None if none has any."""
    own = [part for part in parts if part is not None]
    if not own:
        return None
    assert len(own) == len(parts)
    pads = [[(0, 0), (0, 0), (0, n_k - part.shape[-1])] for part in own]
    padded = [
        np.pad(part, pad, constant_values=filler) for part, pad in zip(own, pads, strict=True)
    ]
    return np.stack(padded)


def _diagonal(
    parts: Sequence[Array | None], texts: Sequence[Text], filler: float | bool
) -> Array | None:
    """[1, n_head or 1, Σn_q, Σn_k] with each text's part at its place; None if none has any."""
    own = [part for part in parts if part is not None]
    if not own:
        return None
    assert len(own) == len(parts)
    heads = max(len(part) for part in own)
    ends = np.cumsum([text.sizes for text in texts], 0)
    whole = np.full((1, heads, *ends[-1]), filler, own[0].dtype)
    for part, (n_q, n_k), (end_q, end_k) in zip(own, (t.sizes for t in texts), ends, strict=True):
        whole[0, :, end_q - n_q : end_q, end_k - n_k : end_k] = part
    return whole
