"""ONNX's Attention operator: its inputs, and what they mean with and without its errata.

Source: https://onnx.ai/onnx/operators/onnx__Attention.html, opsets 23 to 25; errata onnx#7867
(softcap before mask), #7913 (modes 1 and 2), #8068 (causal alignment, rows without keys).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.computation import (
    STEPS,
    Step,
    add_bias,
    cap,
    computation,
    dot,
    hide,
    scale,
    to_weights,
)
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import Masking, recognised
from attnviz.analysis.diagnose.noise import rounding
from attnviz.analysis.diagnose.specs.inputs import Inputs, Named, brief
from attnviz.analysis.diagnose.specs.params import Field, number, truth, values_of, whole
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array, Bool, floating

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.case import Case, Request
    from attnviz.analysis.diagnose.specs import Conventions

ATTRIBUTES: Mapping[str, Field] = {
    "is_causal": truth(False),
    "scale": number(None),
    "softcap": number(0.0),
    "q_num_heads": whole(None),
    "kv_num_heads": whole(None),
    "softmax_precision": whole(None),
    "qk_matmul_output_mode": whole(0),
    "left_window_size": whole(-1),
    "right_window_size": whole(-1),
}

OWN_NAMES = {"q": "Q", "k": "K", "v": "V", "k_lengths": "nonpad_kv_seqlen", "context": "Y"}

MODES = ("scores", "capped", "logits", "weights")
"""The stage that qk_matmul_output is, by its mode."""

MODES_BEFORE = ("scores", None, "logits", "weights")
"""Before the errata: 1 is after the mask and before the softcap, which no stage is."""

STEPS_BEFORE: tuple[Step, ...] = (scale, add_bias, hide, cap, to_weights)
"""Before the errata: the softcap makes a finite number of what is masked."""


FIXES = {
    "softcap_after_mask": to_say("a runtime with the erratum onnx#7867: softcap before mask"),
    "aligned_upper_left": to_say(
        "a runtime with the erratum onnx#8068: the first query stands after the cached keys"
    ),
    "heads_tiled": to_say("repeat each key/value head in its place: np.repeat, not np.tile"),
    "nan_rows": to_say("a runtime with the erratum onnx#8068: zeros for a query without keys"),
}

HALF = ("float16", "bfloat16")

CAUSAL_WORDS = to_say("causal, which no array says")


class Inside(NamedTuple):
    """Q, K and V with the axes of a computation, and how many keys stand before the queries."""

    q: Array
    k: Array
    v: Array
    offset: int | Array
    lengths: Array | None
    """[n_batch]: keys that are no padding."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Of the scores."""
        return (*self.q.shape[:3], self.k.shape[2])


def onnx_conventions(params: Mapping[str, Any], *, errata: bool, words: str) -> Conventions:
    """The conventions of the operator with these attributes.

    Raises:
        AttnvizError: an attribute is unknown, or has a value that it cannot have.
    """
    from attnviz.analysis.diagnose.specs import Conventions, empty_to_nan, within

    p = values_of("onnx", ATTRIBUTES, params)
    _check(p)
    steps = STEPS if errata else (*STEPS_BEFORE, empty_to_nan)

    def read(dump: Named, request: Request) -> tuple[Case, ...]:
        inputs = Inputs("ONNX's Attention", dump, OWN_NAMES)
        inside = _inside(inputs, p, request, errata)
        return () if inside is None else (*_cases(inputs, inside, p, request, steps, errata),)

    left, right = _window(p)
    return Conventions(
        words=(words,),
        causal="upper_left",
        steps=steps,
        empty_rows="zero" if errata else "nan",
        layout="bhnd",
        fixes=FIXES if errata else {},
        says={
            "scale": p["scale"],
            "causal": p["is_causal"] if params else None,
            "softcap": p["softcap"] or None,
            "n_head": p["q_num_heads"],
        },
        read=read,
        finish=within(left, right, "upper_left"),
    )


def _check(p: Mapping[str, Any]) -> None:
    for name, fits, expected in (
        ("qk_matmul_output_mode", p["qk_matmul_output_mode"] in range(4), "0, 1, 2 or 3"),
        ("left_window_size", p["left_window_size"] >= -1, "-1, which means all, or more"),
        ("right_window_size", p["right_window_size"] >= -1, "-1, which means all, or more"),
        ("softcap", p["softcap"] >= 0, "0, which means none, or more"),
        ("softmax_precision", p["softmax_precision"] in (None, 1, 10, 11, 16), "1, 10, 11 or 16"),
    ):
        if not fits:
            raise AttnvizError(f"onnx: {name} is {p[name]:g}; expected {expected}", "")


def _window(p: Mapping[str, Any]) -> tuple[int | None, int | None]:
    left, right = p["left_window_size"], p["right_window_size"]
    return None if left < 0 else left, None if right < 0 else right


def _inside(inputs: Inputs, p: Mapping[str, Any], request: Request, errata: bool) -> Inside | None:
    """Q, K and V, the cache included; None where they are not what the operator takes."""
    if not inputs.has("q", "k", "v"):
        return None
    n_head = request.n_head or p["q_num_heads"] or _single(inputs, "n_head")
    n_kv_head = p["kv_num_heads"] or _single(inputs, "n_kv_head") or n_head
    q = _by_head(inputs.need("", "q"), n_head)
    k, v = (_by_head(inputs.need("", role), n_kv_head) for role in "kv")
    if q is None or k is None or v is None or not _fit(q, k, v):
        return None
    n_new = k.shape[2]
    if inputs.has("past_k") or inputs.has("past_v"):
        k, v = _after(inputs, "past_k", k), _after(inputs, "past_v", v)
    lengths = None
    if inputs.has("k_lengths"):
        lengths = inputs.lengths("[batch]", "k_lengths").reshape(-1)
        if len(lengths) != len(q) or lengths.max() > k.shape[2]:
            raise inputs.error(
                f"is {brief(lengths)}; expected {len(q)} numbers up to {k.shape[2]}", "k_lengths"
            )
    offset: int | Array = k.shape[2] - n_new if lengths is None else lengths - q.shape[2]
    return Inside(q, k, v, offset if errata else 0, lengths)


def _fit(q: Array, k: Array, v: Array) -> bool:
    """Whether they have the axes of the operator."""
    return (
        len(q) == len(k) == len(v)
        and k.shape[1:3] == v.shape[1:3]
        and q.shape[3] == k.shape[3]
        and q.shape[1] % k.shape[1] == 0
    )


def _single(inputs: Inputs, role: str) -> int | None:
    x = inputs.get(role)
    return None if x is None or x.size != 1 else int(x.reshape(-1)[0])


def _by_head(x: Array, n_head: int | None) -> Array | None:
    """[batch, n_head, n, d] of that or of [batch, n, n_head·d]."""
    if x.ndim == 4:
        return x
    if x.ndim != 3 or not n_head or x.shape[2] % n_head:
        return None
    return x.reshape(*x.shape[:2], n_head, -1).swapaxes(1, 2)


def _after(inputs: Inputs, role: str, x: Array) -> Array:
    past = inputs.need("[batch, kv_num_heads, past, d]", role)
    if past.ndim != 4 or past.shape[:2] != x.shape[:2] or past.shape[3] != x.shape[3]:
        raise inputs.error(
            f"has the shape {list(past.shape)}; expected "
            f"[{x.shape[0]}, {x.shape[1]}, past, {x.shape[3]}]",
            role,
        )
    return np.concatenate([past, x], 2)


def _cases(
    inputs: Inputs,
    inside: Inside,
    p: Mapping[str, Any],
    request: Request,
    steps: tuple[Step, ...],
    errata: bool,
) -> Iterator[Case]:
    from attnviz.analysis.diagnose.case import Case

    visible, bias, mask = _mask(inputs, inside)
    factor = p["scale"] if request.scale is None else request.scale
    softcap = p["softcap"] if request.softcap is None else request.softcap
    wanted = computation(
        *(floating(x) for x in (inside.q, inside.k, inside.v)),
        scale=inside.q.shape[-1] ** -0.5 if factor is None else factor,
        softcap=softcap,
        bias=bias,
        masking=_masking(inside, p, request, visible),
        steps=steps,
        facts=Facts(request.d_model, mask=mask),
    )
    given, notes = _given(inputs, inside, p["qk_matmul_output_mode"], softcap, errata)
    guessed = request.causal is None and mask is None and wanted.n_q > 1
    maskings = [wanted.masking]
    if guessed:
        maskings.append(replace(wanted.masking, causal=True))
    dtype = inputs.coarsest(("q", "k", "v", "past_k", "past_v", "context", "qk_output"))
    reading = (_sentence(inputs, inside), *notes)
    products = [wanted.similarity]
    if dtype in HALF and "qk_output" in inputs.dump.arrays and float(wanted.scale) > 0:
        products.insert(0, _of_scaled(float(wanted.scale), dtype))
    ways = itertools.product(maskings, given, products)
    for rank, (masking, stages, product) in enumerate(ways):
        words = (CAUSAL_WORDS,) if guessed and masking.causal else ()
        way = replace(wanted, masking=masking, similarity=product)
        yield Case(way, stages, dtype, layout="bhnd", reading=(*reading, *words), rank=rank)


def _of_scaled(factor: float, dtype: str) -> Callable[[Array, Array], Array]:
    """q · k of what half precision makes of √scale, q·√scale and k·√scale, over the scale: ONNX's
    own text rounds all three."""
    rounded = rounding(dtype)
    root = float(rounded(np.array([factor**0.5]))[0])

    def product(q: Array, k: Array) -> Array:
        by = q.dtype.type(root)
        return np.asarray(dot(rounded(q * by), rounded(k * by)) / q.dtype.type(factor))

    return product


def _masking(
    inside: Inside, p: Mapping[str, Any], request: Request, visible: Bool | None
) -> Masking:
    causal = p["is_causal"] if request.causal is None else request.causal
    left, right = _window(p)
    n_k = inside.k.shape[2]
    keys = None
    if inside.lengths is not None:
        keys = np.arange(n_k) < inside.lengths[:, None, None, None]
    masking = Masking(causal=causal, offset=inside.offset, left=left, right=right, keys=keys)
    if visible is not None and masking.is_empty:
        return recognised(visible, inside.q.shape[2])
    return replace(masking, custom=visible)


def _mask(inputs: Inputs, inside: Inside) -> tuple[Bool | None, Array | None, Array | None]:
    """What attn_mask shows, what it adds, and itself: each broadcasts to the scores. Missing last
    keys are hidden."""
    mask = inputs.get("mask")
    if mask is None:
        return None, None, None
    boolean = mask.dtype == bool
    missing = inside.axes[3] - mask.shape[-1]
    own = mask.reshape((1,) * (4 - mask.ndim) + mask.shape) if mask.ndim <= 4 else mask
    fits = own.ndim == 4 and all(
        n in (1, whole) for n, whole in zip(own.shape[:3], inside.axes[:3], strict=True)
    )
    if missing < 0 or not fits:
        raise inputs.error(
            f"has the shape {list(mask.shape)}; expected one that broadcasts to "
            f"{list(inside.axes)}, or has fewer keys",
            "mask",
        )
    pads = ((0, 0), (0, 0), (0, 0), (0, missing))
    own = np.pad(own, pads, constant_values=False if boolean else -np.inf)
    if boolean:
        return own, None, own
    added = floating(own)
    hidden = np.isneginf(added)
    rest = np.where(hidden, 0, added)
    return (~hidden if hidden.any() else None), (rest if rest.any() else None), own


def _given(
    inputs: Inputs, inside: Inside, mode: int, softcap: float, errata: bool
) -> tuple[list[dict[str, Array]], list[str]]:
    """The stages that the dump has, in every way in which they may be meant; and notes."""
    given = {r: inputs.get(r) for r in MODES}
    out = inputs.get("context")
    given["context"] = out if out is None else _by_head(out, inside.axes[1])
    if out is not None and given["context"] is None:
        given["context"] = out
    qk = given["qk_output"] = inputs.get("qk_output")
    for role, x in given.items():
        axes = [*inside.axes[:3], inside.v.shape[3]] if role == "context" else [*inside.axes]
        if x is not None and [*x.shape] != axes:
            raise inputs.error(f"has the shape {list(x.shape)}; expected {axes}", role)
    known = {role: floating(x) for role, x in given.items() if x is not None and x is not qk}
    if qk is None:
        return [known], []
    name = inputs.name("qk_output")
    stage = MODES[mode] if errata else MODES_BEFORE[mode]
    if stage is None and softcap:
        said = to_say("{name} is not compared: it is masked, but not capped yet", name=name)
        return [known], [said]
    stage = stage or "logits"
    ways = [{**known, stage: floating(qk)}]
    if mode == 0 and softcap:  # ONNX's reference evaluator gives the capped ones
        ways.append({**known, "capped": floating(qk)})
    return ways, [
        to_say("{name}: qk_matmul_output_mode {mode}: {stage}", name=name, mode=mode, stage=stage)
    ]


def _sentence(inputs: Inputs, inside: Inside) -> str:
    n_batch, n_head, n_q, n_k = inside.axes
    return to_say(
        "{n_batch} × {n_head} heads × {n_q} queries; {n_kv_head} key/value heads, {n_k} keys; the "
        "first query stands at key {offset}",
        n_batch=n_batch,
        n_head=n_head,
        n_q=n_q,
        n_kv_head=inside.k.shape[1],
        n_k=n_k,
        offset=brief(np.asarray(inside.offset)) if inside.lengths is not None else inside.offset,
    )
