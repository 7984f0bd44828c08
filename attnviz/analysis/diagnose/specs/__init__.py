"""The conventions of a specification or a library: what its attention is meant to compute.

Each is an entry of `SPECS`, a function from its own parameters to `Conventions`. A reader of a
dump asks in this order:

1. `filled(request)`: what the parameters say, where the user said nothing;
2. `conventions.read(dump, request)`: a specification that knows all its inputs reads them
   itself; it gives nothing where they are not all there, and the dump is read like any other;
3. `conventions.finish(case, dump)`: the last word on each case that was read so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attnviz.analysis.diagnose.computation import (
    STEPS,
    Computation,
    Step,
)
from attnviz.analysis.diagnose.specs.params import Field, number, truth, values_of, whole
from attnviz.language import to_say
from attnviz.nn.types import Array
from attnviz.registry import Entry, Registry, parse_spec

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.case import Case, Request
    from attnviz.analysis.diagnose.specs.inputs import Named


def nothing(dump: Named, request: Request) -> tuple[Case, ...]:
    return ()


def unchanged(case: Case, dump: Named) -> Case:
    return case


@dataclass(frozen=True, eq=False)
class Conventions:
    """What a reader of q, k, v and a mask has to know that the arrays do not say."""

    name: str = "attnviz"
    words: tuple[str, ...] = ()
    """The same for the user, in sentences: to be said."""
    true_is: Literal["visible", "hidden"] = "visible"
    """What True means in a boolean mask."""
    causal: Literal["lower_right", "upper_left"] = "lower_right"
    """Where the queries stand among more keys."""
    default_scale: Literal["1/√d_k", "1"] = "1/√d_k"
    steps: tuple[Step, ...] = STEPS
    """The order of scale, softcap, bias and mask."""
    empty_rows: Literal["zero", "nan", "uniform"] = "zero"
    """What a query gets that sees no key."""
    layout: str | None = None
    """The axes that are tried first: `bhnd`."""
    fixes: Mapping[str, str] = field(default_factory=dict)
    """Name of a mistake -> what to do about it in this library's own words: to be said."""
    says: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Request` that the parameters say: {"scale": 0.125, "causal": True}."""
    read: Callable[[Named, Request], tuple[Case, ...]] = nothing
    """Reads the inputs of the specification; nothing where they are not there."""
    finish: Callable[[Case, Named], Case] = unchanged
    """What is still to be changed in a case that was read without `read`."""


DEFAULT = Conventions(
    words=(
        to_say(
            "the usual conventions, where nothing says otherwise: in a boolean mask, True = "
            "visible; causal aligns the last query with the last key; the scale is 1/√d_k; "
            "--spec takes a library's"
        ),
    )
)


@dataclass(frozen=True)
class SpecEntry(Entry):
    """A specification: a function of its parameters, `(Mapping) -> Conventions`."""

    title: str = ""
    """Whose attention it is."""
    source: str = ""
    """Where it is written."""


SPECS: Registry[SpecEntry] = Registry("specification", SpecEntry)


def conventions(spec: str, params: Mapping[str, Any] | None = None) -> Conventions:
    """Those of a specification by its name, `atb` or with options `atb:order=kernel`, with the
    parameters of its operator.

    Raises:
        AttnvizError: there is no such specification, option or parameter, or its value is not one
            that the specification allows.
    """
    name, options = parse_spec(spec)
    entry = SPECS[name]
    made: Conventions = entry(params or {}, **SPECS.options(name, options))
    return replace(made, name=name)


def filled(request: Request) -> Request:
    """A request with what the parameters of its specification say, where the user said nothing."""
    said = request.conventions.says
    return replace(request, **{n: v for n, v in said.items() if getattr(request, n) is None})


def empty_to_nan(weights: Array, c: Computation) -> Array:
    """NaN, which is 0/0, for a query that sees no key."""
    empty = (weights == 0).all(-1, keepdims=True)
    return np.where(empty, weights.dtype.type(np.nan), weights)


SDPA_FIXES = {
    "inverted_mask": to_say("attn_mask=~mask: True = visible in scaled_dot_product_attention"),
    "aligned_lower_right": "is_causal=True, or torch.nn.attention.bias.causal_upper_left(n_q, n_k)",
    "aligned_upper_left": "attn_mask=torch.nn.attention.bias.causal_lower_right(n_q, n_k)",
    "causal_dropped": "is_causal=True",
    "heads_tiled": "enable_gqa=True, or k.repeat_interleave(n_head // n_kv_head, dim=1)",
    "no_scale": to_say("leave scale out: its default is 1/√d_k"),
    "dropout_left_on": "dropout_p=p if self.training else 0.0",
}

MHA_FIXES = {
    "inverted_mask": to_say("attn_mask=~mask: True = hidden in nn.MultiheadAttention"),
    "inverted_padding": to_say("key_padding_mask = tokens == pad: True = hidden"),
    "dropout_left_on": "module.eval()",
}

FLASH_FIXES = {
    "aligned_upper_left": to_say(
        "flash-attn from version 2.1, which aligns the last query with the last key"
    ),
    "window_too_long": to_say("window_size=(window - 1, 0): the query's own key is not counted"),
    "heads_in_place_of_tokens": to_say(
        "flash_attn_func takes [batch, n, head, d]: q.transpose(1, 2), k and v likewise"
    ),
}

SDPA = {
    "is_causal": truth(False),
    "scale": number(None),
    "enable_gqa": truth(False),
    "dropout_p": number(0.0),
}


@SPECS.add(
    title="torch.nn.functional.scaled_dot_product_attention",
    source="https://docs.pytorch.org/docs/stable/generated/"
    "torch.nn.functional.scaled_dot_product_attention.html",
)
def torch(params: Mapping[str, Any]) -> Conventions:
    """PyTorch's scaled_dot_product_attention."""
    p = values_of("torch", SDPA, params)
    words = to_say(
        "PyTorch's scaled_dot_product_attention: in a boolean mask, True = visible; is_causal "
        "aligns the first query with the first key; the scale is 1/√d_k unless it is given; a "
        "query that sees no key gets zeros (NaN before PyTorch 2.5)"
    )
    says = {"scale": p["scale"], "causal": p["is_causal"] if params else None}
    return Conventions(
        words=(words, *_dropout("dropout_p", p["dropout_p"])),
        causal="upper_left",
        layout="bhnd",
        fixes=SDPA_FIXES,
        says=says,
    )


MHA = {
    "embed_dim": whole(None),
    "num_heads": whole(None),
    "batch_first": truth(False),
    "dropout": number(0.0),
}


@SPECS.add(
    name="torch-mha",
    title="torch.nn.MultiheadAttention",
    source="https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html",
)
def torch_mha(params: Mapping[str, Any]) -> Conventions:
    """PyTorch's nn.MultiheadAttention."""
    p = values_of("torch-mha", MHA, params)
    words = to_say(
        "PyTorch's nn.MultiheadAttention: in a boolean mask, True = hidden; the axes are "
        "[n, batch, width] unless batch_first; weights are the mean of the heads; a query that "
        "sees no key gets NaN where weights are asked for, zeros where they are not"
    )
    return Conventions(
        words=(words, *_dropout("dropout", p["dropout"])),
        true_is="hidden",
        causal="upper_left",
        layout="bnd" if p["batch_first"] else "nbd",
        fixes=MHA_FIXES,
        says={"n_head": p["num_heads"], "d_model": p["embed_dim"]},
        finish=_empty_as_the_weights_say,
    )


def _empty_as_the_weights_say(case: Case, dump: Named) -> Case:
    """NaN for a query that sees no key, where weights were asked for."""
    if "weights" not in case.given:
        return case
    wanted = case.wanted
    return replace(case, wanted=replace(wanted, steps=(*wanted.steps, empty_to_nan)))


FLASH = {
    "causal": truth(False),
    "softmax_scale": number(None),
    "window_size": Field((-1, -1), "two whole numbers, [left, right]", tuple),
    "softcap": number(0.0),
    "dropout_p": number(0.0),
    "deterministic": truth(False),
}


@SPECS.add(
    title="flash-attn from version 2.1",
    source="https://github.com/Dao-AILab/flash-attention",
)
def flash(params: Mapping[str, Any]) -> Conventions:
    """flash_attn_func of flash-attn, from version 2.1."""
    p = values_of("flash", FLASH, params)
    words = to_say(
        "flash-attn (from version 2.1): the axes are [batch, n, head, d]; causal aligns the last "
        "query with the last key; window_size = (left, right) counts the keys beside the query's "
        "own, -1 = all; a query that sees no key gets zeros"
    )
    left, right = (None if size < 0 else size for size in p["window_size"])
    return Conventions(
        words=(words, *_dropout("dropout_p", p["dropout_p"])),
        layout="bnhd",
        fixes=FLASH_FIXES,
        says={
            "scale": p["softmax_scale"],
            "causal": p["causal"] if params else None,
            "softcap": p["softcap"] or None,
        },
        finish=within(left, None if p["causal"] else right),
    )


def within(
    left: int | None, right: int | None, alignment: str = "lower_right"
) -> Callable[[Case, Named], Case]:
    """With a window of so many keys before and after the query's own; None: all."""
    if left is None and right is None:
        return unchanged

    def windowed(case: Case, dump: Named) -> Case:
        wanted = case.wanted
        masking = replace(wanted.masking, left=left, right=right)
        if not wanted.masking.causal:
            offset = wanted.n_k - wanted.n_q if alignment == "lower_right" else 0
            masking = replace(masking, offset=offset)
        return replace(case, wanted=replace(wanted, masking=masking))

    return windowed


def _dropout(name: str, rate: float) -> tuple[str, ...]:
    if not rate:
        return ()
    said = to_say("{name} is {rate}: the reference drops nothing", name=name, rate=f"{rate:g}")
    return (said,)


@SPECS.add(
    title="ONNX's Attention, opset 23 to 25, with its errata",
    source="https://onnx.ai/onnx/operators/onnx__Attention.html",
)
def onnx(params: Mapping[str, Any]) -> Conventions:
    """ONNX's Attention as its text stands since the errata of 2026."""
    from attnviz.analysis.diagnose.specs.onnx_attention import onnx_conventions

    words = to_say(
        "ONNX's Attention with its errata: softcap before mask; in a boolean mask, True = "
        "visible; is_causal aligns the first query with the first key after the cache (with none, "
        "with the first key); a query that sees no key gets zeros"
    )
    return onnx_conventions(params, errata=True, words=words)


@SPECS.add(
    name="onnx-pre",
    title="ONNX's Attention, opset 23 and 24, before its errata",
    source="https://github.com/onnx/onnx/pull/8068",
)
def onnx_pre(params: Mapping[str, Any]) -> Conventions:
    """ONNX's Attention as runtimes before mid-2026 have it."""
    from attnviz.analysis.diagnose.specs.onnx_attention import onnx_conventions

    words = to_say(
        "ONNX's Attention before its errata: softcap after mask; is_causal aligns the first query "
        "with the first key, whatever a cache holds; qk_matmul_output_mode 1 is after the mask, 2 "
        "after the softcap; a query that sees no key gets NaN"
    )
    return onnx_conventions(params, errata=False, words=words)


@SPECS.add(
    title="vLLM's PagedAttention",
    source="https://docs.vllm.ai/en/latest/design/paged_attention/",
)
def vllm(params: Mapping[str, Any]) -> Conventions:
    """vLLM's PagedAttention: keys and values in blocks."""
    from attnviz.analysis.diagnose.specs.paged import vllm_conventions

    return vllm_conventions(params)


@SPECS.add(
    title="Huawei Ascend's ATB: SelfAttention and PagedAttention",
    source="https://www.hiascend.com/document/detail/zh/canncommercial/82RC1/API/ascendtbapi/"
    "ascendtb_01_0272.html",
)
def atb(params: Mapping[str, Any], *, order: str = "documented") -> Conventions:
    """SelfAttention and PagedAttention of Huawei Ascend's Transformer Boost (ATB)."""
    from attnviz.analysis.diagnose.specs.atb import atb_conventions

    return atb_conventions(params, order)


__all__ = ["DEFAULT", "SPECS", "Conventions", "SpecEntry", "conventions", "filled"]
