"""Masks of the wrong meaning, value, order, shape, or none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dump import Draw, Saved, misuse, saved, softmax_of


def scores_of(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / q.shape[-1] ** 0.5


def module(draw: Draw, d_model: int = 15, **options: object) -> nn.MultiheadAttention:
    """nn.MultiheadAttention whose output is the heads' context (the last projection is 1)."""
    mha = nn.MultiheadAttention(d_model, 3, **{"batch_first": True, **options}).eval()
    mha.in_proj_weight.data = draw(3 * d_model, d_model, size=1.5 * d_model**-0.5)
    mha.in_proj_bias.data = draw(3 * d_model, size=0.3)
    mha.out_proj.weight.data = torch.eye(d_model)
    mha.out_proj.bias.data.zero_()
    return mha


def projected(mha: nn.MultiheadAttention, query: Tensor, memory: Tensor) -> list[Tensor]:
    """q, k, v as the module has them, [b, n, d_model]."""
    weights, biases = mha.in_proj_weight.chunk(3), mha.in_proj_bias.chunk(3)
    inputs = (query, memory, memory)
    return [F.linear(x, w, b).detach() for x, w, b in zip(inputs, weights, biases, strict=True)]


def split(x: Tensor, n_head: int = 3) -> Tensor:
    return x.unflatten(-1, (n_head, -1)).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


@misuse("M1", thread="rasbt/LLMs-from-scratch#1061", causal=True)
def mask_of_hidden_to_sdpa(draw: Draw) -> Saved:
    """triu(1) marks what is hidden; SDPA reads True as visible."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=hidden)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("M1", thread="InseeFrLab/torchTextClassifiers#92")
def mask_of_padding_to_sdpa(draw: Draw) -> Saved:
    """key_padding_mask (True = padding) goes to SDPA as it is."""
    q, k, v = draw.heads()
    padding = ~draw.padding()
    padding[0, -1] = True
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=padding[:, None, None])
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=~padding[:, None, None])
    return saved(right, q=q, k=k, v=v, key_padding_mask=padding, out=out)


@misuse("M1", thread="nyu-mll/jiant#465", n_head=3)
def mask_of_tokens_to_mha(draw: Draw) -> Saved:
    """The tokenizer's attention_mask (1 = token) goes to nn.MultiheadAttention, where True is hidden."""
    mha, x = module(draw), draw(2, 11, 15)
    attention_mask = draw.padding().long()
    attention_mask[0, -1] = 0
    q, k, v = projected(mha, x, x)
    out = mha(x, x, x, key_padding_mask=attention_mask.bool())[0].detach()
    right = mha(x, x, x, key_padding_mask=attention_mask == 0)[0].detach()
    return saved(right, q=q, k=k, v=v, attention_mask=attention_mask, attn_output=out)


@misuse("M1", thread="rasbt/LLMs-from-scratch#1061", causal=True, n_head=3)
def mask_of_visible_to_mha(draw: Draw) -> Saved:
    """tril goes to nn.MultiheadAttention, where True is hidden; the last row is NaN."""
    mha, x = module(draw), draw(2, 7, 15)
    q, k, v = projected(mha, x, x)
    visible = torch.ones(7, 7, dtype=torch.bool).tril()
    out = mha(x, x, x, attn_mask=visible, need_weights=False)[0].detach()
    right = mha(x, x, x, attn_mask=~visible, need_weights=False)[0].detach()
    return saved(right, q=q, k=k, v=v, out=out)


@misuse("M1", thread="mlwithme/TransformerTranslation#6")
def mask_inverted_before_fill(draw: Draw) -> Saved:
    """masked_fill(mask, -inf) with the mask of what is visible; it is saved as SDPA would take it."""
    q, k, v = draw.heads()
    mask = torch.rand(2, 1, 7, 11, generator=draw.generator) < 0.6
    mask[..., 0], mask[..., 1] = True, False
    out = softmax_of(scores_of(q, k).masked_fill(mask, float("-inf")), v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
        q=q,
        k=k,
        v=v,
        attn_mask=mask,
        out=out,
    )


@misuse("M2", thread="huggingface/transformers#41443")
def mask_of_ones_added(draw: Draw) -> Saved:
    """The 0/1 mask goes to SDPA as floats, which are added."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None].expand(2, 1, 7, 11) & torch.ones(
        7, 11, dtype=torch.bool
    ).tril(4)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.float())
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M2", thread="NVlabs/WarpConvNet#26", n_head=3)
def mask_of_padding_as_float_to_mha(draw: Draw) -> Saved:
    """key_padding_mask.float(): one is added where a key is padding."""
    mha, x = module(draw), draw(2, 11, 15)
    q, k, v = projected(mha, x, x)
    padding = ~draw.padding()
    out = mha(x, x, x, key_padding_mask=padding.float())[0].detach()
    right = mha(x, x, x, key_padding_mask=padding)[0].detach()
    return saved(right, q=q, k=k, v=v, key_padding_mask=padding, out=out)


@misuse("M3", thread="awslabs/gluonts#1401")
def mask_filled_with_tiny(draw: Draw) -> Saved:
    """masked_fill(mask == 0, 1e-9)."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    out = softmax_of(scores_of(q, k).masked_fill(mask == 0, 1e-9), v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M3", "M5", thread="hyunwoongko/transformer#10", causal=True)
def mask_filled_with_minus_epsilon(draw: Draw) -> Saved:
    """masked_fill(mask == 0, -1e-12), causal."""
    q, k, v = draw.heads(7, 7)
    visible = torch.ones(7, 7).tril()
    out = softmax_of(scores_of(q, k).masked_fill(visible == 0, -1e-12), v)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, output=out)


@misuse("M3", thread="lucidrains/memory-compressed-attention#2", causal=True)
def mask_filled_with_minus_ten(draw: Draw) -> Saved:
    """A fill of -10 that real scores come close to."""
    q, k, v = draw.heads(7, 7)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    out = softmax_of(scores_of(q, k).masked_fill(hidden, -10.0), v)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("M4", thread="huggingface/pytorch-image-models#2236")
def mask_after_softmax(draw: Draw) -> Saved:
    """attn = attn * mask, not renormalised."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None].long()
    attn = scores_of(q, k).softmax(-1) * mask
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool())
    return saved(right, q=q, k=k, v=v, attention_mask=mask, out=attn @ v)


@misuse("M5", "M3", thread="awslabs/gluonts#1401")
def mask_multiplied_into_scores(draw: Draw) -> Saved:
    """scores * mask before the softmax."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None]
    out = softmax_of(scores_of(q, k) * mask, v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M6", thread="QwenLM/Qwen#933", causal=True)
def mask_fill_not_in_place(draw: Draw) -> Saved:
    """scores.masked_fill(…) whose result is thrown away."""
    q, k, v = draw.heads(7, 7)
    scores = scores_of(q, k)
    scores.masked_fill(torch.ones(7, 7, dtype=torch.bool).triu(1), float("-inf"))
    attn = F.softmax(scores, dim=-1)
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return saved(right, q=q, k=k, v=v, attn=attn, out=attn @ v)


@misuse("M6", thread="AnswerDotAI/ModernBERT#40")
def mask_not_handed_on(draw: Draw) -> Saved:
    """SDPA without the padding mask, in bfloat16; saved with .float()."""
    q, k, v = (x.bfloat16() for x in draw.heads(13, 17, d=11))
    mask = draw.padding(17)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    out = F.scaled_dot_product_attention(q, k, v)
    return saved(right, q=q.float(), k=k.float(), v=v.float(), padding_mask=mask, out=out.float())


@misuse("M6", thread="keras-team/keras#23038")
def mask_of_causality_lost(draw: Draw) -> Saved:
    """A causal mask with padding, of which only the padding is used."""
    q, k, v = draw.heads(11, 11)
    real = draw.padding()[:, None, None]
    mask = real & torch.ones(11, 11, dtype=torch.bool).tril()
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=real)
    return saved(right, q=q, k=k, v=v, attn_mask=mask, out=out)


@misuse("M10", thread="hyunwoongko/transformer#40")
def mask_of_padding_on_queries(draw: Draw) -> Saved:
    """unsqueeze(3) for unsqueeze(2): the queries that are padding are masked, and no key."""
    q, k, v = draw.heads(11, 11)
    real = draw.padding()
    out = softmax_of(scores_of(q, k).masked_fill(real[:, None, :, None] == 0, -10000.0), v)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
    return saved(right, q=q, k=k, v=v, mask=real, out=out)


@misuse("M11", thread="ArrowLuo/CLIP4Clip#22", n_head=3)
def mask_repeated_over_heads(draw: Draw) -> Saved:
    """nn.MultiheadAttention's (N·H, L, S) made with repeat(H, 1, 1), not repeat_interleave."""
    mha, x = module(draw), draw(2, 11, 15)
    q, k, v = projected(mha, x, x)
    visible = draw.padding()[:, None] & torch.ones(11, 11, dtype=torch.bool).tril()
    out = mha(x, x, x, attn_mask=~visible.repeat(3, 1, 1))[0].detach()
    right = mha(x, x, x, attn_mask=~visible.repeat_interleave(3, 0))[0].detach()
    return saved(right, q=q, k=k, v=v, mask=visible, out=out)


@misuse("M12", thread="pytorch/pytorch#103963")
def rows_without_keys_nan(draw: Draw) -> Saved:
    """Queries that see nothing are NaN in plain code."""
    q, k, v = draw.heads()
    mask = torch.ones(7, 11, dtype=torch.bool).tril(-2)
    out = softmax_of(scores_of(q, k).masked_fill(~mask, float("-inf")), v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M12", thread="pytorch/pytorch#131060")
def rows_without_keys_uniform(draw: Draw) -> Saved:
    """Filled with finfo.min: queries that see nothing see everything alike."""
    q, k, v = draw.heads()
    mask = torch.ones(7, 11, dtype=torch.bool).tril(-2)
    out = softmax_of(scores_of(q, k).masked_fill(~mask, torch.finfo(q.dtype).min), v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M12", thread="ml-explore/mlx#2395")
def rows_without_keys_unmasked(draw: Draw) -> Saved:
    """(1 - mask) * -10000 added: where all keys have it, it cancels."""
    q, k, v = draw.heads()
    mask = torch.ones(7, 11, dtype=torch.bool).tril(-2)
    out = softmax_of(scores_of(q, k) + (1.0 - mask.float()) * -10000.0, v)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M13", thread="TransformerLensOrg/TransformerLens#385", causal=True)
def fill_above_real_scores(draw: Draw) -> Saved:
    """Filled with -1e5 where the real scores are about -110 000."""
    q, k, v = draw.heads(7, 7)
    k = k - 500 * F.normalize(q.mean(2, keepdim=True), dim=-1)
    q = q + 500 * F.normalize(q.mean(2, keepdim=True), dim=-1)
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    scores = scores_of(q, k)
    assert scores.max() < -1e5
    out = softmax_of(scores.masked_fill(hidden, -1e5), v)
    return saved(F.scaled_dot_product_attention(q, k, v, is_causal=True), q=q, k=k, v=v, out=out)


@misuse("M16", thread="onnx/onnx#8068")
def mask_of_zero_times_infinity(draw: Draw) -> Saved:
    """(1 - mask) * -inf is NaN where the mask is 1."""
    q, k, v = draw.heads()
    mask = draw.padding()[:, None, None].float()
    out = softmax_of(scores_of(q, k) + (1 - mask) * float("-inf"), v)
    right = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.bool())
    return saved(right, q=q, k=k, v=v, mask=mask, out=out)


@misuse("M23", thread="pytorch/pytorch#184180")
def mask_transposed(draw: Draw) -> Saved:
    """mask.mT."""
    q, k, v = draw.heads(7, 7)
    mask = torch.rand(2, 1, 7, 7, generator=draw.generator) < 0.6
    mask |= torch.eye(7, dtype=torch.bool)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.mT)
    return saved(
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask), q=q, k=k, v=v, mask=mask, out=out
    )


@misuse("M21", thread="huggingface/nanoVLM#204", causal=True)
def documents_see_each_other(draw: Draw) -> Saved:
    """Three texts packed in one row, causal over all of it; q [t, h, d] with cu_seqlens."""
    cu = torch.tensor([0, 5, 12, 19], dtype=torch.int32)
    q, k, v = draw.heads(19, 19, n_batch=1)
    document = torch.repeat_interleave(torch.arange(3), cu.diff().long())
    right = F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=(document[:, None] == document) & torch.ones(19, 19, dtype=torch.bool).tril(),
    )
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    packed = {name: x[0].transpose(0, 1).contiguous() for name, x in (("q", q), ("k", k), ("v", v))}
    return saved(
        right[0].transpose(0, 1), **packed, cu_seqlens=cu, out=out[0].transpose(0, 1).contiguous()
    )
