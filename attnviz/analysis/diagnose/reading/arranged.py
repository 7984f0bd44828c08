"""q, k and v of a dump with their axes in order, under every reading that their shapes allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.facts import Facts, Rotary
from attnviz.analysis.diagnose.reading.axes import Misfit, Sizes, arranged, bound, placed, spelled
from attnviz.analysis.diagnose.reading.sources import (
    Source,
    head_counts,
    scalar,
    squeezed,
    weight_of,
)
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.positions import RopeStyle
from attnviz.nn.types import Array, floating
from attnviz.trace.dump import Dump
from attnviz.trace.layout import parse_layout

PATTERNS: Mapping[int, Mapping[str, int]] = {
    4: {"b h n d": 0, "b n h d": 1, "n b h d": 3},
    3: {"h n d": 0, "n h d": 1, "b n hd": 1, "n b hd": 3},
    2: {"n hd": 0},
}
"""Axes of q by how many it has, and how unlikely each is; k and v have g, m and e instead."""

SIDE_BY_SIDE = {"b n hd": 0, "n b hd": 3, "h n d": 2, "n h d": 3}
"""Of three axes, where the number of heads is said: then heads lie in the width."""

OF_ITEMS = ("context", "weights", "scores", "logits", "mask", "padding")
"""Roles whose arrays may begin with the batch where that of q begins with it and the heads."""

MAX_HEADS_RANK = 1

CLOSE = 3e-2
"""A rotation of half precision is off by less than this, in units of the largest number."""

BASES = (10_000.0, 500_000.0, 1_000_000.0)


@dataclass(frozen=True, eq=False)
class Qkv:
    """q, k and v under one reading, in the types of the file."""

    sizes: Sizes
    q: Array
    """[n_batch, n_head, n_q, d_k]"""
    k: Array
    """[n_batch, n_kv_head, n_k, d_k]"""
    v: Array
    """[n_batch, n_kv_head, n_k, d_v]"""
    layout: str
    rank: int
    reading: tuple[str, ...]
    facts: Facts = field(default_factory=Facts)


class Attempt(NamedTuple):
    """One order of the axes of q, k and v."""

    pattern: str
    n_head: int | None
    """Where heads lie side by side."""
    rank: int


def attempts(dump: Dump, request: Request, source: Source) -> Iterator[Attempt]:
    """The orders that are worth a try, for their number of axes."""
    for pattern, rank in _patterns(dump, request, source).items():
        if "hd" not in pattern.split():
            yield Attempt(pattern, None, rank + source.rank)
            continue
        widths = source.q.shape[-1], source.k.shape[-1] if source.k.ndim else 1
        for number, n_head in enumerate(head_counts(dump, request, *widths)):
            more = min(number, MAX_HEADS_RANK)
            yield Attempt(pattern, n_head, rank + source.rank + more)
    if source.q.ndim == 3 and request.layout is None:
        for n_batch in _batches(dump, len(source.q)):
            yield Attempt("bh n d", len(source.q) // n_batch, source.rank + 1)


def _batches(dump: Dump, n: int) -> list[int]:
    """How many items may lie in a first axis of n together with their heads: as many as another
    array has in its own."""
    found = [
        len(x)
        for role, x in dump.arrays.items()
        if role.partition(".")[0] in OF_ITEMS and x.ndim > 1 and 1 < len(x) < n and n % len(x) == 0
    ]
    return list(dict.fromkeys(found))


def _patterns(dump: Dump, request: Request, source: Source) -> Mapping[str, int]:
    n_axis = source.q.ndim
    known = PATTERNS.get(n_axis, {})
    if n_axis == 3 and (request.n_head or scalar(dump, "n_head")):
        known = SIDE_BY_SIDE
    if source.patterns:
        known = {pattern: 2 * number for number, pattern in enumerate(source.patterns)}
    if request.layout is not None:
        return {_asked(dump, request.layout, source): 0}
    if not known:
        raise AttnvizError(
            f"{dump.where}: {dump.described('q', 'qkv', 'q_pre')} has {n_axis} axes; expected 2 "
            "to 4",
            "[batch, head, n, d] is usual",
        )
    first = request.conventions.layout or ("bnhd" if "hook" in dump.layer else None)
    return {
        pattern: 0 if pattern.replace("hd", "d").replace(" ", "") == first else rank + bool(first)
        for pattern, rank in known.items()
    }


def _asked(dump: Dump, text: str, source: Source) -> str:
    """The pattern that the user names; of a fused array its axes are those of all three."""
    layout = parse_layout(text)
    if source.fused is not None and "h" not in layout:
        layout = layout.replace("d", "hd")
    elif "h" not in layout:
        return _checked(dump, text, source, " ".join(layout).replace("d", "hd"))
    return _checked(dump, text, source, " ".join(layout))


def _checked(dump: Dump, text: str, source: Source, pattern: str) -> str:
    if len(pattern.split()) != source.q.ndim or "l" in pattern:
        raise AttnvizError(
            f"--layout {text} has {len(pattern.split())} axes; in {dump.where}: "
            f"{dump.described('q', 'k', 'v', 'qkv')}",
            "a letter an axis of q: b batch, h head, n token, d width",
        )
    return pattern


def arrange(dump: Dump, request: Request, source: Source, attempt: Attempt) -> Qkv:
    """q, k and v with these axes.

    Raises:
        Misfit: they cannot have them.
    """
    pattern, n_head, rank = attempt
    of_k = pattern.replace("h", "g").replace("n", "m")
    of_v = of_k.replace("d", "e")
    q, k, v = source.q, source.k, source.v
    if n_head is not None and pattern.endswith("hd") and q.shape[-1] % n_head:
        raise Misfit(f"the width {q.shape[-1]} of q is not divided by {n_head} heads")
    known = {} if "b" in pattern else {"b": 1}
    known |= {} if n_head is None else {"h": n_head}
    sizes = bound("q", q.shape, pattern, known)
    k, turned = _upright(k, of_k, sizes)
    sizes, k = _bound_or_one("k", k, of_k, sizes)
    if sizes["h"] % sizes["g"]:
        raise Misfit(f"the {sizes['h']} heads of q are no multiple of the {sizes['g']} of k")
    sizes, v = _bound_or_one("v", v, of_v, sizes)
    _check_counts(dump, request, sizes)
    k, v = arranged(k, of_k, sizes, "bgmd"), arranged(v, of_v, sizes, "bgme")
    k, v, sizes = _with_past(dump, k, v, of_k, sizes)
    made = Qkv(
        sizes,
        arranged(q, pattern, sizes, "bhnd"),
        k,
        v,
        pattern.replace("hd", "d").replace(" ", ""),
        rank + _unlikeliness(sizes, pattern),
        (*source.reading, _sentence(dump, pattern, sizes), *turned),
        _facts(dump, request, source, pattern, sizes),
    )
    return _with_rotation(dump, made, pattern, is_rotated=source.is_rotated)


def _unlikeliness(sizes: Sizes, pattern: str) -> int:
    """Of so many items, heads and tokens."""
    n_head, n_token = sizes["h"], max(sizes["n"], sizes["m"])
    rank = FEWER_KEYS if sizes["m"] < sizes["n"] else 0
    rank += MANY_ITEMS if sizes["b"] > n_token > 1 else 0
    if n_token == 1:
        return rank + ONE_TOKEN
    if n_head == 1:
        return rank + (ONE_HEAD if {"b", "h"} <= {*pattern.split()} else 0)
    if n_head > MOST_HEADS:
        return rank + UNLIKELY
    return rank + (MANY_HEADS if n_head > 2 * n_token and sizes["n"] > 1 else 0)


MANY_HEADS = ONE_HEAD = 2
"""More than twice as many as tokens: a short text; one head that has an axis of its own."""
MANY_ITEMS = ONE_TOKEN = 3
"""More than tokens; a single token, which is an axis of 1 of something else elsewhere."""
FEWER_KEYS = 7
"""Than queries: grouped heads of keys look so where tokens and heads are mistaken."""
MOST_HEADS, UNLIKELY = 128, 9
"""More heads than any model has."""


def _check_counts(dump: Dump, request: Request, sizes: Sizes) -> None:
    for letter, said in (
        ("h", request.n_head or scalar(dump, "n_head")),
        ("g", scalar(dump, "n_kv_head")),
    ):
        if said and sizes[letter] != int(said):
            raise Misfit(f"it would have {sizes[letter]} heads, not {int(said)}")


def _upright(k: Array, pattern: str, sizes: Sizes) -> tuple[Array, tuple[str, ...]]:
    """k with its width last, where it was saved as it enters q @ k: [b, h, d, n]."""
    d, has_width_last = sizes["d"], pattern.endswith("m d")
    if has_width_last and k.ndim == len(pattern.split()) and k.shape[-2] == d != k.shape[-1]:
        return k.swapaxes(-1, -2), (say("k is transposed: its width comes before its keys"),)
    return k, ()


def _bound_or_one(
    name: str, x: Array, pattern: str, sizes: Mapping[str, int]
) -> tuple[dict[str, int], Array]:
    """As `bound`; an array that is the same for the whole batch has it once."""
    words = pattern.split()
    if "b" in words and x.ndim == len(words) and x.shape[words.index("b")] == 1:
        shape = list(x.shape)
        shape[words.index("b")] = sizes["b"]
        x = np.broadcast_to(x, shape)
    return bound(name, x.shape, pattern, sizes), x


def _sentence(dump: Dump, pattern: str, sizes: Sizes) -> str:
    role = next(role for role in ("q_pre", "q", "qkv", "x") if role in dump.arrays)
    return say(
        "{q} as {axes}: n_head {h}, d_k {d}; of k n_kv_head {g}, n_k {m}",
        q=dump.described(role), axes=spelled(pattern),
        **{letter: sizes[letter] for letter in "hdgm"},
    )  # fmt: skip


def _with_past(
    dump: Dump, k: Array, v: Array, of_k: str, sizes: dict[str, int]
) -> tuple[Array, Array, dict[str, int]]:
    """k and v behind those of a cache that the dump has beside them."""
    past = [dump.arrays.get(role) for role in ("past_k", "past_v")]
    if past[0] is None or past[1] is None:
        return k, v, sizes
    before = []
    for x, name, width in ((past[0], "past_k", "d"), (past[1], "past_v", "e")):
        rest = {letter: size for letter, size in sizes.items() if letter != "m"}
        for pattern in dict.fromkeys(("b g m d", of_k)):
            own = pattern.replace("d", width)
            try:
                known = bound(name, x.shape, own, rest)
            except Misfit:
                continue
            before.append(arranged(x, own, known, f"bgm{width}"))
            break
        else:
            raise Misfit(f"{dump.described(name)} does not stand before k and v")
    k = np.concatenate([before[0], k], axis=2)
    return k, np.concatenate([before[1], v], axis=2), sizes | {"m": k.shape[2]}


# what else is known


def _facts(dump: Dump, request: Request, source: Source, pattern: str, sizes: Sizes) -> Facts:
    arrays = dump.arrays
    facts = Facts(d_model=request.d_model or scalar(dump, "d_model"))
    if "slopes" in arrays and arrays["slopes"].size == sizes["h"]:
        facts = replace(facts, alibi=floating(arrays["slopes"].reshape(-1)))
    if "q_raw" in arrays and "k_raw" in arrays:
        q, k = _like(arrays["q_raw"], pattern, sizes), _like_k(arrays["k_raw"], pattern, sizes)
        if q is not None and k is not None:
            facts = replace(facts, normed_from=(q, k))
    fused = source.fused if source.fused is not None else arrays.get("qkv")
    tokens = pattern.replace("h d", "hd").split()[:-1]
    if fused is not None and fused.ndim == len(tokens) + 1 and set(tokens) <= {"b", "n"}:
        facts = replace(facts, fused=_tokens_of(fused, tokens))
    if "x" in arrays and "w_qkv" in arrays and set(tokens) <= {"b", "n"}:
        x, weight = arrays["x"], weight_of(arrays["x"], arrays["w_qkv"])
        if weight is not None and x.ndim == len(tokens) + 1:
            facts = replace(facts, inputs=(_tokens_of(x, tokens), weight),
                            d_model=facts.d_model or x.shape[-1])  # fmt: skip
    return facts


def _tokens_of(x: Array, tokens: list[str]) -> Array:
    """[n_batch, n, width] of [n, batch, width] or [n, width]."""
    if "b" not in tokens:
        return floating(x[None])
    return floating(x if tokens.index("b") == 0 else x.swapaxes(0, 1))


def _like(x: Array, pattern: str, sizes: Sizes, order: str = "bhnd") -> Array | None:
    """An array with the axes of q; None if it has others."""
    found = list(placed(squeezed(x), (pattern,), sizes, order))
    return floating(found[0].x) if found else None


def _like_k(x: Array, pattern: str, sizes: Sizes) -> Array | None:
    return _like(x, pattern.replace("h", "g").replace("n", "m"), sizes, "bgmd")


def _with_rotation(dump: Dump, made: Qkv, pattern: str, *, is_rotated: bool) -> Qkv:
    """Queries and keys from before their rotation, rotated."""
    if is_rotated:
        return made
    from attnviz.analysis.diagnose.rotary import rotated

    given = [dump.arrays.get(role) for role in "qk"]
    q = None if given[0] is None else _like(given[0], pattern, made.sizes)
    k = None if given[1] is None else _like_k(given[1], pattern, made.sizes)
    rotary = _rotary(dump, made)
    width = rotary.width or made.sizes["d"]
    if not 0 < width <= made.sizes["d"] or width % 2:
        raise Misfit(f"of d_k = {made.sizes['d']}, {width} features cannot be rotated in pairs")
    said = []
    if q is not None and k is not None:
        for each in _rotations(dump, rotary, made.sizes["d"]):
            if _near(rotated(each.q, each.q_positions, each), q) and _near(
                rotated(each.k, each.k_positions, each), k
            ):
                return _rotated(made, each, q, k, [])
        said.append(say("q and k are not what this rotation makes of those before it"))
    q, k = (rotated(x, at, rotary) for x, at in (
        (rotary.q, rotary.q_positions), (rotary.k, rotary.k_positions)))  # fmt: skip
    return _rotated(made, rotary, q, k, said)


def _rotated(made: Qkv, rotary: Rotary, q: Array, k: Array, said: list[str]) -> Qkv:
    words = say(
        "rotated by {style} pairs, base {base:g}, {width} of {d} features",
        style=rotary.style, base=rotary.base, width=rotary.width or q.shape[-1], d=q.shape[-1],
    )  # fmt: skip
    return replace(
        made,
        q=q,
        k=k,
        reading=(*made.reading, words, *said),
        facts=replace(made.facts, rotary=rotary),
    )


def _rotary(dump: Dump, made: Qkv) -> Rotary:
    """The rotation that the dump asks for; the usual one where it says nothing."""
    sizes = made.sizes
    n, m = sizes["n"], sizes["m"]
    k_positions = _positions(dump, "k_positions", m, sizes["b"])
    q_positions = _positions(dump, "positions", n, sizes["b"])
    if k_positions is None:
        k_positions = q_positions if n == m and q_positions is not None else np.arange(m)
    if q_positions is None:
        q_positions = k_positions[..., m - n :] if n <= m else np.arange(n)
    frequencies = dump.arrays.get("frequencies")
    style: RopeStyle = "interleaved" if scalar(dump, "interleaved") else "half"
    width = scalar(dump, "rotary_width")
    return Rotary(
        floating(made.q),
        floating(made.k),
        q_positions,
        k_positions,
        base=float(scalar(dump, "rope_base") or BASES[0]),
        style=style,
        width=None if width is None else int(width),
        frequencies=None if frequencies is None else frequencies.reshape(-1),
    )


def _positions(dump: Dump, role: str, n: int, n_batch: int) -> Array | None:
    """[n], or [n_batch, n]."""
    x = dump.arrays.get(role)
    if x is None or x.shape[-1:] != (n,) or x.size not in (n, n * n_batch):
        return None
    return x.reshape(-1) if x.size == n else x.reshape(n_batch, n)


def _rotations(dump: Dump, rotary: Rotary, d: int) -> Iterator[Rotary]:
    """That rotation, and others that models have, in what the dump does not say."""
    yield rotary
    said = dump.arrays
    styles: tuple[RopeStyle, ...] = ("half", "interleaved")
    styles = (rotary.style,) if "interleaved" in said else styles
    widths = [None, *(w for w in (d // 2, d // 4, 3 * d // 4) if w and w % 2 == 0)]
    is_sure = "rotary_width" in said or rotary.frequencies is not None
    for base in [rotary.base] if "rope_base" in said else dict.fromkeys((rotary.base, *BASES)):
        for width in [rotary.width] if is_sure else widths:
            for style in styles:
                yield replace(rotary, base=base, width=width, style=style)


def _near(x: Array, other: Array) -> bool:
    return bool(np.abs(x - other).max() <= CLOSE * max(1e-30, float(np.abs(other).max())))


def unfit(dump: Dump, misfits: Mapping[str, str], roles: tuple[str, ...]) -> AttnvizError:
    """What to say where no order of axes fits, with all that were tried."""
    side_by_side = any("hd" in pattern for pattern in misfits)
    tried = "; ".join(f"as {spelled(pattern)}, {why}" for pattern, why in misfits.items())
    return AttnvizError(
        f"{dump.where}: {dump.described(*roles)} fit together in no order of axes: {tried}",
        "if the axes of q are others: --layout, a letter an axis: bhnd, bnhd, nbhd, bnd"
        + ("; heads that lie side by side: --heads N" if side_by_side else ""),
    )


__all__ = ["Attempt", "Qkv", "arrange", "attempts", "unfit"]
