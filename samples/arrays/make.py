"""Writes qkv.npz: what somebody's own attention might save of one layer, to be looked at with

    attnviz attend samples/arrays/qkv.npz --causal --tokens "the cat sat on the mat"

Four query heads share two key/value heads; weights and output are of a plain loop over heads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

N_HEAD, N_KV_HEAD, N, D = 4, 2, 6, 8


def main(path: Path) -> None:
    generator = np.random.default_rng(5)
    q = generator.normal(size=(N_HEAD, N, D)).astype(np.float32)
    k = generator.normal(size=(N_KV_HEAD, N, D)).astype(np.float32)
    v = generator.normal(size=(N_KV_HEAD, N, D)).astype(np.float32)
    weights = np.zeros((N_HEAD, N, N), np.float32)
    for head in range(N_HEAD):
        for query in range(N):
            keys = k[head * N_KV_HEAD // N_HEAD, : query + 1]
            logits = keys @ q[head, query] / np.sqrt(D)
            weights[head, query, : query + 1] = np.exp(logits) / np.exp(logits).sum()
    out = np.stack([weights[head] @ v[head * N_KV_HEAD // N_HEAD] for head in range(N_HEAD)])
    np.savez(path, q=q, k=k, v=v, weights=weights, out=out)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("qkv.npz")))
