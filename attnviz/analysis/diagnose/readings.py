"""What a dump can be read as: every order of axes that its shapes allow, likeliest first.

Which of them is right shows in the numbers: only that one gives the output of the dump.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.axes import Misfit, Placed, Sizes, arranged, bound, placed, spelled
from attnviz.analysis.diagnose.case import GIVEN, Case, Request
from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.given_masks import GivenMask, read_mask
from attnviz.analysis.diagnose.masking import Masking, recognised
from attnviz.analysis.diagnose.noise import DTYPES
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.types import Array, Bool, floating
from attnviz.trace.dump import SAVE, Dump
from attnviz.trace.layout import parse_layout

PATTERNS = {
    4: ("b h n d", "b n h d", "n b h d"),
    3: ("h n d", "n h d", "b n hd", "n b hd"),
    2: ("n hd",),
}
"""Axes of q by how many it has; k and v have g, m and e instead."""

STAGE_PATTERNS = {
    "context": (
        *("b h n e", "b n h e", "n b h e", "b n he", "n b he", "h n e", "n h e", "bh n e"),
        *("bn h e", "n he", "bn he"),
    ),
    "weights": ("b h n m", "bh n m", "h n m", "b n m", "n m"),
}
MASK_PATTERNS = ("b h n m", "b n m", "h n m", "bh n m", "n m", "b m", "m")

ORDER = {"context": "bhne", "weights": "bhnm"}

USUAL_WIDTHS = (64, 128, 32, 96, 80, 256, 16, 48, 8)
"""Widths of a head, the commonest first, where heads lie side by side and nothing says how many."""
MAX_HEADS = 5
MAX_CASES = 24

COARSEST = ("bfloat16", "float16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Inputs:
    """q, k and v under one order of their axes."""

    sizes: Sizes
    q: Array
    """[n_batch, n_head, n_q, d_k], in the type of the file."""
    k: Array
    v: Array
    layout: str
    rank: int
    reading: tuple[str, ...]
    facts: Facts = field(default_factory=Facts)


def readings(dump: Dump, request: Request | None = None) -> list[Case]:
    """Every way to read a dump that its shapes and the request allow, likeliest first.

    Raises:
        AttnvizError: something is missing, or nothing fits; with the axes that were tried.
    """
    request = request or Request()
    _check_roles(dump)
    cases: list[Case] = []
    misfits: dict[str, str] = {}
    arrays = _projected(dump)
    for attempt in _attempts(dump, request, arrays[0]):
        try:
            cases += _cases(dump, request, _inputs(dump, request, arrays, attempt))
        except Misfit as misfit:
            misfits.setdefault(attempt.pattern, str(misfit))
    if not cases:
        raise _unfit(dump, misfits)
    return sorted(cases, key=lambda case: case.rank)[:MAX_CASES]


def _check_roles(dump: Dump) -> None:
    """Raise AttnvizError where what attention needs is not there."""
    there = [role for role in ("q", "k", "v") if role in dump.arrays]
    missing = [role for role in ("q", "k") if role not in dump.arrays]
    given = [stage for stage in GIVEN if stage in dump.arrays]
    if missing:
        has = dump.described() or "nothing"
        raise AttnvizError(
            f"{dump.where}: there is no {' and no '.join(missing)}: it holds {has}",
            f"what attention was computed from is needed, too: {SAVE}",
        )
    if not given:
        raise AttnvizError(
            f"{dump.where}: beside {', '.join(there)} there is no output and no weights to compare",
            f"save what your attention gave: {SAVE}",
        )
    if "v" not in there and set(given) == {"context"}:
        raise AttnvizError(
            f"{dump.where}: there is no v, which the output is made of: {dump.described()}",
            f"save it, too: {SAVE}",
        )
    for role in (*there, *given):
        if not dump.arrays[role].size:
            raise AttnvizError(f"{dump.where}: {dump.names[role]} is empty", "save what it held")


def _unfit(dump: Dump, misfits: Mapping[str, str]) -> AttnvizError:
    tried = "; ".join(f"as {spelled(pattern)}, {why}" for pattern, why in misfits.items())
    return AttnvizError(
        f"{dump.where}: {dump.described('q', 'k', 'v', *GIVEN, 'mask', 'padding', 'bias')} fit "
        f"together in no order of axes: {tried}",
        "if the axes of q are others: --layout, a letter an axis: bhnd, bnhd, nbhd, bnd",
    )


# q, k and v


class _Attempt(NamedTuple):
    """One order of the axes of q, k and v."""

    pattern: str
    n_head: int | None
    """Where heads lie side by side."""
    rank: int


def _attempts(dump: Dump, request: Request, q: Array) -> Iterator[_Attempt]:
    for number, pattern in enumerate(_patterns(q.ndim, dump, request)):
        if "hd" not in pattern.split():
            yield _Attempt(pattern, None, 4 * number)
            continue
        for rank, n_head in enumerate(_head_counts(dump, request, q)):
            yield _Attempt(pattern, n_head, 4 * number + rank)


def _projected(dump: Dump) -> tuple[Array, Array, Array]:
    q, k = dump.arrays["q"], dump.arrays["k"]
    v = dump.arrays.get("v")
    return _squeezed(q), _squeezed(k), _squeezed(k[..., :1] * 0 if v is None else v)


def _squeezed(x: Array) -> Array:
    """Without axes of size 1 in front of four."""
    while x.ndim > 4 and len(x) == 1:
        x = x[0]
    return x


def _patterns(n_axis: int, dump: Dump, request: Request) -> tuple[str, ...]:
    known = PATTERNS.get(n_axis, ())
    if request.layout is not None:
        layout = parse_layout(request.layout)
        pattern = " ".join("hd" if each == "d" and "h" not in layout else each for each in layout)
        if len(layout) != n_axis or "l" in layout:
            raise AttnvizError(
                f"--layout {request.layout} has {len(layout)} axes; in {dump.where}: "
                f"{dump.described('q', 'k', 'v')}",
                "a letter an axis of q: b batch, h head, n token, d width",
            )
        return (pattern,)
    if not known:
        raise AttnvizError(
            f"{dump.where}: {dump.described('q')} has {n_axis} axes; expected 2 to 4",
            "[batch, head, n, d] is usual",
        )
    first = request.conventions.layout
    if first is not None:
        known = tuple(sorted(known, key=lambda each: each.replace(" ", "") != first))
    elif "hook" in dump.layer:
        known = tuple(sorted(known, key=lambda each: each != "b n h d"))
    return known


def _head_counts(dump: Dump, request: Request, q: Array) -> Sequence[int]:
    """How many heads may lie side by side in the last axis of q."""
    width = q.shape[-1]
    said = request.n_head or _scalar(dump, "n_head")
    if said:
        return [int(said)]
    for stage in ("weights", "scores", "logits", "context"):
        x = dump.arrays.get(stage)
        if x is not None and x.ndim == 4:
            axes = (1,) if stage != "context" else (1, 2)
            found = [x.shape[axis] for axis in axes if width % x.shape[axis] == 0]
            if found:
                return found
    likely = [width // d for d in USUAL_WIDTHS if width % d == 0 and width // d > 1]
    return [1, *likely[:MAX_HEADS]]


def _scalar(dump: Dump, role: str) -> Any:
    """A single number of the dump; None if it has none."""
    x = dump.arrays.get(role)
    return None if x is None or x.size != 1 else x.reshape(-1)[0].item()


def _inputs(
    dump: Dump, request: Request, arrays: tuple[Array, Array, Array], attempt: _Attempt
) -> Inputs:
    """q, k and v with these axes.

    Raises:
        Misfit: they cannot have them.
    """
    (q, k, v), (pattern, n_head, rank) = arrays, attempt
    if n_head is not None and q.shape[-1] % n_head:
        raise Misfit(f"the width {q.shape[-1]} of q is not divided by {n_head} heads")
    known = {} if "b" in pattern else {"b": 1}
    known |= {} if n_head is None else {"h": n_head}
    sizes = bound("q", q.shape, pattern, known)
    of_k = pattern.replace("h", "g").replace("n", "m")
    sizes, k = _bound_or_one("k", k, of_k, sizes)
    if sizes["h"] % sizes["g"]:
        raise Misfit(f"the {sizes['h']} heads of q are no multiple of the {sizes['g']} of k")
    sizes, v = _bound_or_one("v", v, of_k.replace("d", "e"), sizes)
    for letter, said in (
        ("h", request.n_head or _scalar(dump, "n_head")),
        ("g", _scalar(dump, "n_kv_head")),
    ):
        if said and sizes[letter] != int(said):
            raise Misfit(f"it would have {sizes[letter]} heads, not {int(said)}")
    unlikely = 2 if sizes["h"] > max(sizes["n"], sizes["m"]) and sizes["h"] > 1 else 0
    layout = pattern.replace("hd", "d").replace(" ", "")
    return Inputs(
        sizes,
        arranged(q, pattern, sizes, "bhnd"),
        arranged(k, of_k, sizes, "bgmd"),
        arranged(v, of_k.replace("d", "e"), sizes, "bgme"),
        layout,
        rank + 4 * unlikely,
        (_axes_sentence(dump, pattern, sizes),),
        Facts(d_model=request.d_model or _scalar(dump, "d_model")),
    )


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


def _axes_sentence(dump: Dump, pattern: str, sizes: Sizes) -> str:
    return say(
        "{q} is read as {axes}: {b} × {h} heads × {n} queries × {d}; {g} key/value heads, {m} keys",
        q=dump.described("q"), axes=spelled(pattern),
        **{letter: sizes[letter] for letter in "bhndgm"},
    )  # fmt: skip


# what was computed of them


def _cases(dump: Dump, request: Request, inputs: Inputs) -> Iterator[Case]:
    """The readings of everything else."""
    stages = {stage: _stage_options(dump, stage, inputs) for stage in GIVEN if stage in dump.arrays}
    masks = _mask_options(dump, request, inputs)
    q, k, v = (floating(x) for x in (inputs.q, inputs.k, inputs.v))
    for outs, (rank_mask, masked) in itertools.product(
        itertools.product(*(enumerate(options) for options in stages.values())), masks
    ):
        chosen = dict(zip(stages, (each for _, each in outs), strict=True))
        rank_out = sum(number for number, _ in outs)
        for rank_rule, masking, words in _maskings(dump, request, inputs.sizes, masked):
            yield Case(
                wanted=computation(
                    q, k, v,
                    scale=_scale(dump, request, q.shape[-1]),
                    softcap=float(request.softcap or _scalar(dump, "softcap") or 0.0),
                    bias=_bias(masked),
                    sinks=_sinks(dump),
                    masking=masking,
                    steps=request.conventions.steps,
                    facts=replace(inputs.facts, mask=masked[0].raw if masked else None),
                ),
                given={stage: floating(each.x) for stage, each in chosen.items()},
                dtype=_dtype(dump),
                averaged=frozenset(
                    stage
                    for stage, each in chosen.items()
                    if "h" not in each.pattern and inputs.sizes["h"] > 1
                ),
                layout=inputs.layout,
                reading=(*inputs.reading, *_said(dump, chosen, masked), *words),
                rank=inputs.rank + 2 * rank_out + 2 * rank_mask + rank_rule,
            )  # fmt: skip


def _stage_options(dump: Dump, stage: str, inputs: Inputs) -> list[Placed]:
    """The axes that an output or a matrix of weights may have, beside these q, k and v."""
    kind = "context" if stage == "context" else "weights"
    x = _squeezed(dump.arrays[stage])
    patterns = [
        pattern
        for pattern in STAGE_PATTERNS[kind]
        if "b" in pattern.replace(" ", "") or inputs.sizes["b"] == 1
    ]
    usual = inputs.layout.replace("d", "e")
    patterns.sort(key=lambda each: each.replace(" ", "") != usual)
    found = list(placed(x, patterns, inputs.sizes, ORDER[kind]))
    if not found:
        needed = ", ".join(f"{letter} = {inputs.sizes[letter]}" for letter in ORDER[kind])
        raise Misfit(f"{dump.described(stage)} is no [{', '.join(ORDER[kind])}] of {needed}")
    return found


def _mask_options(
    dump: Dump, request: Request, inputs: Inputs
) -> list[tuple[int, tuple[GivenMask, ...]]]:
    """Everything that hides keys or is added, under each order of its axes."""
    options = []
    for role, x in dump.arrays.items():
        kind = role.partition(".")[0]
        if kind not in ("mask", "padding", "bias") or x.ndim == 0:
            continue
        name = dump.names[role]
        patterns: Sequence[str] = MASK_PATTERNS
        if kind == "padding" or name.casefold() == "attention_mask":
            patterns = sorted(patterns, key=lambda each: each != "b m")
        found = list(placed(_squeezed(x), patterns, inputs.sizes, "bhnm", broadcasts=True))
        if not found:
            raise Misfit(f"{dump.described(role)} does not broadcast to [b, h, n, m]")
        options.append([read_mask(name, kind, each.x, request.conventions) for each in found])
    return [
        (sum(number for number, _ in each), tuple(mask for _, mask in each))
        for each in itertools.product(*(enumerate(masks) for masks in options))
    ]


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
    stated = request.causal if request.causal is not None else _scalar(dump, "causal")
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
    offset = sizes["m"] - sizes["n"] if alignment == "lower_right" else 0
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
        offset = found.offset if isinstance(found.offset, int) else offset
    return replace(found, offset=offset, **rules), tuple(words)


def _window(dump: Dump, request: Request, causal: bool) -> tuple[int | None, int | None]:
    """How many keys before and after its own a query sees: a window of w counts its own."""
    x = dump.arrays.get("window")
    if request.window is None and x is not None and x.size == 2:
        left, right = (int(each) for each in x.reshape(-1))
        return (None if left < 0 else left), (None if right < 0 else right)
    size = request.window if request.window is not None else _scalar(dump, "window")
    if size is None or size <= 0:
        return None, None
    return int(size) - 1, None if causal else int(size) - 1


def _scale(dump: Dump, request: Request, d_k: int) -> float:
    said = request.scale if request.scale is not None else _scalar(dump, "scale")
    if said is not None:
        return float(said)
    return 1.0 if request.conventions.default_scale == "1" else d_k**-0.5


def _bias(masked: Sequence[GivenMask]) -> Array | None:
    parts = [mask.bias for mask in masked if mask.bias is not None]
    return floating(sum(parts[1:], parts[0])) if parts else None


def _sinks(dump: Dump) -> Array | None:
    sinks = dump.arrays.get("sinks")
    return None if sinks is None else floating(sinks).reshape(-1)


def _dtype(dump: Dump) -> str:
    """The coarsest type of what was computed and of what it was computed from."""
    there = {dump.dtypes[role] for role in ("q", "k", "v", *GIVEN) if role in dump.dtypes}
    assert there <= set(DTYPES)
    return next(dtype for dtype in COARSEST if dtype in there)


def _said(dump: Dump, chosen: Mapping[str, Placed], masked: Sequence[GivenMask]) -> Iterator[str]:
    for stage, each in chosen.items():
        yield say("{x} is read as {axes}", x=dump.described(stage), axes=spelled(each.pattern))
    for mask in masked:
        yield mask.reading
