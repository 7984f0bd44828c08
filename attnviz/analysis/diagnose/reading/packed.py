"""Texts one after another in one array, with where each begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.reading.arranged import Qkv
from attnviz.analysis.diagnose.reading.axes import Misfit
from attnviz.analysis.diagnose.reading.texts import Rule, Text, Together, together
from attnviz.nn.types import Array, Bool
from attnviz.trace.dump import Dump


class Starts:
    """Where the queries and the keys of each text begin, and the last ones end."""

    def __init__(self, q: Array, k: Array) -> None:
        self.q, self.k = q, k

    @property
    def n_text(self) -> int:
        return len(self.q) - 1


def starts(dump: Dump, qkv: Qkv) -> Starts | None:
    """Those that a dump says, for q [1, n_head, n, d]; None where it packs nothing.

    Raises:
        Misfit: they do not fit the tokens.
    """
    packs = dump.arrays.get("cu_q")
    if qkv.sizes["b"] != 1:
        if packs is not None and packs.size != qkv.sizes["b"] + 1:
            raise Misfit(f"{dump.described('cu_q')} is for texts without a batch axis")
        return None
    q = _starts(dump, "cu_q", ("lengths",), qkv.sizes["n"])
    if q is None:
        return None
    k = _starts(dump, "cu_k", ("k_lengths",), qkv.sizes["m"])
    if k is None and qkv.sizes["n"] == qkv.sizes["m"]:
        k = q
    if k is None or len(k) != len(q):
        raise Misfit(
            f"{dump.described('cu_q', 'cu_k', 'lengths', 'k_lengths')} do not say where the keys "
            f"of each of {len(q) - 1} texts begin"
        )
    return Starts(q, k)


def _starts(dump: Dump, cumulated: str, lengths: Sequence[str], n: int) -> Array | None:
    """[n_text + 1]"""
    x = dump.arrays.get(cumulated)
    if x is not None:
        x = x.reshape(-1).astype(np.int64)
        x = x if x.size and x[0] == 0 else np.concatenate([[0], x])
        if (np.diff(x) < 0).any() or x[-1] > n:
            raise Misfit(
                f"{dump.names[cumulated]} is {x[:8].tolist()}; expected numbers from 0 to at most "
                f"{n} that never fall"
            )
        return x
    for role in lengths:
        x = dump.arrays.get(role)
        if x is not None and x.ndim == 1 and int(x.sum()) == n and len(x) > 1:
            return np.concatenate([[0], np.cumsum(x)]).astype(np.int64)
    return None


def unpacked(
    qkv: Qkv, out: Array | None, where: Starts, masking: Masking, alignment: str
) -> Together:
    """The texts of q, k, v and the output [1, n_head, n, d_v], each under the rules of `masking`:
    causal, and the window.

    Raises:
        Misfit: there is none.
    """
    rule = Rule(masking.causal, masking.left)
    plain = masking.right is None and alignment == "lower_right"
    texts = []
    for number in range(where.n_text):
        rows = slice(int(where.q[number]), int(where.q[number + 1]))
        keys = slice(int(where.k[number]), int(where.k[number + 1]))
        n_q, n_k = rows.stop - rows.start, keys.stop - keys.start
        if not n_q or not n_k:
            continue
        texts.append(
            Text(
                _tokens_first(qkv.q)[rows],
                _tokens_first(qkv.k)[keys],
                _tokens_first(qkv.v)[keys],
                None if out is None else _tokens_first(out)[rows],
                None if plain else _visible(masking, n_q, n_k, alignment),
            )
        )
    if not texts:
        raise Misfit("no text has both queries and keys")
    return together(texts, rule if plain else Rule())


def _visible(masking: Masking, n_q: int, n_k: int, alignment: str) -> Bool:
    """[1, n_q, n_k]"""
    offset = n_k - n_q if alignment == "lower_right" else 0
    rules = Masking(causal=masking.causal, offset=offset, left=masking.left, right=masking.right)
    seen = rules.visible(np.arange(n_q), n_k)
    return np.ones((1, n_q, n_k), bool) if seen is None else np.asarray(seen[0])


def _tokens_first(x: Array) -> Array:
    """[1, n_head, n, d] -> [n, n_head, d]"""
    return np.swapaxes(x[0], 0, 1)
