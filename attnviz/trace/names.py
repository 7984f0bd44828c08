"""What the arrays of anybody's file are, by their names: `q`, `layer0_key`, `encoder.0.self/v`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

ROLES: Mapping[str, tuple[str, ...]] = {
    "q": ("q", "query", "queries", "xq"),
    "k": ("k", "key", "keys", "xk"),
    "v": ("v", "value", "values", "xv"),
    "qkv": ("qkv", "qkv_packed"),
    "kv": ("kv",),
    "weights": (
        *("weights", "attn", "attention", "attentions", "probs", "pattern", "probabilities"),
        *("attn_weights", "attention_weights", "attn_probs", "attention_probs", "attn_weight"),
    ),
    "context": (
        *("context", "ctx", "out", "output", "z", "o", "y"),
        *("attn_out", "attn_output", "attention_output", "attention_out", "atten_out"),
    ),
    "scores": ("scores", "attn_scores", "attention_scores", "qk"),
    "logits": ("logits", "attn_logits", "attention_logits"),
    "capped": ("capped", "softcapped", "capped_scores"),
    "qk_output": ("qk_matmul_output", "qk_matmul", "qk_output"),
    "mask": ("mask", "attn_mask", "attention_mask", "causal_mask", "atten_mask"),
    "padding": ("padding", "padding_mask", "key_padding_mask", "pad_mask"),
    "bias": ("bias", "attn_bias", "attention_bias", "position_bias"),
    "sinks": ("sinks", "sink", "attn_sinks", "attention_sinks", "s_aux"),
    "slopes": ("slopes", "alibi", "alibi_slopes"),
    "w_q": ("w_q",),
    "w_k": ("w_k",),
    "w_v": ("w_v",),
    "w": ("w",),
    # numbers that say what is wanted
    "scale": ("scale", "scaling", "softmax_scale", "sm_scale", "qk_scale", "attn_scale"),
    "causal": ("causal", "is_causal"),
    "window": ("window", "window_size", "sliding_window"),
    "softcap": ("softcap", "soft_cap", "logits_soft_cap", "logit_cap", "attn_logit_softcapping"),
    "n_head": (
        *("n_head", "n_heads", "num_heads", "nhead", "num_attention_heads", "head_num"),
        "q_num_heads",
    ),
    "n_kv_head": (
        *("n_kv_head", "n_kv_heads", "num_kv_heads", "num_key_value_heads", "kv_head_num"),
        "kv_num_heads",
    ),
    "d_model": ("d_model", "hidden_size", "embed_dim", "n_embd"),
    # texts one after another, and caches
    "cu_q": (
        *("cu_seqlens", "cu_seqlens_q", "cu_seq_lens", "cu_seq_lens_q", "cu_seqlen", "cu_seqlen_q"),
        *("qo_indptr", "query_start_loc"),
    ),
    "cu_k": ("cu_seqlens_k", "cu_seqlens_kv", "cu_seq_lens_k", "cu_seqlen_k", "kv_indptr"),
    "lengths": ("seqlens", "seq_lens", "seqlen", "seq_len", "lengths", "lens", "valid_lens"),
    "k_lengths": (
        *("context_lens", "context_lengths", "kv_lens", "kv_seqlens", "seqlens_k", "kv_seq_lens"),
        *("cache_seqlens", "nonpad_kv_seqlen", "context_len", "kv_seq_len", "kv_seqlen"),
    ),
    "token_offset": ("token_offset", "token_offsets"),
    "layer_id": ("layer_id",),
    "log_n": ("log_n", "logn"),
    "batch_status": ("batch_status", "batch_run_status"),
    "block_tables": ("block_tables", "block_table", "page_table", "page_tables"),
    "k_cache": ("k_cache", "key_cache", "cache_k"),
    "v_cache": ("v_cache", "value_cache", "cache_v"),
    "kv_cache": ("kv_cache", "paged_kv_cache"),
    "past_k": ("past_k", "past_key", "past_keys", "k_past"),
    "past_v": ("past_v", "past_value", "past_values", "v_past"),
    "present_k": ("present_k", "present_key"),
    "present_v": ("present_v", "present_value"),
    # before the rotation, the norm, the projection
    "q_pre": (
        *("q_pre", "q_pre_rope", "q_before_rope", "pre_rope_q", "q_unrotated"),
        *("query_pre_rope", "query_before_rope"),
    ),
    "k_pre": (
        *("k_pre", "k_pre_rope", "k_before_rope", "pre_rope_k", "k_unrotated"),
        *("key_pre_rope", "key_before_rope"),
    ),
    "q_raw": ("q_pre_norm", "q_before_norm", "pre_norm_q", "q_unnormed"),
    "k_raw": ("k_pre_norm", "k_before_norm", "pre_norm_k", "k_unnormed"),
    "positions": ("positions", "position_ids", "pos_ids", "q_positions"),
    "k_positions": ("k_positions", "key_positions"),
    "rope_base": ("base", "theta", "rope_theta", "rope_base", "rotary_base", "freq_base"),
    "frequencies": ("inv_freq", "rope_freqs", "rotary_freqs"),
    "interleaved": ("interleaved", "rope_interleaved", "rotary_interleaved"),
    "rotary_width": ("rotary_dim", "rot_dim", "rotary_width", "rotary_ndims"),
    "x": ("x", "hidden", "hidden_states", "attn_input"),
    "w_qkv": ("w_qkv", "qkv_weight", "qkv_proj_weight", "c_attn_weight", "in_proj_weight"),
}
"""What an array is -> the words that its name may end with."""

MEANINGS: Mapping[str, str] = {
    "q": "queries as they enter q · k, [batch, head, n, d] or any other order of axes",
    "k": "keys, of as many heads or fewer",
    "v": "values",
    "qkv": "all three in one array: [Q | K | V], [q k v] head by head, or group by group",
    "kv": "keys and values in one array, with an axis of 2",
    "weights": "what softmax gave; or its mean over the heads",
    "context": "the output before its projection, heads split or side by side",
    "scores": "q · k · scale",
    "capped": "the scores after the softcap",
    "logits": "what entered softmax",
    "mask": "booleans (True = visible), 0 and 1, or what is added: 0 and -inf",
    "padding": "the same of keys; where it is boolean, True = padding",
    "bias": "what is added to the scores",
    "sinks": "[head]: logits that only enter the denominator",
    "slopes": "[head]: slopes of ALiBi",
    "scale": "what q · k is to be multiplied by",
    "causal": "whether it is to be causal",
    "window": "how many keys a query is to see, its own included; or [left, right]",
    "softcap": "c of c · tanh(score / c)",
    "n_head": "heads of q, where they lie side by side",
    "n_kv_head": "heads of k and v",
    "d_model": "the width of the model",
    "cu_q": "[text + 1]: where each of the texts begins that are packed one after another",
    "cu_k": "the same of their keys",
    "lengths": "[batch]: tokens of each text that are no padding",
    "k_lengths": "[batch]: keys of each text, in a cache",
    "block_tables": "[batch, block]: the blocks of each text in a paged cache",
    "k_cache": "[block, place, head, d]: the keys of a paged cache",
    "v_cache": "its values",
    "kv_cache": "both, with an axis of 2",
    "past_k": "keys of a cache, before those of k",
    "past_v": "values of a cache",
    "q_pre": "queries before they are rotated (RoPE)",
    "k_pre": "keys before they are rotated",
    "q_raw": "queries before their norm",
    "k_raw": "keys before their norm",
    "positions": "[n] or [batch, n]: positions of the queries",
    "k_positions": "positions of the keys",
    "rope_base": "the base of the rotation's wavelengths",
    "frequencies": "[d/2]: radians a position",
    "interleaved": "whether neighbours are rotated together, as in GPT-J",
    "rotary_width": "how many features are rotated",
    "x": "[batch, n, d_model]: what the fused projection was applied to",
    "w_qkv": "[d_model, width]: its weight, either way round",
}
"""What the arrays of a role hold, for `attnviz diagnose`."""

PROJECTED = ("q", "k", "v")

FILLERS = frozenset(("states", "layer", "proj", "heads", "vectors"))
"""Words behind the one that counts: `query_states`, `q_proj`."""

LONGEST = 4
"""Words of a name in `ROLES`, at most."""

_ROLE_OF = {word: role for role, words in ROLES.items() for word in words}


class Name(NamedTuple):
    """What the name of an array says."""

    role: str
    group: tuple[str, ...]
    """What names the layer: the words before, and a number behind."""


def parse_name(name: str) -> Name | None:
    """The role and the group of an array; None where the name says nothing.

    >>> parse_name("layer0_key")
    Name(role='k', group=('layer', '0'))
    """
    if "/summary/" in name:  # of a trace: keys there are positions
        return None
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)  # numHeads
    words = re.findall(r"[a-z]+|\d+", spelled.casefold())
    number = (words.pop(),) if words and words[-1].isdigit() else ()
    found = _longest(words)
    while found is None and len(words) > 1 and words[-1] in FILLERS:
        filler = words.pop()
        found = _longest(words)
        if filler == "proj" and found is not None and found[0] == "context":
            return None  # what the output is projected to, not the output
    if found is None:
        return None
    role, length = found
    return Name(role, (*words[: len(words) - length], *number))


def _longest(words: Sequence[str]) -> tuple[str, int] | None:
    """The role that the last words name, and how many words that takes."""
    for length in range(min(LONGEST, len(words)), 0, -1):
        role = _ROLE_OF.get("_".join(words[-length:]))
        if role is not None:
            return role, length
    return None


def has_projections(names: Iterable[str]) -> bool:
    """Whether queries and keys are among arrays of these names."""
    roles = {parsed.role for name in names if (parsed := parse_name(name)) is not None}
    return "qkv" in roles or {"q", "k"} <= roles


def by_group(names: Iterable[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """The layers of a file: group -> role -> name, in the order of their numbers.

    What belongs to all layers, a mask say, has a group of no words.
    """
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        parsed = parse_name(name)
        if parsed is not None:
            groups.setdefault(parsed.group, {}).setdefault(parsed.role, name)
    return dict(sorted(groups.items(), key=lambda item: _natural(item[0])))


def _natural(group: tuple[str, ...]) -> list[tuple[int, int | str]]:
    return [(0, int(word)) if word.isdigit() else (1, word) for word in group]


def place(group: tuple[str, ...]) -> tuple[str | None, int | None, str | None]:
    """Block, layer and kind of a group, as far as its words say them."""
    words = set(group)
    block = next((word for word in ("decoder", "encoder") if word in words), None)
    kind = "cross" if "cross" in words or {"encoder", "attn"} <= words - {block} else None
    if kind is None and "self" in words:
        kind = "self"
    numbers = [int(word) for word in group if word.isdigit()]
    return block, numbers[-1] if numbers and len(str(numbers[-1])) < 5 else None, kind
