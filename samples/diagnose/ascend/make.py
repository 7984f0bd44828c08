"""Dumps of Ascend's SelfAttention operator, as in the field's tutorials, and one in which it was
called without qkScale; of PagedAttention, and one in which the block table was ignored. Seeded: it
writes the same bytes every time.

    python samples/diagnose/ascend/make.py [FOLDER]

The operator (ATB, calcType PA_ENCODER) takes new tokens of several texts one after another,
[nTokens, headNum, headSize], their lengths in seqLen, and a float16 mask [S, S] that holds -10000
where a key is hidden. What it computes is written here as its documents do: one text after the
other, softmax(QKᵀ·qkScale + mask)·V.

PagedAttention takes one new token of each text, and keys and values in blocks: token t of text b
stands in block blockTables[b, t // block_size], at t % block_size.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

PARAMS = {
    "operation": "SelfAttention",
    "headNum": 4,
    "kvHeadNum": 2,
    "qkScale": 0.17677669529663687,  # 1/√headSize
    "calcType": "PA_ENCODER",
    "maskType": "MASK_TYPE_NORM",
    "isTriuMask": 1,
}
PAGED_PARAMS = {
    "operation": "PagedAttention",
    "headNum": 4,
    "kvHeadNum": 2,
    "qkScale": 0.17677669529663687,
}
HEAD_SIZE = 32
BLOCK_SIZE = 16
CONTEXT_LENS = (37, 9, 20)
SEQ_LEN = (13, 7, 17)


def self_attention(query, key, value, mask, seq_len, scale):
    """[nTokens, headNum, headSize], in float32."""
    out = np.zeros(query.shape, np.float32)
    group = query.shape[1] // key.shape[1]
    start = 0
    for n in seq_len:
        rows = slice(start, start + n)
        for head in range(query.shape[1]):
            q, k, v = query[rows, head], key[rows, head // group], value[rows, head // group]
            scores = q.astype(np.float32) @ k.astype(np.float32).T * np.float32(scale)
            scores += mask[:n, :n].astype(np.float32)
            powers = np.exp(scores - scores.max(-1, keepdims=True))
            weights = powers / powers.sum(-1, keepdims=True)
            out[rows, head] = weights @ v.astype(np.float32)
        start += n
    return out


def paged_attention(query, keys, values, tables, context_lens, scale):
    """[batch, headNum, headSize], in float32."""
    out = np.zeros(query.shape, np.float32)
    group = query.shape[1] // keys.shape[2]
    for text, n in enumerate(context_lens):
        for head in range(query.shape[1]):
            places = [(tables[text, t // BLOCK_SIZE], t % BLOCK_SIZE) for t in range(n)]
            k, v = (
                np.stack([x[block, slot, head // group] for block, slot in places])
                for x in (keys.astype(np.float32), values.astype(np.float32))
            )
            powers = np.exp(k @ query[text, head].astype(np.float32) * np.float32(scale))
            out[text, head] = powers / powers.sum() @ v
    return out


def write_paged(folder: Path) -> None:
    rng = np.random.default_rng(21)
    counts = [-(-n // BLOCK_SIZE) for n in CONTEXT_LENS]
    order = rng.permutation(sum(counts) + 1)
    tables = np.full((len(counts), max(counts)), -1, np.int32)
    for text, count in enumerate(counts):
        tables[text, :count] = order[sum(counts[:text]) :][:count]
    cache = (len(order), BLOCK_SIZE, PAGED_PARAMS["kvHeadNum"], HEAD_SIZE)
    arrays = {
        "query": rng.standard_normal((len(counts), PAGED_PARAMS["headNum"], HEAD_SIZE)),
        "keyCache": rng.standard_normal(cache),
        "valueCache": rng.standard_normal(cache),
    }
    arrays = {name: x.astype(np.float16) for name, x in arrays.items()}
    in_order = np.concatenate([[0], np.cumsum(counts)[:-1]])[:, None] + np.arange(max(counts))
    for name, read in (("paged", tables), ("block-table-ignored", in_order)):
        out = paged_attention(*arrays.values(), read, CONTEXT_LENS, PAGED_PARAMS["qkScale"])
        np.savez_compressed(
            folder / f"{name}.npz",
            **arrays,
            blockTables=tables,
            contextLens=np.array(CONTEXT_LENS, np.int32),
            attnOut=out.astype(np.float16),
        )
    _write_params(folder / "paged.json", PAGED_PARAMS)


def _write_params(path: Path, params: dict) -> None:
    path.write_text(json.dumps(params, indent=2) + "\n", encoding="utf-8")


def write(folder: Path) -> None:
    rng = np.random.default_rng(20)
    n = sum(SEQ_LEN)
    arrays = {
        "query": rng.standard_normal((n, PARAMS["headNum"], HEAD_SIZE)).astype(np.float16),
        "key": rng.standard_normal((n, PARAMS["kvHeadNum"], HEAD_SIZE)).astype(np.float16),
        "value": rng.standard_normal((n, PARAMS["kvHeadNum"], HEAD_SIZE)).astype(np.float16),
        "mask": np.triu(np.full((max(SEQ_LEN),) * 2, -10000, np.float16), 1),
        "seqLen": np.array(SEQ_LEN, np.int32),
    }
    inputs = [arrays[name] for name in ("query", "key", "value", "mask")]
    for name, scale in (("correct", PARAMS["qkScale"]), ("qkscale-left-at-1", 1.0)):
        out = self_attention(*inputs, SEQ_LEN, scale).astype(np.float16)
        np.savez_compressed(folder / f"{name}.npz", **arrays, attnOut=out)
    _write_params(folder / "params.json", PARAMS)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    write(target)
    write_paged(target)
