"""A dump of Ascend's SelfAttention operator, as in the field's tutorials, and one in which it was
called without qkScale. Seeded: it writes the same bytes every time.

    python samples/diagnose/ascend/make.py [FOLDER]

The operator (ATB, calcType PA_ENCODER) takes new tokens of several texts one after another,
[nTokens, headNum, headSize], their lengths in seqLen, and a float16 mask [S, S] that holds -10000
where a key is hidden. What it computes is written here as its documents do: one text after the
other, softmax(QKᵀ·qkScale + mask)·V.
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
HEAD_SIZE = 32
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
    text = json.dumps(PARAMS, indent=2)
    (folder / "params.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
