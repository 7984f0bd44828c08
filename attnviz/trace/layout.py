"""Which axis of a file's queries, keys and values is which.

A layout is a letter an axis: l layer, b batch, h head, n token, d width. `bhnd` is
[batch, head, n, d].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array

WORDS = {"l": "layer", "b": "batch", "h": "head", "n": "n", "d": "d"}
ORDER = "lbhnd"
LETTERS = {"s": "n", "t": "n", "m": "n", "e": "d", **{letter: letter for letter in ORDER}}
"""Letters in use elsewhere: s, t and m for tokens, e for the width."""

USUAL = {2: ("nd",), 3: ("hnd", "nhd"), 4: ("bhnd", "bnhd"), 5: ("lbhnd", "lbnhd")}
INNER = {2: ("nd",), 3: ("hnd", "nhd"), 4: ("lhnd", "lnhd")}
"""Those without a batch axis, which is put in where the user says."""
MERGED = {2: ("nd",), 3: ("bnd",), 4: ("lbnd",)}
"""With the number of axes, where all heads lie in the width."""

Sizes = Mapping[str, int]
"""Letter -> size, of every letter."""


class Batch(NamedTuple):
    """`--batch`: the axis, and the item if one is named."""

    axis: int
    item: int | None

    @classmethod
    def parse(cls, text: str) -> Batch:
        match = re.fullmatch(r"(\d{1,9})(?::(\d{1,9}))?", text)
        if match is None:
            raise AttnvizError(f"cannot read the batch axis {text!r}", "write 0, or 0:3 for item 3")
        return cls(int(match[1]), None if match[2] is None else int(match[2]))


class Known(NamedTuple):
    """A size that something else in the file, or the user, says."""

    axis: str
    """`n_q`, `n_k` or `n_head`."""
    size: int


def spelled(layout: str) -> str:
    """`[batch, head, n, d]`."""
    return f"[{', '.join(WORDS[letter] for letter in layout)}]"


def parse_layout(text: str) -> str:
    """A layout as somebody writes it: `bhnd`, `b,h,n,d`, `[batch, head, n, d]`, `bshd`; and where
    letters mean other axes there: `bsnd` and `bsh` of Ascend, `btnh` of JAX, `bmhk` of xFormers."""
    words = re.findall(r"[a-z]+", text.casefold())
    letters = words[0] if len(words) == 1 else "".join(word[0] for word in words)
    if not {"d", "e"} & set(letters):  # the width has another letter
        letters = letters.replace("k", "d") if "k" in letters else letters.replace("h", "d")
    if "n" in letters and {"s", "t"} & set(letters):  # heads are n, tokens s or t
        letters = letters.replace("n", "h")
    layout = "".join(LETTERS.get(letter, "?") for letter in letters)
    if "?" in layout or len(set(layout)) < len(layout) or not {"n", "d"} <= set(layout):
        raise AttnvizError(
            f"--layout: cannot read {text!r}",
            "a letter an axis, l layer, b batch, h head, n token, d width: bhnd or bnhd",
        )
    return layout


def sizes_of(x: Array, layout: str, n_head: int | None = None) -> dict[str, int]:
    """The size of every axis; with n_head the width is divided."""
    sizes = dict.fromkeys(ORDER, 1) | dict(zip(layout, x.shape, strict=True))
    if n_head is not None:
        sizes |= {"h": n_head, "d": sizes["d"] // n_head}
    return sizes


def arranged(x: Array, layout: str, n_head: int | None = None) -> Array:
    """x with its axes as in `layout` -> [layer, batch, head, n, d]; with n_head, heads that lie
    side by side in the width are split."""
    x = np.moveaxis(x, layout.index("d"), -1)
    layout = layout.replace("d", "") + "d"
    if n_head is not None:
        x = x.reshape(*x.shape[:-1], n_head, -1)
        layout = layout.replace("d", "hd")
    for letter in ORDER:
        if letter not in layout:
            x, layout = x[None], letter + layout
    return x.transpose([layout.index(letter) for letter in ORDER])


def candidates(n_axis: int, merged: bool, batch: Batch | None) -> tuple[str, ...]:
    """The layouts that so many axes may have, the contract's first."""
    if batch is None:
        return (MERGED if merged else USUAL).get(n_axis, ())
    inner = {2: ("nd",), 3: ("lnd",)} if merged else INNER
    return tuple(
        each[: batch.axis] + "b" + each[batch.axis :]
        for each in inner.get(n_axis - 1, ())
        if batch.axis <= len(each)
    )


def problem(q: Sizes, k: Sizes, v: Sizes) -> str | None:
    """What does not fit, by its axis; None if all does."""
    for letter, name in (("l", "layers"), ("b", "items of the batch")):
        if not q[letter] == k[letter] == v[letter]:
            return f"q, k and v have {q[letter]}, {k[letter]} and {v[letter]} {name}"
    if k["n"] != v["n"]:
        return f"k has n_k = {k['n']} keys and v has {v['n']} values"
    if k["h"] != v["h"]:
        return f"k has {k['h']} heads and v has {v['h']}"
    if not k["h"] or q["h"] % k["h"]:
        return f"the n_head = {q['h']} of q is not a multiple of the n_kv_head = {k['h']} of k"
    return None


def fits(q: Sizes, k: Sizes, known: Iterable[Known]) -> bool:
    """Whether nothing else that is known says otherwise."""
    sizes = {"n_q": q["n"], "n_k": k["n"], "n_head": q["h"]}
    return all(sizes[axis] == size for axis, size in known)


def choose(
    where: str,
    shapes: Mapping[str, Sequence[int]],
    possible: Mapping[str, Sequence[Sizes]],
    known: Sequence[Known],
    prefer_tokens: bool,
) -> tuple[str, bool]:
    """The layout of q, k and v among the possible ones (layout -> sizes of q, k and v), and
    whether only this one can be meant.

    Raises:
        AttnvizError: none fits; or two do, and the usual one is unlikely.
    """
    good = [layout for layout, sizes in possible.items() if problem(*sizes) is None]
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    if not good:
        first, sizes = next(iter(possible.items()))
        raise AttnvizError(
            f"{where}: as {spelled(first)}, {problem(*sizes)}: {listed}",
            "if the axes are others: --layout bnhd, a letter an axis",
        )
    agreeing = [each for each in good if fits(possible[each][0], possible[each][1], known)]
    left = agreeing or good
    if len(left) == 1:
        return left[0], len(possible) > 1
    if prefer_tokens:
        return left[1], False
    square = [each for each in left if possible[each][0]["n"] == possible[each][1]["n"]]
    if len(square) == 1:  # as many queries as keys is the usual case
        return square[0], False
    q = possible[left[0]][0]
    if q["h"] > q["n"]:
        raise AttnvizError(
            f"{where}: {listed} may be {q['h']} heads of {q['n']} tokens, or {q['n']} heads of "
            f"{q['h']} tokens",
            f"say which: --layout {left[0]} or --layout {left[1]}",
        )
    return left[0], False
