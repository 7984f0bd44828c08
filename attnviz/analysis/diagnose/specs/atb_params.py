"""The parameters of ATB's operators, and what ATB demands of them.

Source: include/atb/infer_op_params.h of ascend-transformer-boost, and the checks with which its
operations are created (self_attention_operation.cpp, paged_attention_operation.cpp). Which device
runs them is not known here: what only some devices refuse is let through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from attnviz.analysis.diagnose.specs.params import Field, number, one_of, truth, values_of, whole
from attnviz.errors import AttnvizError

Params = Mapping[str, Any]

QUANT = one_of(
    *("TYPE_QUANT_UNQUANT", "TYPE_DEQUANT_FUSION", "TYPE_QUANT_QKV_OFFLINE"),
    "TYPE_QUANT_QKV_ONLINE",
    TYPE_QUANT_UNDEFINED=0,
)
OUT_TYPE = one_of(
    default=-1, ACL_DT_UNDEFINED=-1, ACL_FLOAT=0, ACL_FLOAT16=1, ACL_INT8=2, ACL_BF16=27
)
SCALE_TYPE = one_of("SCALE_TYPE_TOR", "SCALE_TYPE_LOGN")
LAYOUT = one_of("TYPE_BSND", "TYPE_BNSD")
RESERVED = Field((), "zeros", list)

SELF_ATTENTION: Mapping[str, Field] = {
    "quantType": QUANT,
    "outDataType": OUT_TYPE,
    "headNum": whole(0),
    "kvHeadNum": whole(0),
    "qScale": number(1.0),
    "qkScale": number(1.0),
    "batchRunStatusEnable": truth(False),
    "isTriuMask": whole(0),
    "calcType": one_of("UNDEFINED", "ENCODER", "DECODER", "PA_ENCODER", "PREFIX_ENCODER"),
    "kernelType": one_of("KERNELTYPE_DEFAULT", "KERNELTYPE_HIGH_PRECISION", "KERNELTYPE_EXP_M8V2"),
    "clampType": one_of("CLAMP_TYPE_UNDEFINED", "CLAMP_TYPE_MIN_MAX"),
    "clampMin": number(0.0),
    "clampMax": number(0.0),
    "maskType": one_of(
        *("MASK_TYPE_UNDEFINED", "MASK_TYPE_NORM", "MASK_TYPE_ALIBI", "MASK_TYPE_NORM_COMPRESS"),
        *("MASK_TYPE_ALIBI_COMPRESS", "MASK_TYPE_ALIBI_COMPRESS_SQRT"),
        *("MASK_TYPE_ALIBI_COMPRESS_LEFT_ALIGN", "MASK_TYPE_SLIDING_WINDOW_NORM"),
        *("MASK_TYPE_SLIDING_WINDOW_COMPRESS", "MASK_TYPE_CAUSAL_MASK"),
    ),
    "kvcacheCfg": one_of("K_CACHE_V_CACHE", "K_BYPASS_V_BYPASS"),
    "scaleType": SCALE_TYPE,
    "inputLayout": LAYOUT,
    "mlaVHeadSize": whole(0),
    "cacheType": one_of("CACHE_TYPE_NORM", "CACHE_TYPE_SWA"),
    "windowSize": whole(0),
    "rsv": RESERVED,
}

PAGED_ATTENTION: Mapping[str, Field] = {
    "headNum": whole(0),
    "qkScale": number(1.0),
    "kvHeadNum": whole(0),
    "maskType": one_of(
        *("UNDEFINED", "MASK_TYPE_NORM", "MASK_TYPE_ALIBI", "MASK_TYPE_SPEC"),
        "MASK_TYPE_MASK_FREE",
    ),
    "batchRunStatusEnable": truth(False),
    "quantType": QUANT,
    "outDataType": OUT_TYPE,
    "hasQuantOffset": truth(False),
    "compressType": one_of(
        "COMPRESS_TYPE_UNDEFINED", "COMPRESS_TYPE_KVHEAD", "COMPRESS_TYPE_KVHEAD_ROPE"
    ),
    "calcType": one_of("CALC_TYPE_UNDEFINED", "CALC_TYPE_SPEC"),
    "scaleType": SCALE_TYPE,
    "inputLayout": LAYOUT,
    "mlaVHeadSize": whole(0),
    "qScale": number(0.0),
    "rsv": RESERVED,
}

OPERATORS: Mapping[str, Mapping[str, Field]] = {
    "SelfAttention": SELF_ATTENTION,
    "PagedAttention": PAGED_ATTENTION,
}

UNDEFINED, ENCODER, DECODER, PA_ENCODER, PREFIX_ENCODER = range(5)
"""Of SelfAttention's calcType."""

NO_MASK, NORM, ALIBI, NORM_COMPRESS = range(4)
ALIBI_COMPRESS, ALIBI_SQRT, ALIBI_LEFT, WINDOW_NORM, WINDOW_COMPRESS, CAUSAL = range(4, 10)
"""Of SelfAttention's maskType."""

SLOPED = (ALIBI_COMPRESS, ALIBI_SQRT, ALIBI_LEFT)
WINDOWED = (WINDOW_NORM, WINDOW_COMPRESS)
BYPASS = 1
BNSD = 1
LOGN = 1
SPEC = 1
QKV_QUANT = (2, 3)
MAX_V_HEAD = 576
"""Of mlaVHeadSize."""


class Demand(NamedTuple):
    """What one parameter has to be."""

    field: str
    has_to_be: str
    holds: Callable[[Params], bool]


class Group(NamedTuple):
    """What several parameters have to be where something is used."""

    name: str
    """`calcType PREFIX_ENCODER`"""
    used: Callable[[Params], bool]
    allowed: Mapping[str, tuple[Any, ...]]


HEADS = (
    Demand("headNum", "at least 1", lambda p: p["headNum"] > 0),
    Demand("kvHeadNum", "0, which means headNum, or more", lambda p: p["kvHeadNum"] >= 0),
    Demand(
        "headNum",
        "a multiple of kvHeadNum",
        lambda p: p["kvHeadNum"] == 0 or p["headNum"] % p["kvHeadNum"] == 0,
    ),
    Demand(
        "mlaVHeadSize", f"from 0 to {MAX_V_HEAD}", lambda p: 0 <= p["mlaVHeadSize"] <= MAX_V_HEAD
    ),
)

SELF_DEMANDS = (
    *HEADS,
    Demand("isTriuMask", "0 or 1", lambda p: p["isTriuMask"] in (0, 1)),
    Demand("windowSize", "0, which means no window, or more", lambda p: p["windowSize"] >= 0),
    Demand(
        "quantType", "another one: TYPE_DEQUANT_FUSION is reserved", lambda p: p["quantType"] != 1
    ),
    Demand(
        "clampMin",
        "at most clampMax",
        lambda p: p["clampType"] == 0 or p["clampMin"] <= p["clampMax"],
    ),
    Demand(
        "windowSize",
        "above 0 where maskType is one of SLIDING_WINDOW",
        lambda p: p["maskType"] not in WINDOWED or p["windowSize"] > 0,
    ),
)

SELF_GROUPS = (
    Group(
        "int8 q, k and v (quantType)",
        lambda p: p["quantType"] in QKV_QUANT,
        {
            "outDataType": (1, 27),
            "calcType": (PA_ENCODER,),
            "scaleType": (0,),
            "inputLayout": (0,),
        },
    ),
    Group("calcType PA_ENCODER", lambda p: p["calcType"] == PA_ENCODER, {"kvcacheCfg": (0,)}),
    Group(
        "an ALIBI_COMPRESS mask",
        lambda p: p["maskType"] in SLOPED,
        {"calcType": (PA_ENCODER, PREFIX_ENCODER)},
    ),
    Group("no mask (maskType)", lambda p: p["maskType"] == NO_MASK, {"isTriuMask": (0,)}),
    Group(
        "maskType CAUSAL_MASK", lambda p: p["maskType"] == CAUSAL, {"calcType": (PREFIX_ENCODER,)}
    ),
    Group(
        "inputLayout TYPE_BNSD",
        lambda p: p["inputLayout"] == BNSD,
        {
            "scaleType": (0,),
            "quantType": (0,),
            "calcType": (UNDEFINED, ENCODER, DECODER, PA_ENCODER),
        },
    ),
    Group(
        "inputLayout TYPE_BNSD and calcType PA_ENCODER",
        lambda p: p["inputLayout"] == BNSD and p["calcType"] == PA_ENCODER,
        {"mlaVHeadSize": (0,), "kernelType": (0, 2)},
    ),
    Group(
        "inputLayout TYPE_BNSD and calcType PA_ENCODER",
        lambda p: p["inputLayout"] == BNSD and p["calcType"] == PA_ENCODER and p["kernelType"] == 0,
        {"maskType": (NO_MASK,)},
    ),
    Group(
        "inputLayout TYPE_BNSD without PA_ENCODER",
        lambda p: p["inputLayout"] == BNSD and p["calcType"] != PA_ENCODER,
        {"kvcacheCfg": (BYPASS,), "maskType": tuple(range(1, 10))},
    ),
    Group(
        "mlaVHeadSize above 0",
        lambda p: p["mlaVHeadSize"] > 0,
        {
            "calcType": (PA_ENCODER,),
            "maskType": (NO_MASK, NORM, *WINDOWED),
            "scaleType": (0,),
            "clampType": (0,),
        },
    ),
    Group(
        "windowSize above 0",
        lambda p: p["windowSize"] > 0,
        {
            "maskType": WINDOWED,
            "batchRunStatusEnable": (False,),
            "kernelType": (0,),
            "clampType": (0,),
            "quantType": (0,),
            "scaleType": (0,),
            "inputLayout": (0,),
        },
    ),
    Group("windowSize 0", lambda p: p["windowSize"] == 0, {"cacheType": (0,)}),
    Group(
        "maskType SLIDING_WINDOW_COMPRESS",
        lambda p: p["maskType"] == WINDOW_COMPRESS,
        {"calcType": (UNDEFINED, ENCODER, PA_ENCODER)},
    ),
    Group(
        "calcType PREFIX_ENCODER",
        lambda p: p["calcType"] == PREFIX_ENCODER,
        {
            "quantType": (0,),
            "outDataType": (-1,),
            "qScale": (1.0,),
            "batchRunStatusEnable": (False,),
            "isTriuMask": (1,),
            "kernelType": (1,),
            "clampType": (0,),
            "clampMin": (0.0,),
            "clampMax": (0.0,),
            "maskType": (NORM_COMPRESS, ALIBI_COMPRESS, ALIBI_SQRT, CAUSAL),
            "kvcacheCfg": (0,),
            "scaleType": (0,),
            "inputLayout": (0,),
            "cacheType": (0,),
            "mlaVHeadSize": (0,),
            "windowSize": (0,),
        },
    ),
    Group(
        "kernelType KERNELTYPE_EXP_M8V2",
        lambda p: p["kernelType"] == 2,
        {
            "quantType": (0,),
            "outDataType": (-1,),
            "qScale": (1.0,),
            "batchRunStatusEnable": (False,),
            "isTriuMask": (0,),
            "calcType": (PA_ENCODER,),
            "clampType": (0,),
            "clampMin": (0.0,),
            "clampMax": (0.0,),
            "maskType": (NO_MASK, NORM, NORM_COMPRESS),
            "kvcacheCfg": (0,),
            "scaleType": (0,),
            "mlaVHeadSize": (0,),
            "windowSize": (0,),
            "cacheType": (0,),
        },
    ),
)

PAGED_GROUPS = (
    Group(
        "compressType COMPRESS_TYPE_KVHEAD_ROPE",
        lambda p: p["compressType"] == 2,
        {"maskType": (0,), "batchRunStatusEnable": (False,)},
    ),
    Group(
        "calcType CALC_TYPE_SPEC",
        lambda p: p["calcType"] == SPEC,
        {"batchRunStatusEnable": (False,), "compressType": (0,), "quantType": (0, 2, 3)},
    ),
    Group(
        "int8 q, k and v (quantType)",
        lambda p: p["quantType"] in QKV_QUANT,
        {
            "outDataType": (1, 27),
            "hasQuantOffset": (False,),
            "compressType": (0,),
            "calcType": (0,),
        },
    ),
    Group(
        "scaleType SCALE_TYPE_LOGN",
        lambda p: p["scaleType"] == LOGN,
        {"quantType": (0,), "calcType": (0,), "compressType": (0,)},
    ),
    Group(
        "inputLayout TYPE_BNSD",
        lambda p: p["inputLayout"] == BNSD,
        {"calcType": (0,), "compressType": (0,), "quantType": (0,), "scaleType": (0,)},
    ),
    Group(
        "mlaVHeadSize above 0",
        lambda p: p["mlaVHeadSize"] > 0,
        {
            "maskType": (0, 1, 3, 4),
            "compressType": (0,),
            "quantType": (0, 2, 3),
            "scaleType": (0,),
            "inputLayout": (0,),
            "kvHeadNum": (1,),
        },
    ),
    Group(
        "mlaVHeadSize above 0 and calcType CALC_TYPE_SPEC",
        lambda p: p["mlaVHeadSize"] > 0 and p["calcType"] == SPEC,
        {"maskType": (0, 3, 4), "quantType": (0,), "batchRunStatusEnable": (False,)},
    ),
)

DEMANDS = {"SelfAttention": SELF_DEMANDS, "PagedAttention": HEADS}
GROUPS = {"SelfAttention": SELF_GROUPS, "PagedAttention": PAGED_GROUPS}


def checked(operator: str, params: Mapping[str, Any]) -> Params:
    """Every parameter of `SelfAttention` or `PagedAttention`, as ATB accepts them.

    Raises:
        AttnvizError: ATB would refuse them; with the parameter, what it has to be, and what it is.
    """
    fields = OPERATORS[operator]
    p = values_of(operator, fields, params)
    for demand in DEMANDS[operator]:
        if not demand.holds(p):
            raise _refused(operator, "", demand.field, demand.has_to_be, p)
    for group in GROUPS[operator]:
        if group.used(p):
            for field, allowed in group.allowed.items():
                if p[field] not in allowed:
                    has_to_be = " or ".join(named(operator, field, each) for each in allowed)
                    raise _refused(operator, f"with {group.name}, ", field, has_to_be, p)
    return p


def _refused(operator: str, when: str, field: str, has_to_be: str, p: Params) -> AttnvizError:
    others = {"a multiple of kvHeadNum": "kvHeadNum", "at most clampMax": "clampMax"}
    value = named(operator, field, p[field])
    if has_to_be in others:
        other = others[has_to_be]
        value += f", and {other} {named(operator, other, p[other])}"
    return AttnvizError(
        f"{operator}: {when}{field} has to be {has_to_be}; it is {value}",
        "correct it in the file of --params",
    )


def named(operator: str, field: str, value: Any) -> str:
    """`1 (MASK_TYPE_NORM)`, `0.125`"""
    kind = OPERATORS[operator][field].kind
    if isinstance(kind, type):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    return f"{value} ({next(name for name, each in kind.items() if each == value)})"
