"""What a dump can be read as: every order of axes that its shapes allow, likeliest first.

Which of them is right shows in the numbers: only that one gives the output of the dump.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.case import GIVEN, Case, Request
from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import Masking, recognised
from attnviz.analysis.diagnose.noise import DTYPES
from attnviz.analysis.diagnose.reading.arranged import UNLIKELY, Qkv, arrange, attempts, unfit
from attnviz.analysis.diagnose.reading.axes import Misfit, Placed, Sizes, placed, spelled
from attnviz.analysis.diagnose.reading.given_masks import GivenMask, read_mask
from attnviz.analysis.diagnose.reading.packed import Starts, starts, unpacked
from attnviz.analysis.diagnose.reading.picked import Picked, picked
from attnviz.analysis.diagnose.reading.sources import check_given, scalar, sources, squeezed
from attnviz.analysis.diagnose.specs import DEFAULT, conventions, filled
from attnviz.language import say
from attnviz.nn.types import Array, Bool, floating
from attnviz.trace.dump import Dump, widened

SHOWN = ("q", "k", "v", "qkv", "kv", "q_pre", "k_pre", *GIVEN, "mask", "padding", "bias")
"""Roles whose shapes an error names."""

STAGE_PATTERNS = {
    "context": (
        *("b h n e", "b n h e", "n b h e", "b n he", "n b he", "h n e", "n h e", "bh n e"),
        *("bn h e", "n he", "bn he"),
    ),
    "weights": ("b h n m", "bh n m", "h n m", "b n m", "n m"),
}
MASK_PATTERNS = ("b h n m", "b n m", "h n m", "bh n m", "n m", "b m", "m")

ORDER = {"context": "bhne", "weights": "bhnm"}

MAX_CASES = 24

ADDS = ("attnviz", "torch", "torch-mha")
"""Conventions by which a mask of numbers is added as it is, finite or not."""


def readings(dump: Dump, request: Request | None = None) -> list[Case]:
    """Every way to read a dump that its shapes and the request allow, likeliest first.

    Raises:
        AttnvizError: something is missing, or nothing fits; with the axes that were tried.
    """
    request = filled(request or Request())
    rules = request.conventions
    if "block_tables" in dump.arrays and rules.name == DEFAULT.name:
        rules = conventions("vllm")  # a cache in blocks is read as vLLM does
    cases = rules.read(dump, request)
    if any(not case.given for case in cases):
        check_given(dump)
    said = [say(sentence) for sentence in rules.words]
    notes = (*dump.notes, *_not_finite(dump))
    return [
        replace(case, reading=(*said, *map(say, case.reading), *notes), fixes=rules.fixes)
        for case in cases or _by_axes(dump, request)
    ]


def _not_finite(dump: Dump) -> Iterator[str]:
    """Which arrays hold NaN or infinity, of those where it means nothing else."""
    for role, census in dump.census.items():
        if role.partition(".")[0] not in ("mask", "bias", "scores", "logits"):
            yield say(
                "{name}: {nan} numbers are NaN and {infinite} infinite, of {size}; the first at "
                "{first}",
                name=dump.names[role], nan=census.nan, infinite=census.infinite, size=census.size,
                first=str(list(census.first)),
            )  # fmt: skip


def _by_axes(dump: Dump, request: Request) -> list[Case]:
    """Every order of the axes of q, k and v."""
    cases: list[Case] = []
    misfits: dict[str, str] = {}
    made: list[tuple[str, Qkv]] = []
    for source in sources(dump, request):
        for attempt in attempts(dump, request, source):
            try:
                made.append((attempt.pattern, arrange(dump, request, source, attempt)))
            except Misfit as misfit:
                misfits.setdefault(attempt.pattern, str(misfit))
    for pattern, qkv in sorted(made, key=lambda each: each[1].rank):
        is_unlikely = cases and qkv.rank >= cases[0].rank + UNLIKELY
        if is_unlikely and not picked(qkv.sizes).is_all:
            break  # it would cost much
        try:
            cases += _cases(dump, request, qkv)
        except Misfit as misfit:
            misfits.setdefault(pattern, str(misfit))
    if not cases:
        raise unfit(dump, misfits, SHOWN)
    cases = [request.conventions.finish(case, dump) for case in cases]
    least = min(case.rank for case in cases)
    cases = [replace(case, rank=case.rank - least) for case in cases]
    return sorted(cases, key=lambda case: case.rank)[:MAX_CASES]


# what was computed of them


def _cases(dump: Dump, request: Request, qkv: Qkv) -> Iterator[Case]:
    """The readings of everything else."""
    where = starts(dump, qkv)
    if where is not None:
        yield from _packed_cases(dump, request, qkv, where)
        return
    stages = {stage: _stage_options(dump, stage, qkv) for stage in GIVEN if stage in dump.arrays}
    masks = _mask_options(dump, request, qkv)
    some = picked(qkv.sizes)
    q, k, v = (_numbers_of(some.of(x)) for x in (qkv.q, qkv.k, qkv.v))
    facts = _some_facts(qkv.facts, some)
    for outs, (rank_mask, masked) in itertools.product(
        itertools.product(*(enumerate(options) for options in stages.values())), masks
    ):
        chosen = dict(zip(stages, (each for _, each in outs), strict=True))
        given = {stage: _numbers_of(some.of(each.x)) for stage, each in chosen.items()}
        rank = qkv.rank + 2 * sum(number for number, _ in outs) + 2 * rank_mask
        masked = tuple(mask.of(some) for mask in masked)
        for rank_rule, masking, words in _maskings(dump, request, qkv.sizes, masked):
            masking, seen = _without_padded_queries(masking, given, q.shape[2])
            finite = any(mask.is_finite for mask in masked) and request.conventions.name in ADDS
            if finite and masking.leaves_rows_empty(q.shape[2], k.shape[2]):
                seen = (*seen, say("where a query sees no key, zeros are accepted, and what this "
                                   "number gives"))  # fmt: skip
            bias, distance = _bias(masked, facts, masking, q.shape[2], k.shape[2])
            wanted = computation(
                q, k, v,
                **_numbers(dump, request, q.shape[-1]),
                bias=bias,
                sinks=_sinks(dump, qkv.sizes["h"], some),
                masking=masking,
                facts=replace(
                    facts,
                    mask=masked[0].raw if masked else None,
                    alibi=slopes_of(bias, masking) if facts.alibi is None else facts.alibi,
                ),
            )  # fmt: skip
            yield Case(
                wanted,
                given,
                dtype=_dtype(dump),
                averaged=frozenset(_averaged(chosen, qkv)),
                layout=qkv.layout,
                reading=(
                    *(*qkv.reading, *_said(dump, chosen, masked), *words),
                    *(*seen, *distance, *_types(dump), *some.reading()),
                ),
                finite=finite,
                rank=rank + rank_rule,
            )


def _packed_cases(dump: Dump, request: Request, qkv: Qkv, where: Starts) -> Iterator[Case]:
    """Texts one after another, of which only the output is compared."""
    extra = [role for role in ("mask", "padding", "bias") if role in dump.arrays]
    if extra:
        raise Misfit(f"beside where its texts begin, {dump.described(*extra)} is not looked at")
    if "context" not in dump.arrays:
        raise Misfit("of texts one after another only the output is compared, and there is none")
    alignment = request.alignment or request.conventions.causal
    for number, out in enumerate(_stage_options(dump, "context", qkv)):
        for rank, masking, words in _maskings(dump, request, qkv.sizes, ()):
            joined = unpacked(qkv, out.x, where, masking, alignment)
            assert joined.out is not None
            wanted = computation(
                *(floating(x) for x in (joined.q, joined.k, joined.v)),
                **_numbers(dump, request, joined.q.shape[-1]),
                sinks=_sinks(dump, qkv.sizes["h"]),
                masking=joined.masking,
                facts=replace(qkv.facts, fused=None, inputs=None),
            )
            packs = say("{n} texts one after another", n=where.n_text)
            yield Case(
                wanted,
                {"context": floating(joined.out)},
                dtype=_dtype(dump),
                layout=qkv.layout,
                reading=(*qkv.reading, packs, *_said(dump, {"context": out}, ()), *words),
                rank=qkv.rank + 2 * number + rank,
            )


def _numbers_of(x: Array) -> Array:
    """float32 or float64; large arrays of bfloat16 are still its bits."""
    return floating(widened(x, "bfloat16"))


def _numbers(dump: Dump, request: Request, d_k: int) -> dict[str, Any]:
    """The scale, the cap and the steps that are wanted."""
    return {
        "scale": _scale(dump, request, d_k),
        "softcap": float(request.softcap or scalar(dump, "softcap") or 0.0),
        "steps": request.conventions.steps,
    }


def _averaged(chosen: Mapping[str, Placed], qkv: Qkv) -> Iterator[str]:
    for stage, each in chosen.items():
        if "h" not in each.pattern and qkv.sizes["h"] > 1:
            yield stage


def _some_facts(facts: Facts, some: Picked) -> Facts:
    """What is known of the items and heads that are looked at."""
    if some.is_all:
        return facts
    rotary, normed = facts.rotary, facts.normed_from
    if rotary is not None:
        positions = [rotary.q_positions, rotary.k_positions]
        at = [each if each.ndim == 1 else each[some.items] for each in positions]
        rotary = replace(
            rotary, q=some.of(rotary.q), k=some.of(rotary.k), q_positions=at[0], k_positions=at[1]
        )
    return replace(
        facts,
        rotary=rotary,
        alibi=None if facts.alibi is None else some.of_heads(facts.alibi),
        normed_from=None if normed is None else (some.of(normed[0]), some.of(normed[1])),
        fused=None,
        inputs=None,
    )


def _without_padded_queries(
    masking: Masking, given: Mapping[str, Array], n_q: int
) -> tuple[Masking, tuple[str, ...]]:
    """Where the queries of padding have an output of 0, as unpadding leaves them, they see no
    key."""
    out, keys = given.get("context"), masking.keys
    if out is None or keys is None or keys.shape[-1] != n_q:
        return masking, ()
    padded = np.broadcast_to(~keys[:, 0, 0], (len(out), n_q))
    if not padded.any() or (out.swapaxes(1, 2)[padded] != 0).any():
        return masking, ()
    said = say("queries that are padding have an output of 0: they see no key")
    return replace(masking, queries=~padded[:, None, :, None]), (said,)


def _stage_options(dump: Dump, stage: str, qkv: Qkv) -> list[Placed]:
    """The axes that an output or a matrix of weights may have, beside these q, k and v."""
    kind = "context" if stage == "context" else "weights"
    x = squeezed(dump.arrays[stage])
    patterns = [
        pattern
        for pattern in STAGE_PATTERNS[kind]
        if "b" in pattern.replace(" ", "") or qkv.sizes["b"] == 1
    ]
    usual = qkv.layout.replace("d", "e")
    patterns.sort(key=lambda each: each.replace(" ", "") != usual)
    found = list(placed(x, patterns, qkv.sizes, ORDER[kind]))
    if not found:
        needed = ", ".join(f"{letter} = {qkv.sizes[letter]}" for letter in ORDER[kind])
        raise Misfit(f"{dump.described(stage)} is no [{', '.join(ORDER[kind])}] of {needed}")
    return found


def _mask_options(
    dump: Dump, request: Request, qkv: Qkv
) -> list[tuple[int, tuple[GivenMask, ...]]]:
    """Everything that hides keys or is added, under each order of its axes."""
    options = [list(_lengths(dump, qkv))]
    for role, x in dump.arrays.items():
        kind = role.partition(".")[0]
        if kind not in ("mask", "padding", "bias") or x.ndim == 0:
            continue
        name = dump.names[role]
        patterns: Sequence[str] = MASK_PATTERNS
        if kind == "padding" or name.casefold() == "attention_mask":
            patterns = sorted(patterns, key=lambda each: each != "b m")
        found = list(placed(squeezed(x), patterns, qkv.sizes, "bhnm", broadcasts=True))
        if not found and _is_for_more(x, qkv.sizes):
            part = _for_these(squeezed(x), qkv.sizes)
            found = list(placed(part, patterns, qkv.sizes, "bhnm", broadcasts=True))
        if not found:
            raise Misfit(
                f"{dump.described(role)} does not broadcast to [b, h, n, m] = "
                f"{[qkv.sizes[letter] for letter in 'bhnm']}"
            )
        options.append([read_mask(name, kind, each.x, request.conventions) for each in found])
    return [
        (sum(number for number, _ in each), tuple(mask for _, mask in each))
        for each in itertools.product(*(enumerate(masks) for masks in options if masks))
    ]


def _is_for_more(x: Array, sizes: Sizes) -> bool:
    """Whether a mask is for the longest text that its model takes, as GPT-2 keeps it."""
    return x.ndim > 1 and x.shape[-1] == x.shape[-2] > sizes["m"] >= sizes["n"]


def _for_these(x: Array, sizes: Sizes) -> Array:
    """Its part for the keys there are, and the queries, which are the last of them."""
    n, m = sizes["n"], sizes["m"]
    return x[..., m - n : m, :m]


def _lengths(dump: Dump, qkv: Qkv) -> Iterator[GivenMask]:
    """How many keys of each item are no padding."""
    b, m = qkv.sizes["b"], qkv.sizes["m"]
    for role in ("k_lengths", "cu_k", "lengths", "cu_q"):
        x = dump.arrays.get(role)
        x = np.diff(x.reshape(-1)) if x is not None and role.startswith("cu_") else x
        if x is not None and x.size == b and x.min() >= 0 and x.max() <= m:
            seen = np.arange(m) < x.reshape(b, 1, 1, 1)
            said = say("{name}: keys from there on are padding", name=dump.names[role])
            yield GivenMask(None if seen.all() else seen, None, seen, said)
            return


def _maskings(
    dump: Dump, request: Request, sizes: Sizes, masked: Sequence[GivenMask]
) -> Iterator[tuple[int, Masking, tuple[str, ...]]]:
    """What hides keys, by its rules; both ways where nothing says whether it is causal."""
    visible: Bool | None = None
    for mask in masked:
        if mask.visible is not None:
            visible = mask.visible if visible is None else visible & mask.visible
    found = Masking() if visible is None else recognised(visible, sizes["n"])
    has_matrix = any(mask.raw.shape[-2] == sizes["n"] > 1 for mask in masked)
    stated = request.causal if request.causal is not None else scalar(dump, "causal")
    for number, causal in enumerate(_causal_options(stated, has_matrix, sizes)):
        yield number, *_with_rules(dump, request, sizes, found, causal, stated is None)


def _causal_options(stated: Any, has_matrix: bool, sizes: Sizes) -> tuple[bool, ...]:
    if stated is not None:
        return (bool(stated),)
    return (False,) if has_matrix or sizes["n"] == 1 else (False, True)


def _with_rules(
    dump: Dump, request: Request, sizes: Sizes, found: Masking, causal: bool, is_guess: bool
) -> tuple[Masking, tuple[str, ...]]:
    """A masking that also has the rules that no array holds: causal, and the window."""
    alignment = request.alignment or request.conventions.causal
    offset = _offset(dump, sizes, alignment)
    left, right = _window(dump, request, causal or found.causal)
    words = []
    rules: dict[str, Any] = {}
    if causal and not found.causal:
        rules |= {"causal": True, "ahead": 0}
        guess = say("causal, which no array says") if is_guess else say("causal")
        words.append(guess)
    if left is not None or right is not None:
        rules |= {"left": left, "right": right}
    if not rules:
        return found, ()
    if found.causal or found.has_window:
        offset = found.offset
    return replace(found, offset=offset, **rules), tuple(words)


def _offset(dump: Dump, sizes: Sizes, alignment: str) -> int | Array:
    """Where the first query stands among the keys: in a cache that is not full, before its end."""
    if alignment != "lower_right":
        return 0
    lengths = dump.arrays.get("k_lengths")
    if lengths is not None and lengths.size == sizes["b"] and sizes["n"] < sizes["m"]:
        return lengths.reshape(-1).astype(np.int64) - sizes["n"]
    return sizes["m"] - sizes["n"]


def _window(dump: Dump, request: Request, causal: bool) -> tuple[int | None, int | None]:
    """How many keys before and after its own a query sees: a window of w counts its own."""
    x = dump.arrays.get("window")
    if request.window is None and x is not None and x.size == 2:
        left, right = (int(each) for each in x.reshape(-1))
        return (None if left < 0 else left), (None if right < 0 else right)
    size = request.window if request.window is not None else scalar(dump, "window")
    if size is None or size <= 0:
        return None, None
    return int(size) - 1, None if causal else int(size) - 1


def _scale(dump: Dump, request: Request, d_k: int) -> float:
    said = request.scale if request.scale is not None else scalar(dump, "scale")
    if said is not None:
        return float(said)
    return 1.0 if request.conventions.default_scale == "1" else d_k**-0.5


def _bias(
    masked: Sequence[GivenMask], facts: Facts, masking: Masking, n_q: int, n_k: int
) -> tuple[Array | None, tuple[str, ...]]:
    """What is added to the scores; the bias of ALiBi where only its slopes are there."""
    parts = [mask.bias for mask in masked if mask.bias is not None]
    if parts:
        return floating(sum(parts[1:], parts[0])), ()
    if facts.alibi is None:
        return None, ()
    has_rules = masking.causal or masking.has_window
    aligned = masking if has_rules else replace(masking, offset=n_k - n_q)
    distance = np.abs(aligned.distance(np.arange(n_q), n_k))
    said = say("ALiBi: less slope · distance")
    return -facts.alibi[:, None, None] * distance, (said,)


def slopes_of(bias: Array | None, masking: Masking) -> Array | None:
    """[n_head], where a bias [1, n_head, n_q, n_k] is ALiBi's, less slope · distance, or differs
    from it by a number for each query; None where it is another."""
    if bias is None or bias.ndim < 3 or bias.shape[-3] == 1 or min(bias.shape[-2:]) < 2:
        return None
    bias = bias.reshape(-1, *bias.shape[-3:])[0]
    n_q, n_k = bias.shape[-2:]
    distance = np.asarray(masking.distance(np.arange(n_q), n_k), np.float64)[0, 0]
    if masking.causal:  # later keys, whose distance has another sign, are hidden
        bias, distance = bias - bias[..., :1], distance - distance[:, :1]
    else:
        distance = np.abs(distance)
    slopes = -(bias * distance).sum((1, 2)) / (distance**2).sum()
    rest = bias + slopes[:, None, None] * distance
    near = np.abs(rest).max() <= NEAR * np.abs(bias).max(initial=0)
    return np.asarray(slopes) if near and slopes.all() else None


NEAR = 1e-2
"""What half precision leaves of a bias, of its largest number."""


def _sinks(dump: Dump, n_head: int, some: Picked | None = None) -> Array | None:
    sinks = dump.arrays.get("sinks")
    if sinks is None:
        return None
    if sinks.size != n_head:
        raise Misfit(f"{dump.described('sinks')} are not one a head, of {n_head}")
    sinks = floating(sinks).reshape(-1)
    return sinks if some is None else some.of_heads(sinks)


def _dtype(dump: Dump) -> str:
    """The coarsest type of what was computed and of what it was computed from."""
    there = {dump.dtypes[role] for role in ("q", "k", "v", *GIVEN) if role in dump.dtypes}
    assert there <= set(DTYPES)
    return next(dtype for dtype in reversed(DTYPES) if dtype in there)


def _types(dump: Dump) -> Iterator[str]:
    """By which type rounding is judged, where the arrays have several."""
    there = {role: dump.dtypes[role] for role in ("q", "k", "v", *GIVEN) if role in dump.dtypes}
    if len(set(there.values())) > 1:
        listed = ", ".join(f"{dump.names[role]} {dtype}" for role, dtype in there.items())
        yield say("{types}: judged as {dtype}, the coarsest", types=listed, dtype=_dtype(dump))


def _said(dump: Dump, chosen: Mapping[str, Placed], masked: Sequence[GivenMask]) -> Iterator[str]:
    for stage, each in chosen.items():
        yield say("{x} as {axes}", x=dump.described(stage), axes=spelled(each.pattern))
    for mask in masked:
        yield mask.reading
