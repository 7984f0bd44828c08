"""The inputs of ATB's operators, text by text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.facts import Paged
from attnviz.analysis.diagnose.reading.texts import Rule, Text
from attnviz.analysis.diagnose.specs import atb_params as atb
from attnviz.analysis.diagnose.specs.atb_params import Params
from attnviz.analysis.diagnose.specs.inputs import Inputs, brief
from attnviz.analysis.diagnose.specs.paged import alibi, cache_of, gathered, output_of, texts_of
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array

FORBIDS = -9000.0
"""A number of a mask below this hides a key: ATB's masks hold -10000, which bfloat16 rounds."""


class Read(NamedTuple):
    """The texts of a call, and what hides their keys."""

    texts: list[Text]
    rule: Rule
    layout: str
    notes: tuple[str, ...] = ()
    paged: Paged | None = None


def read_self(inputs: Inputs, p: Params) -> Read:
    """The texts of SelfAttention."""
    if p["calcType"] == atb.PREFIX_ENCODER:
        texts = _prefix(inputs, p)
    elif p["calcType"] == atb.PA_ENCODER:
        texts = _new_tokens(inputs, p)
    else:
        texts = _with_cache(inputs, p)
    _check_heads(inputs, p, texts)
    inputs.check(texts)
    texts = _with_log_n(inputs, p, texts)
    layout = "bhnd" if p["inputLayout"] == atb.BNSD else "nhd"
    return _masked(inputs, p, texts)._replace(layout=layout)


def read_paged(inputs: Inputs, p: Params) -> Read:
    """The texts of PagedAttention."""
    query = tokens(inputs, "q", p["headNum"])
    v_size = p["mlaVHeadSize"]
    if v_size and not inputs.has("v_cache"):
        keys = inputs.need("[n_block, block_size, 1, d]", "k_cache", "k")
        merged = {**inputs.dump.arrays, "k_cache": keys, "v_cache": keys[..., :v_size]}
        inputs = inputs.with_arrays(merged)
    paged = cache_of(inputs, query.shape[1:])
    texts = texts_of(inputs, query, paged)
    _check_heads(inputs, p, texts)
    mask = inputs.get("mask") if p["maskType"] else None
    notes: tuple[str, ...] = ()
    if mask is not None:
        starts = np.cumsum([0, *(len(text.q) for text in texts)])
        parts = [
            _paged_part(inputs, mask, i, int(start), text, len(query))
            for i, (start, text) in enumerate(zip(starts, texts, strict=False))
        ]
        texts, notes = _with_masks(inputs, texts, parts, 0)
    rule = Rule(causal=mask is None and p["calcType"] == atb.SPEC)
    texts = _with_log_n(inputs, p, texts)
    alone = paged if all(len(text.q) == len(texts[0].q) for text in texts) else None
    return Read(texts, rule, "nhd", notes, alone)


def tokens(inputs: Inputs, role: str, n_head: int) -> Array:
    """[n_token, n_head, d] of that, of [n_token, n_head·d] or [n_batch, n, n_head, d]."""
    x = inputs.need("[nTokens, headNum, headSize]", role)
    if x.ndim == 4:
        x = x.reshape(-1, *x.shape[2:])
    if x.ndim == 2 and x.shape[1] % n_head == 0:
        x = x.reshape(len(x), n_head, -1)
    if x.ndim != 3:
        raise inputs.error(
            f"has the shape {list(x.shape)}; expected [nTokens, {n_head}, headSize]", role
        )
    return x


MAX_HEAD, MAX_MLA_HEAD = 256, 576
"""Widths of a head, at most."""


def _kv_heads(p: Params) -> int:
    return int(p["kvHeadNum"] or p["headNum"])


def _check_heads(inputs: Inputs, p: Params, texts: Sequence[Text]) -> None:
    """Raise AttnvizError where the arrays have other heads than the parameters say."""
    if not texts:
        raise inputs.error("gives no text a query", "lengths")
    q, k = texts[0].q, texts[0].k
    widest = MAX_MLA_HEAD if p["mlaVHeadSize"] else MAX_HEAD
    if q.shape[2] > widest:
        raise inputs.error(
            f"has heads of the width {q.shape[2]}; headSize has to be at most {widest}", "q"
        )
    for role, x, field, n_head in (
        ("q", q, "headNum", int(p["headNum"])),
        ("k", k, "kvHeadNum" if p["kvHeadNum"] else "headNum", _kv_heads(p)),
    ):
        if x.shape[1] != n_head:
            name = inputs.name(*(("k_cache", "k") if role == "k" else (role,)))
            raise AttnvizError(
                f"{inputs.dump.where}: {field} is {n_head}, but {name} has {x.shape[1]} heads",
                "kvHeadNum 0 stands for as many as headNum"
                if role == "k" and not p["kvHeadNum"]
                else f"correct {field} in the file of --params",
            )


# which tokens


def _new_tokens(inputs: Inputs, p: Params) -> list[Text]:
    """PA_ENCODER: all keys are new ones, texts one after another."""
    if p["inputLayout"] == atb.BNSD:
        return _by_item(inputs, p)
    q = tokens(inputs, "q", p["headNum"])
    k = tokens(inputs, "k", _kv_heads(p))
    v_size = p["mlaVHeadSize"]
    v = k[..., :v_size] if v_size and not inputs.has("v") else tokens(inputs, "v", _kv_heads(p))
    out = output_of(inputs, q)
    n_q, n_k = _lengths(inputs, len(q), len(k))
    starts_q, starts_k = np.cumsum([0, *n_q]), np.cumsum([0, *n_k])
    texts = []
    for text in _that_ran(inputs, p, len(n_q)):
        rows = slice(starts_q[text], starts_q[text + 1])
        keys = slice(starts_k[text], starts_k[text + 1])
        if n_q[text]:
            texts.append(Text(q[rows], k[keys], v[keys], None if out is None else out[rows]))
    return texts


def _lengths(inputs: Inputs, n_q: int, n_k: int) -> tuple[Array, Array]:
    """Queries and keys of each text: seqLen is [batch], or [2, batch] where they differ."""
    lengths = inputs.lengths("[batch] or [2, batch]", "lengths")
    if lengths.ndim == 2 and len(lengths) == 2:
        queries, keys = lengths
    else:
        queries = lengths.reshape(-1)
        keys = inputs.lengths("[batch]", "k_lengths") if inputs.has("k_lengths") else queries
    for what, of_texts, there in (("queries", queries, n_q), ("keys", keys, n_k)):
        if of_texts.sum() != there:
            raise inputs.error(
                f"is {brief(lengths)}, which are {of_texts.sum()} {what}; there are {there}",
                "lengths",
                hint="seqLen [batch] has the length of every text, or [2, batch] those of "
                "queries and of keys",
            )
    return queries, keys


def _by_item(inputs: Inputs, p: Params) -> list[Text]:
    """[batch, headNum, maxSeqLen, headSize]: each text in an item of its own."""
    q, k, v = (inputs.need("[batch, headNum, maxSeqLen, headSize]", role) for role in "qkv")
    for role, x in zip("qkv", (q, k, v), strict=True):
        if x.ndim != 4 or len(x) != len(q):
            raise inputs.error(
                f"has the shape {list(x.shape)}; expected [{len(q)}, headNum, maxSeqLen, headSize]",
                role,
            )
    out = inputs.get("context")
    if out is not None and out.shape[:3] != q.shape[:3]:
        raise inputs.error(f"has the shape {list(out.shape)}; expected {list(q.shape)}", "context")
    lengths = inputs.lengths("[batch] or [2, batch]", "lengths")
    queries, keys = lengths if lengths.ndim == 2 else (lengths, lengths)
    if len(queries) != len(q) or queries.max() > q.shape[2] or keys.max() > k.shape[2]:
        raise inputs.error(
            f"is {brief(lengths)}; {inputs.name('q')} has the shape {list(q.shape)}", "lengths"
        )
    return [
        Text(
            q[i, :, : queries[i]].swapaxes(0, 1),
            k[i, :, : keys[i]].swapaxes(0, 1),
            v[i, :, : keys[i]].swapaxes(0, 1),
            None if out is None else out[i, :, : queries[i]].swapaxes(0, 1),
        )
        for i in _that_ran(inputs, p, len(q))
    ]


def _that_ran(inputs: Inputs, p: Params, n_text: int) -> list[int]:
    """The texts that were computed: with batchRunStatusEnable, those whose status is not 0."""
    if not p["batchRunStatusEnable"] or not inputs.has("batch_status"):
        return [*range(n_text)]
    status = inputs.whole("[batch]", "batch_status").reshape(-1)
    if len(status) != n_text or not status.any():
        raise inputs.error(
            f"is {brief(status)}; expected a number other than 0 for some of {n_text} texts",
            "batch_status",
        )
    return [*map(int, np.flatnonzero(status))]


def _with_cache(inputs: Inputs, p: Params) -> list[Text]:
    """UNDEFINED, ENCODER and DECODER: keys stand in a cache [layer, batch, maxSeqLen, hidden];
    those of the new tokens too with K_BYPASS_V_BYPASS, else they are inputs of their own."""
    is_bypass = p["kvcacheCfg"] == atb.BYPASS
    if p["inputLayout"] == atb.BNSD:
        query = inputs.need("[batch, headNum, seqLen, headSize]", "q")
        if query.ndim != 4:
            raise inputs.error(f"has the shape {list(query.shape)}; expected 4 axes", "q")
        q = query.swapaxes(1, 2).reshape(-1, query.shape[1], query.shape[3])
    else:
        q = tokens(inputs, "q", p["headNum"])
    new = [] if is_bypass else [tokens(inputs, role, _kv_heads(p)) for role in "kv"]
    for role, x in zip("kv", new, strict=False):
        if len(x) != len(q):
            raise inputs.error(f"has {len(x)} tokens, and {inputs.name('q')} {len(q)}", role)
    counts = inputs.lengths("[batch]", "lengths").reshape(-1)
    if counts.sum() != len(q):
        raise inputs.error(f"is {brief(counts)}; there are {len(q)} queries", "lengths")
    totals = inputs.lengths("[batch]", "token_offset").reshape(-1)
    if totals.shape != counts.shape or (totals < counts).any():
        raise inputs.error(
            f"is {brief(totals)} and {inputs.name('lengths')} {brief(counts)}: tokenOffset counts "
            "the tokens of a text with its new ones, so it is no smaller than seqLen",
            "token_offset",
        )
    out = _merged_output(inputs, p, q)
    starts = np.cumsum([0, *counts])
    texts = []
    for text in _that_ran(inputs, p, len(counts)):
        rows = slice(starts[text], starts[text + 1])
        past = int(totals[text]) if is_bypass else int(totals[text] - counts[text])
        pair = [_cached(inputs, p, which, text, past) for which in (0, 1)]
        if not is_bypass:
            pair = [
                _then(inputs, role, old, x[rows])
                for role, old, x in zip("kv", pair, new, strict=True)
            ]
        if counts[text]:
            texts.append(Text(q[rows], pair[0], pair[1], None if out is None else out[rows]))
    return texts


def _then(inputs: Inputs, role: str, old: Array, new: Array) -> Array:
    """The tokens of the cache, and the new ones after them."""
    if old.shape[1:] != new.shape[1:]:
        raise inputs.error(
            f"has {new.shape[1]} heads of the width {new.shape[2]}, and the cache {old.shape[1]} "
            f"of {old.shape[2]}",
            role,
        )
    return np.concatenate([old, new])


def _merged_output(inputs: Inputs, p: Params, q: Array) -> Array | None:
    out = inputs.get("context")
    if out is not None and p["inputLayout"] == atb.BNSD and out.ndim == 4:
        return out.swapaxes(1, 2).reshape(-1, out.shape[1], out.shape[3])
    if out is not None and out.ndim > 2 and len(out) != len(q):
        inputs = inputs.with_arrays(
            {**inputs.dump.arrays, "context": out.reshape(-1, *out.shape[2:])}
        )
    return output_of(inputs, q)


def _cached(inputs: Inputs, p: Params, which: int, text: int, count: int) -> Array:
    """The first tokens of a text's keys (0) or values (1) in the cache: [count, n_head, d]."""
    roles: tuple[str, ...] = (("k_cache", "k"), ("v_cache", "v"))[which]
    if p["kvcacheCfg"] != atb.BYPASS:
        new = tokens(inputs, roles[1], _kv_heads(p))
        roles = roles[:1]
        if count == 0 and not inputs.has(*roles):
            return new[:0]
    cache = inputs.need("[layer, batch, maxSeqLen, hiddenSize]", *roles)
    n_axis = 5 if p["inputLayout"] == atb.BNSD else 4
    layer = inputs.whole("[1]", "layer_id").reshape(-1)[0] if inputs.has("layer_id") else 0
    if cache.ndim == n_axis - 1:
        cache, layer = cache[None], 0
    if cache.ndim != n_axis or layer >= len(cache) or text >= cache.shape[1]:
        raise inputs.error(
            f"has the shape {list(cache.shape)}; expected [layer, batch, maxSeqLen, hiddenSize] "
            f"with layer {layer} and text {text}",
            *roles,
        )
    own = cache[layer, text]
    own = own.swapaxes(0, 1) if p["inputLayout"] == atb.BNSD else own
    if p["cacheType"] and p["windowSize"]:
        count = min(count, int(p["windowSize"]))  # a ring that keeps the last ones
    if len(own) < count:
        raise inputs.error(f"has {len(own)} places; text {text} has {count} tokens", *roles)
    heads = _kv_heads(p)
    hidden = math.prod(own.shape[1:])
    width = hidden // heads
    if hidden != heads * width:
        raise inputs.error(
            f"has the shape {list(cache.shape)}; kvHeadNum {heads} does not divide it", *roles
        )
    return np.asarray(own[:count].reshape(count, heads, width))


def _prefix(inputs: Inputs, p: Params) -> list[Text]:
    """PREFIX_ENCODER: new tokens after a prefix that stands in a paged cache with them."""
    q = tokens(inputs, "q", p["headNum"])
    counts = inputs.lengths("[batch]", "lengths").reshape(-1)
    paged = cache_of(inputs, q.shape[1:])
    if len(counts) != len(paged.lengths) or counts.sum() != len(q):
        raise inputs.error(f"is {brief(counts)}; there are {len(q)} queries", "lengths")
    out = output_of(inputs, q)
    starts = np.cumsum([0, *counts])
    texts = []
    for text in np.flatnonzero(counts):
        rows = slice(starts[text], starts[text + 1])
        table = f"{inputs.dump.where}: {inputs.name('block_tables')}"
        texts.append(
            Text(q[rows], *gathered(paged, int(text), table), None if out is None else out[rows])
        )
    return texts


# which keys they see


def window_of(p: Params) -> int | None:
    """How many keys before its own a query sees."""
    return int(p["windowSize"]) - 1 if p["windowSize"] else None


def _masked(inputs: Inputs, p: Params, texts: list[Text]) -> Read:
    """The texts with their masks, by maskType."""
    kind = p["maskType"]
    from_end = p["calcType"] == atb.PREFIX_ENCODER
    if kind in (atb.NORM_COMPRESS, atb.CAUSAL, *atb.SLOPED, atb.WINDOW_COMPRESS):
        rule = Rule(True, window_of(p) if kind == atb.WINDOW_COMPRESS else None)
        if kind in atb.SLOPED:
            texts = [_sloped(inputs, kind, text) for text in texts]
        return Read(*_aligned(texts, rule, from_end), "nhd")
    if kind == atb.WINDOW_NORM and p["calcType"] == atb.DECODER:
        ring = bool(p["cacheType"])
        return Read(texts, Rule() if ring else Rule(True, window_of(p)), "nhd")
    if kind == atb.NO_MASK:
        return Read(texts, Rule(), "nhd")
    mask = inputs.get("mask")
    if mask is None:
        if kind == atb.ALIBI:
            inputs.need("[batch, headNum, maxSeqLen, maxSeqLen]", "mask")
        note = to_say("there is no mask: the causal one that maskType stands for is taken")
        texts, rule = _aligned(texts, Rule(True, window_of(p)), from_end)
        return Read(texts, rule, "nhd", (note,))
    parts = [_part(inputs, mask, i, text, from_end) for i, text in enumerate(texts)]
    masked, notes = _with_masks(inputs, texts, parts, kind)
    return Read(masked, Rule(), "nhd", notes)


def _aligned(texts: list[Text], rule: Rule, from_end: bool) -> tuple[list[Text], Rule]:
    """Without a prefix, the first query stands at the first key, as in a full mask."""
    if from_end or all(n_q == n_k for n_q, n_k in (text.sizes for text in texts)):
        return texts, rule
    whole = [rule.visible(max(text.sizes), max(text.sizes)) for text in texts]
    shown = [
        text._replace(visible=mask[None, : len(text.q), : len(text.k)])
        for text, mask in zip(texts, whole, strict=True)
    ]
    return shown, Rule()


def _sloped(inputs: Inputs, kind: int, text: Text) -> Text:
    """With the bias of the slopes: -m_h · distance, or its square root."""
    slopes = inputs.need("[headNum]", "slopes")
    n_head = text.q.shape[1]
    if slopes.size != n_head:
        raise inputs.error(f"has the shape {list(slopes.shape)}; expected [{n_head}]", "slopes")
    bias = alibi(np.ones(1), *text.sizes)
    bias = -np.sqrt(-bias) if kind == atb.ALIBI_SQRT else bias
    return text._replace(bias=bias * np.asarray(slopes, np.float64).reshape(-1, 1, 1))


def _part(inputs: Inputs, mask: Array, i: int, text: Text, from_end: bool) -> Array:
    """The text's own part of a mask of [S, S], [B or H, S, S], [B, 1 or H, S, S]:
    [n_head or 1, n_q, n_k]."""
    n_q, n_k = text.sizes
    n_head = text.q.shape[1]
    own = mask[None] if mask.ndim == 2 else mask
    if own.ndim == 4:
        own = own[i if len(own) > 1 else 0] if len(own) > i or len(own) == 1 else own[:0]
    elif own.ndim == 3 and len(own) not in (1, n_head):
        own = own[i : i + 1]
    first = n_k - n_q if from_end else 0
    part = own[..., first : first + n_q, :n_k] if own.ndim == 3 else own
    if part.ndim != 3 or part.shape[1:] != (n_q, n_k) or len(part) not in (1, n_head):
        raise inputs.error(
            f"has the shape {list(mask.shape)}; text {i} has {n_q} queries and {n_k} keys",
            "mask",
            hint="[S, S], [B, S, S], [B, 1, S, S] or [B, headNum, S, S], S = the longest text",
        )
    return part


def _paged_part(inputs: Inputs, mask: Array, i: int, start: int, text: Text, n_token: int) -> Array:
    """The text's own part of a mask [n_token, M], [B, n, M] or [B, headNum, n, M]."""
    n_q, n_k = text.sizes
    n_head = text.q.shape[1]
    if mask.ndim == 2 and len(mask) == n_token:
        own = mask[None, start : start + n_q]
    else:
        own = mask[i] if mask.ndim > 2 and len(mask) > i else mask
        own = own[None] if own.ndim == 2 else own
    part = own[..., :n_q, :n_k] if own.ndim == 3 else own
    if part.ndim != 3 or part.shape[1:] != (n_q, n_k) or len(part) not in (1, n_head):
        raise inputs.error(
            f"has the shape {list(mask.shape)}; text {i} has {n_q} queries and {n_k} keys",
            "mask",
            hint="[nTokens, M], [B, n, M] or [B, headNum, n, M], M = the longest text",
        )
    return part


def _with_masks(
    inputs: Inputs, texts: Sequence[Text], parts: Sequence[Array], kind: int
) -> tuple[list[Text], tuple[str, ...]]:
    """The texts with what their masks hide and add, and what is to be said of how they are read."""
    ones = all(part_holds_ones(part) for part in parts) and kind != atb.ALIBI
    done = []
    for text, part in zip(texts, parts, strict=True):
        hidden = part == 1 if ones else ~(part >= FORBIDS)
        bias = None if ones else np.where(hidden, 0, part)
        kept = bias if bias is not None and bias.any() else None
        done.append(text._replace(visible=~hidden, bias=kept, mask=part))
    some = next((text.bias for text in done if text.bias is not None), None)
    if some is not None:  # all of them, or none
        done = [
            text if text.bias is not None else text._replace(bias=np.zeros((1, *text.sizes)))
            for text in done
        ]
    return done, _mask_notes(inputs, ones, parts)


def part_holds_ones(part: Array) -> bool:
    """Whether a mask marks forbidden cells by 1, as ATB wants it of bfloat16.

    part [..., n_q, n_k].
    """
    return bool(((part == 0) | (part == 1)).all() and part.any())


def _mask_notes(inputs: Inputs, ones: bool, parts: Sequence[Array]) -> tuple[str, ...]:
    """The trap of ATB's masks: what marks a forbidden cell depends on the type."""
    name = inputs.name("mask")
    dtype = inputs.coarsest(("q",))
    if ones and dtype == "float16":
        return (
            to_say(
                "{mask} holds 1 where a key is hidden; in float16 ATB adds the mask as it is: "
                "write -10000 or -inf",
                mask=name,
            ),
        )
    negative = any((part < FORBIDS).any() for part in parts)
    if negative and dtype == "bfloat16":
        return (
            to_say(
                "{mask} holds large negative numbers where a key is hidden; in bfloat16 ATB "
                "multiplies the mask by -3e38: write 1",
                mask=name,
            ),
        )
    if ones:
        return (to_say("{mask}: 1 hides a key", mask=name),)
    return (to_say("{mask}: -10000 or less hides a key", mask=name),)


def _with_log_n(inputs: Inputs, p: Params, texts: list[Text]) -> list[Text]:
    """The texts with what their scores are multiplied by: logN is [maxSeqLen] of the places of new
    tokens, or [batch] where each text has one."""
    if p["scaleType"] != atb.LOGN:
        return texts
    factors = inputs.need("[maxSeqLen] or [batch]", "log_n").reshape(-1)
    single = all(len(text.q) == 1 for text in texts)
    if single and len(factors) == len(texts):
        return [text._replace(factor=factors[i : i + 1]) for i, text in enumerate(texts)]
    longest = max(len(text.q) for text in texts)
    if len(factors) < longest:
        raise inputs.error(
            f"has {len(factors)} numbers; the longest text has {longest} queries", "log_n"
        )
    return [text._replace(factor=factors[: len(text.q)]) for text in texts]
