"""SelfAttention and PagedAttention of Huawei Ascend's Transformer Boost (ATB): what their
parameters and inputs mean.

Sources: include/atb/infer_op_params.h of ascend-transformer-boost, the tests of its kernels, and
the reference computations of msit's `opcheck`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.analysis.diagnose.computation import (
    Computation,
    Step,
    add_bias,
    cap,
    computation,
    hide,
    scale,
    to_weights,
)
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import in_rows
from attnviz.analysis.diagnose.reading.texts import picked_texts, together
from attnviz.analysis.diagnose.specs import atb_params as atb
from attnviz.analysis.diagnose.specs.atb_inputs import Read, read_paged, read_self
from attnviz.analysis.diagnose.specs.atb_params import OPERATORS, Params, checked, named
from attnviz.analysis.diagnose.specs.inputs import Inputs, Named
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array, floating
from attnviz.registry import nearest

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.case import Case, Request
    from attnviz.analysis.diagnose.specs import Conventions

OWN_NAMES = {
    "q": "query",
    "k": "key",
    "v": "value",
    "k_cache": "keyCache",
    "v_cache": "valueCache",
    "lengths": "seqLen",
    "k_lengths": "contextLens",
    "token_offset": "tokenOffset",
    "block_tables": "blockTables",
    "log_n": "logN",
    "context": "attnOut",
}
"""Roles of ATB's inputs, and what it calls them."""

OPERATOR_KEYS = ("operation", "operator", "opName", "op_name", "opType", "op_type")
PARAM_KEYS = ("param", "params", "opParam", "op_param")
"""What may stand around the parameters: {"op_name": …, "op_param": {…}}."""

ORDERS = ("documented", "kernel")
"""`documented`: as msit's reference for the calcType; `kernel`: as the kernel's own tests, which
is scale, clamp, mask for all of them."""

FIXES = {
    "no_scale": to_say("set qkScale to 1/√headSize: it is 1 by default"),
    "scale_of_the_model": to_say("set qkScale to 1/√headSize, the width of one head"),
    "custom_scale_dropped": to_say("give the qkScale of the call in --params: without it, it is 1"),
    "scale_twice": to_say("scale q before the call, or set qkScale: not both"),
    "mask_dropped": to_say("set maskType, and give the mask among the inputs"),
    "causal_dropped": to_say("set maskType to MASK_TYPE_NORM, and give the mask among the inputs"),
    "mask_added": to_say("a mask of float16 holds -10000 where a key is hidden; of bfloat16, 1"),
    "inverted_mask": to_say("the mask holds 0 where a key is visible"),
    "heads_tiled": to_say(
        "headNum / kvHeadNum query heads in a row share a key/value head: do not tile the heads"
    ),
    "packed_texts_seen": to_say("seqLen holds the length of each text, not of all together"),
    "packed_borders_off": to_say("seqLen holds the lengths in the order of the texts' tokens"),
    "window_too_long": to_say("windowSize counts the query's own key"),
    "window_too_short": to_say("windowSize counts the query's own key"),
    "window_dropped": to_say("set windowSize, and maskType to one of SLIDING_WINDOW"),
    "scale_on_bias": to_say("scale QKᵀ alone, then add the mask"),
}
"""What to do in ATB's own words."""

OUT_ROLES = ("q", "k", "v", "k_cache", "v_cache", "context")


def atb_conventions(params: Mapping[str, Any], order: str) -> Conventions:
    """The conventions of ATB's operator with these parameters.

    Raises:
        AttnvizError: a parameter is unknown, or not one that ATB accepts.
    """
    from attnviz.analysis.diagnose.specs import Conventions

    if order not in ORDERS:
        raise AttnvizError(f"atb: unknown order {order!r}", nearest(order, ORDERS))
    operator, given = operator_of(params)
    if not given and not params:
        words = to_say(
            "ATB, Huawei Ascend's Transformer Boost, whose parameters say the rest: --params FILE"
        )
        return Conventions(words=(words,), layout="nhd", read=_needs_params)
    p = checked(operator, given)

    def read(dump: Named, request: Request) -> tuple[Case, ...]:
        is_paged = operator == "SelfAttention" and "block_tables" in dump.arrays
        if is_paged and p["calcType"] != atb.PREFIX_ENCODER:
            paged = checked("PagedAttention", given)
            return (case_of("PagedAttention", paged, given, order, dump, request),)
        return (case_of(operator, p, given, order, dump, request),)

    return Conventions(
        words=(formula(operator, p, order),),
        default_scale="1",
        fixes=FIXES,
        layout="nhd",
        steps=steps_of(operator, p, order),
        says={"scale": p["qkScale"], "n_head": p["headNum"]},
        read=read,
    )


def operator_of(params: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """`SelfAttention` or `PagedAttention`, and its own parameters."""
    names = {key: value for key, value in params.items() if key in OPERATOR_KEYS}
    inner = next((params[key] for key in PARAM_KEYS if isinstance(params.get(key), dict)), None)
    if inner is None:
        inner = next((params[n] for n in (f"{o}Param" for o in OPERATORS) if n in params), None)
    given = inner if isinstance(inner, dict) else {n: params[n] for n in params if n not in names}
    said = next(iter(names.values()), None)
    said = next((o for o in OPERATORS if f"{o}Param" in params), said)
    if said is not None:
        name = str(said).removesuffix("Param").removesuffix("Operation")
        if name not in OPERATORS:
            raise AttnvizError(f"atb: unknown operation {said!r}", nearest(str(said), OPERATORS))
        return name, given
    only_paged = {*OPERATORS["PagedAttention"]} - {*OPERATORS["SelfAttention"]}
    return "PagedAttention" if only_paged & given.keys() else "SelfAttention", given


def _needs_params(dump: Named, request: Request) -> tuple[Case, ...]:
    raise AttnvizError(
        f"{dump.where}: --spec atb needs the parameters of the operator",
        '--params FILE.json with {"headNum": 8, "qkScale": 0.125, "calcType": "PA_ENCODER", …}',
    )


def case_of(
    operator: str,
    p: Params,
    given: Mapping[str, Any],
    order: str,
    dump: Named,
    request: Request,
) -> Case:
    """The dump of one call of the operator, and what it should have computed."""
    from attnviz.analysis.diagnose.case import Case

    inputs = Inputs(f"{operator} of ATB", dump, OWN_NAMES)
    _check_supported(operator, p)
    read = (read_self if operator == "SelfAttention" else read_paged)(inputs, p)
    picked = picked_texts(read.texts)
    joined = together(picked.texts, read.rule)
    slopes = inputs.get("slopes") if p["maskType"] in atb.SLOPED else None
    wanted = computation(
        *(floating(x) for x in (joined.q, joined.k, joined.v)),
        scale=p["qkScale"] if request.scale is None else request.scale,
        masking=joined.masking,
        bias=joined.bias,
        steps=steps_of(operator, p, order, joined.factor),
        facts=Facts(
            request.d_model,
            mask=joined.mask,
            alibi=None if slopes is None else slopes.reshape(-1)[picked.heads],
            paged=None if picked.reading else read.paged,
        ),
    )
    out = {} if joined.out is None else {"context": floating(joined.out)}
    notes = (*picked.reading, *read.notes, *_notes(operator, p, given, wanted.d_k))
    reading = (_texts_sentence(read), *notes)
    return Case(wanted, out, inputs.coarsest(OUT_ROLES), layout=read.layout, reading=reading)


def _check_supported(operator: str, p: Params) -> None:
    """Raise AttnvizError for what is not computed here."""
    for field, known in (("quantType", (0,)), ("compressType", (0,))):
        if p.get(field, 0) not in known:
            raise AttnvizError(
                f"{operator}: {field} {named(operator, field, p[field])} is not computed here",
                "dump a call without it: q, k and v as floating-point numbers",
            )


def _texts_sentence(read: Read) -> str:
    return to_say(
        "{n_text} texts of ATB's inputs: {n_q} queries, {n_k} keys",
        n_text=len(read.texts),
        n_q=sum(len(text.q) for text in read.texts),
        n_k=sum(len(text.k) for text in read.texts),
    )


def steps_of(operator: str, p: Params, order: str, log_n: Array | None = None) -> tuple[Step, ...]:
    """The operator's order of scale, clamp and mask.

    log_n: a factor for each query, [n_q].
    """
    before = [_times(log_n)] if log_n is not None else []
    if _uses_q_scale(operator, p):
        before.append(_times(np.asarray(p["qScale"])))
    clamp = [_clamped(p["clampMin"], p["clampMax"])] if p.get("clampType", 0) else []
    if mask_is_scaled(operator, p, order):
        return (*before, *clamp, add_bias, hide, scale, cap, to_weights)
    return (*before, scale, *clamp, cap, add_bias, hide, to_weights)


def mask_is_scaled(operator: str, p: Params, order: str) -> bool:
    """Whether qkScale multiplies the mask, too: msit's reference of calcType UNDEFINED, ENCODER
    and DECODER with a cache."""
    return (
        order == "documented"
        and operator == "SelfAttention"
        and p["calcType"] in (atb.UNDEFINED, atb.ENCODER, atb.DECODER)
        and p["kvcacheCfg"] != atb.BYPASS
    )


def _uses_q_scale(operator: str, p: Params) -> bool:
    if operator == "PagedAttention":
        return p["qScale"] not in (0, 1)
    return p["calcType"] not in (atb.PA_ENCODER, atb.PREFIX_ENCODER) and p["qScale"] != 1


def _times(factor: Array) -> Step:
    def times(x: Array, c: Computation) -> Array:
        return np.asarray(x * in_rows(factor.astype(x.dtype), c.rows))

    return times


def _clamped(low: float, high: float) -> Step:
    def clamped(x: Array, c: Computation) -> Array:
        return np.clip(x, x.dtype.type(low), x.dtype.type(high))

    return clamped


def formula(operator: str, p: Params, order: str) -> str:
    """What is computed, in a sentence."""
    scores = "QKᵀ"
    if _uses_q_scale(operator, p):
        scores = "(Q·qScale)Kᵀ"
    if p["scaleType"] == atb.LOGN:
        scores += "·logN"
    mask = " + mask" if p["maskType"] else ""
    is_last = mask_is_scaled(operator, p, order)
    scores = scores if is_last else f"{scores}·qkScale"
    scores = f"clamp({scores})" if p.get("clampType", 0) else scores
    scores = f"({scores}{mask})·qkScale" if is_last else f"{scores}{mask}"
    calc = named(operator, "calcType", p["calcType"])
    return to_say(
        "ATB's {operator}, calcType {calc}: softmax({scores})·V with qkScale = {scale}; maskType "
        "{mask}; {heads} heads, {kv_heads} of keys and values",
        operator=operator,
        calc=calc,
        scores=scores,
        scale=f"{p['qkScale']:g}",
        mask=named(operator, "maskType", p["maskType"]),
        heads=p["headNum"],
        kv_heads=p["kvHeadNum"] or p["headNum"],
    )


def _notes(operator: str, p: Params, given: Mapping[str, Any], d_k: int) -> list[str]:
    notes = []
    if "qkScale" not in given and not _uses_q_scale(operator, p):
        notes.append(
            to_say(
                "qkScale is not given, and 1 by default: nothing divides QKᵀ by √d_k = {root}; "
                "set it to 1/√d_k = {scale} if that is meant",
                root=f"{d_k**0.5:g}",
                scale=f"{d_k**-0.5:g}",
            )
        )
    unused = operator == "SelfAttention" and p["qScale"] != 1
    if unused and not _uses_q_scale(operator, p):
        calc = named(operator, "calcType", p["calcType"])
        notes.append(
            to_say("qScale = {q} is not used with calcType {c}", q=f"{p['qScale']:g}", c=calc)
        )
    return notes


__all__ = ["atb_conventions", "case_of", "formula", "operator_of", "steps_of"]
