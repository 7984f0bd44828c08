"""Heads split, merged, repeated or strided wrongly; axes swapped; one array for another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .dump import Draw, Saved, misuse, saved
from .masks import merge, module, projected, split

sdpa = F.scaled_dot_product_attention


@misuse("L1", thread="reczoo/FuxiCTR#30", n_head=3)
def split_without_transpose(draw: Draw) -> Saved:
    """view(b, h, n, d) of [b, n, h·d]."""
    x, y, z = draw(2, 7, 15, size=1.5), draw(2, 11, 15), draw(2, 11, 15)
    q, k, v = (t.view(2, 3, t.shape[1], 5) for t in (x, y, z))
    out = sdpa(q, k, v).view(2, 7, 15)
    return saved(merge(sdpa(split(x), split(y), split(z))), q=x, k=y, v=z, out=out)


@misuse("L1", thread="hyunwoongko/transformer#15", n_head=3)
def split_without_transpose_merged_right(draw: Draw) -> Saved:
    """view(b, h, n, d), and at the end transpose(1, 2).reshape."""
    x, y, z = draw(2, 7, 15, size=1.5), draw(2, 11, 15), draw(2, 11, 15)
    q, k, v = (t.view(2, 3, t.shape[1], 5) for t in (x, y, z))
    right = merge(sdpa(split(x), split(y), split(z)))
    return saved(right, query=x, key=y, value=z, output=merge(sdpa(q, k, v)))


@misuse("L2", thread="jsbaan/transformer-from-scratch#4")
def merge_without_transpose(draw: Draw) -> Saved:
    """[b, h, n, d].reshape(b, n, h·d)."""
    q, k, v = draw.heads()
    out = sdpa(q, k, v)
    return saved(merge(out), q=q, k=k, v=v, out=out.reshape(2, 7, 15))


@misuse("L3", thread="InternLM/lmdeploy#2957", layout="bnhd")
def axes_of_flash_attention_to_sdpa(draw: Draw) -> Saved:
    """[b, n, h, d] goes to SDPA, which attends across heads."""
    q, k, v = (x.transpose(1, 2).contiguous() for x in draw.heads(7, 7))
    right = sdpa(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    return saved(right, q=q, k=k, v=v, out=sdpa(q, k, v))


@misuse("L3", thread="triton-lang/triton#2626", layout="bhnd")
def axes_of_sdpa_to_flash_attention(draw: Draw) -> Saved:
    """[b, h, n, d] goes to a function that wants [b, n, h, d]."""
    q, k, v = draw.heads(7, 7)
    out = sdpa(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=out.contiguous())


@misuse("L4", thread="aipixel/AEMatter#3", n_head=3)
def batch_first_forgotten(draw: Draw) -> Saved:
    """nn.MultiheadAttention(batch_first=False) is given [b, n, d_model]."""
    mha, x = module(draw, batch_first=False), draw(3, 11, 15)
    q, k, v = projected(mha, x, x)
    out = mha(x, x, x, need_weights=False)[0].detach()
    right = merge(sdpa(split(q), split(k), split(v)))
    return saved(right, q=q, k=k, v=v, attn_output=out)


@misuse("L4", thread="IBM/TabFormer#14")
def batch_first_forgotten_per_head(draw: Draw) -> Saved:
    """The same with the heads' axes saved, [b, h, n, d]."""
    mha, x = module(draw, batch_first=False), draw(3, 7, 15)
    q, k, v = (split(t) for t in projected(mha, x, x))
    out = split(mha(x, x, x, need_weights=False)[0].detach())
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=out.contiguous())


@misuse("L7", thread="BobMcDear/attorch#14")
def every_head_reads_the_first(draw: Draw) -> Saved:
    """Strides without the head's: every head is head 0."""
    q, k, v = draw.heads()
    first = [x.as_strided(x.shape, (x.stride(0), 0, x.stride(2), 1)) for x in (q, k, v)]
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=sdpa(*first))


@misuse("L8", thread="heykeetae/Self-Attention-GAN#11")
def weights_transposed(draw: Draw) -> Saved:
    """bmm(value, attention) with the weights the other way round."""
    q, k, v = draw.heads(7, 7)
    attn = (q @ k.mT / 5**0.5).softmax(-1)
    return saved(attn @ v, q=q, k=k, v=v, out=attn.mT @ v)


@misuse("G1", thread="onnx/onnx#7274")
def groups_tiled(draw: Draw) -> Saved:
    """k.repeat(1, g, 1, 1), not repeat_interleave."""
    q, k, v = draw.heads(n_head=6, n_kv_head=2)
    out = sdpa(q, k.repeat(1, 3, 1, 1), v.repeat(1, 3, 1, 1))
    return saved(sdpa(q, k, v, enable_gqa=True), q=q, k=k, v=v, out=out)


@misuse("G1", thread="apple/axlearn#842", causal=True)
def groups_expanded_in_wrong_order(draw: Draw) -> Saved:
    """k[:, None].expand(b, g, h_kv, …).reshape, where g belongs behind h_kv; bfloat16 as float."""
    q, k, v = (x.bfloat16() for x in draw.heads(13, 13, n_head=6, n_kv_head=3, d=7))
    wide = [x[:, None].expand(2, 2, 3, 13, 7).reshape(2, 6, 13, 7) for x in (k, v)]
    right = sdpa(q, k, v, is_causal=True, enable_gqa=True)
    out = sdpa(q, *wide, is_causal=True)
    return saved(right, q=q.float(), k=k.float(), v=v.float(), out=out.float())


@misuse("G2", thread="PSAL-POSTECH/ONNXim#34")
def groups_by_wrong_divisor(draw: Draw) -> Saved:
    """kv = h // n_kv_head."""
    q, k, v = draw.heads(n_head=6, n_kv_head=3)
    of_head = torch.arange(6) // 3
    return saved(
        sdpa(q, k, v, enable_gqa=True), q=q, k=k, v=v, out=sdpa(q, k[:, of_head], v[:, of_head])
    )


@misuse("G1", "G3", thread="datawhalechina/tiny-universe#21")
def groups_repeated_before_transpose(draw: Draw) -> Saved:
    """repeat_interleave on [b, n, h_kv, d] along dim 1, then view: the same as tiling."""
    q, k, v = draw.heads(n_head=6, n_kv_head=2)
    k_, v_ = (
        x.transpose(1, 2).repeat_interleave(3, dim=1).reshape(2, 11, 6, 5).transpose(1, 2)
        for x in (k, v)
    )
    return saved(sdpa(q, k, v, enable_gqa=True), q=q, k=k, v=v, out=sdpa(q, k_, v_))


@misuse("G3", thread="datawhalechina/tiny-universe#21")
def groups_repeated_along_tokens(draw: Draw) -> Saved:
    """repeat_interleave along the tokens of [b, h_kv, n, d], then reshape to the query heads."""
    q, k, v = draw.heads(n_head=6, n_kv_head=2)
    k_, v_ = (x.repeat_interleave(3, dim=2).reshape(2, 6, 11, 5) for x in (k, v))
    return saved(sdpa(q, k, v, enable_gqa=True), q=q, k=k, v=v, out=sdpa(q, k_, v_))


@misuse("R1")
def queries_and_keys_swapped(draw: Draw) -> Saved:
    """k q^T."""
    q, k, v = draw.heads(7, 7)
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=sdpa(k, q, v))


@misuse("R3", thread="snu-comparch/InfiniGen#5")
def keys_for_values(draw: Draw) -> Saved:
    """cache[1] = k."""
    q, k, v = draw.heads()
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=sdpa(q, k, k))


@misuse("K1", thread="microsoft/onnxruntime-genai#2354")
def last_key_never_written(draw: Draw) -> Saved:
    """The newest token is not in the cache yet when it is read."""
    q, k, v = draw.heads(1, 13)
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=sdpa(q, k[:, :, :-1], v[:, :, :-1]))


@misuse("K1", thread="huggingface/transformers#37574")
def last_key_twice(draw: Draw) -> Saved:
    """The newest token is appended to a cache that has it."""
    q, k, v = draw.heads(1, 13)
    twice: list[Tensor] = [torch.cat((x, x[:, :, -1:]), 2) for x in (k, v)]
    return saved(sdpa(q, k, v), q=q, k=k, v=v, out=sdpa(q, *twice))


@misuse("K3", thread="flashinfer-ai/flashinfer#4979")
def scale_of_fp8_values_ignored(draw: Draw) -> Saved:
    """v is kept in float8 divided by its scale, which is not multiplied back."""
    q, k, v = draw.heads()
    v_scale = v.abs().max() / 448
    v8 = (v / v_scale).to(torch.float8_e4m3fn).float()
    return saved(sdpa(q, k, v8 * v_scale), q=q, k=k, v=v8 * v_scale, out=sdpa(q, k, v8))
