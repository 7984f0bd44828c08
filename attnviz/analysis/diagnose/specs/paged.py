"""A key/value cache in blocks: gathered, it is attention like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.facts import Facts, Paged
from attnviz.analysis.diagnose.reading.texts import Rule, Text, picked_texts, together
from attnviz.analysis.diagnose.specs.inputs import Inputs, Named, brief
from attnviz.analysis.diagnose.specs.params import number, values_of, whole
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.nn.types import Array, floating

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.case import Case, Request
    from attnviz.analysis.diagnose.specs import Conventions

OWN_NAMES = {
    "q": "query",
    "k_cache": "key_cache",
    "v_cache": "value_cache",
    "k_lengths": "context_lens",
    "cu_q": "query_start_loc",
    "context": "out",
}
"""Roles of vLLM's inputs, and what it calls them."""

LENGTHS = ("k_lengths", "lengths")

VLLM = {
    "scale": number(None),
    "num_heads": whole(None),
    "num_kv_heads": whole(None),
    "head_size": whole(None),
    "block_size": whole(None),
    "sliding_window": whole(None),
    "logits_soft_cap": number(None),
}

BLOCKS = "[n_block, block_size, n_kv_head, d]"


def gathered(paged: Paged, text: int, table_name: str = "block_tables") -> tuple[Array, Array]:
    """The keys [n_k, n_kv_head, d_k] and values [n_k, n_kv_head, d_v] of a text: token i stands in
    block `table[i // block_size]`, at `i % block_size`.

    Raises:
        AttnvizError: the table is too short, or names a block that the cache does not have.
    """
    n_block, size = paged.keys.shape[:2]
    length = int(paged.lengths[text])
    table = paged.tables[text][: -(-length // size)]
    if len(table) * size < length:
        raise AttnvizError(
            f"{table_name} of text {text} has {len(table)} blocks of {size}; "
            f"the text has {length} tokens",
            f"one block for each {size} tokens, and one for the rest",
        )
    wrong = np.flatnonzero((table < 0) | (table >= n_block))
    if wrong.size:
        at = int(wrong[0])
        raise AttnvizError(
            f"{table_name} of text {text} has {table[at]} at {at}; the cache has the blocks 0 to "
            f"{n_block - 1}, and the text's {length} tokens take {len(table)}",
            "-1 ends a list of blocks",
        )
    keys = paged.keys[table].reshape(-1, *paged.keys.shape[2:])[:length]
    return keys, paged.values[table].reshape(-1, *paged.values.shape[2:])[:length]


def vllm_conventions(params: Mapping[str, Any]) -> Conventions:
    """The conventions of vLLM's PagedAttention."""
    from attnviz.analysis.diagnose.specs import Conventions

    p = values_of("vllm", VLLM, params)
    words = to_say(
        "vLLM's PagedAttention: keys and values are gathered by the block tables and context "
        "lengths; the queries of a text stand at its last keys; consecutive query heads share a "
        "key/value head; the scale is 1/√d_k unless it is given"
    )

    def read(dump: Named, request: Request) -> tuple[Case, ...]:
        return (_read(p, dump, request),)

    return Conventions(words=(words,), layout="nhd", read=read)


def _read(p: Mapping[str, Any], dump: Named, request: Request) -> Case:
    from attnviz.analysis.diagnose.case import Case

    inputs = Inputs("vLLM's PagedAttention", dump, OWN_NAMES)
    query = tokens_first(inputs, "q", request.n_head or p["num_heads"])
    paged = cache_of(inputs, query.shape[1:], p["block_size"])
    texts = texts_of(inputs, query, paged)
    slopes = inputs.get("slopes")
    if slopes is not None and slopes.size != query.shape[1]:
        raise inputs.error(f"has {slopes.size} slopes for {query.shape[1]} heads", "slopes")
    if slopes is not None:
        texts = [text._replace(bias=alibi(slopes, *text.sizes)) for text in texts]
    window = request.window or p["sliding_window"]
    picked = picked_texts(texts)
    joined = together(picked.texts, Rule(True, window - 1 if window else None))
    scale = p["scale"] if request.scale is None else request.scale
    wanted = computation(
        *(floating(x) for x in (joined.q, joined.k, joined.v)),
        scale=query.shape[-1] ** -0.5 if scale is None else scale,
        masking=joined.masking,
        bias=joined.bias,
        softcap=request.softcap or p["logits_soft_cap"] or 0.0,
        facts=Facts(
            request.d_model,
            paged=paged if len(joined.q) == len(paged.lengths) and not picked.reading else None,
            alibi=None if slopes is None else slopes.reshape(-1)[picked.heads],
        ),
    )
    given = {} if joined.out is None else {"context": floating(joined.out)}
    dtype = inputs.coarsest(("q", "k_cache", "v_cache", "kv_cache", "context"))
    return Case(
        wanted, given, dtype, layout="nhd", reading=(_sentence(texts, paged), *picked.reading)
    )


def _sentence(texts: list[Text], paged: Paged) -> str:
    return to_say(
        "{n_text} texts with {n_q} queries; their {n_k} keys stand in blocks of {size}",
        n_text=len(texts),
        n_q=sum(len(text.q) for text in texts),
        n_k=sum(len(text.k) for text in texts),
        size=paged.keys.shape[1],
    )


def tokens_first(inputs: Inputs, role: str, n_head: int | None) -> Array:
    """[n_token, n_head, d] of that, of [n_batch, 1, n_head, d] or, with the number of heads, of
    [n_token, n_head·d]."""
    x = inputs.need("[n_token, n_head, d]", role)
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim == 2 and n_head and x.shape[1] % n_head == 0:
        x = x.reshape(len(x), n_head, -1)
    if x.ndim != 3 or (n_head and x.shape[1] != n_head):
        heads = n_head or "n_head"
        raise inputs.error(
            f"has the shape {list(x.shape)}; expected [n_token, {heads}, d]",
            role,
            hint="" if n_head else "if the heads lie side by side, say how many there are",
        )
    return x


def cache_of(inputs: Inputs, heads: tuple[int, ...], block_size: int | None = None) -> Paged:
    """The cache of a dump: keys and values as [n_block, block_size, n_kv_head, d].

    `heads` are n_head and d_k of the queries, by which the axes are told.
    """
    pair = inputs.get("kv_cache")
    if pair is not None:
        axis = 0 if pair.shape[:1] == (2,) else 1
        if pair.ndim != 5 or pair.shape[axis] != 2:
            raise inputs.error(
                f"has the shape {list(pair.shape)}; expected "
                "[2, n_block, block_size, n_kv_head, d] or [n_block, 2, block_size, …]",
                "kv_cache",
            )
        keys, values = np.moveaxis(pair, axis, 0)
    else:
        keys = inputs.need(BLOCKS, "k_cache", "k")
        values = inputs.need(BLOCKS, "v_cache", "v")
    keys, values = _blocks(inputs, keys, values, heads, block_size)
    tables = inputs.whole("[n_batch, max_blocks]", "block_tables")
    lengths = inputs.lengths("[n_batch]", *LENGTHS)
    if tables.ndim != 2 or lengths.shape != (len(tables),):
        raise inputs.error(
            f"has the shape {list(tables.shape)} and {inputs.name(*LENGTHS)} "
            f"{list(lengths.shape)}; expected [n_batch, max_blocks] and [n_batch]",
            "block_tables",
        )
    return Paged(keys, values, tables, lengths)


def _blocks(
    inputs: Inputs, keys: Array, values: Array, heads: tuple[int, ...], block_size: int | None
) -> tuple[Array, Array]:
    """Keys and values as [n_block, block_size, n_kv_head, d], of one of the usual layouts."""
    n_head, d_k = heads
    shapes = f"{list(keys.shape)} and {list(values.shape)}"
    if keys.ndim == 5 and values.ndim == 4:  # [n_block, h, d/x, size, x] and [n_block, h, d, size]
        keys = keys.transpose(0, 3, 1, 2, 4).reshape(len(keys), keys.shape[3], keys.shape[1], -1)
        values = values.transpose(0, 3, 1, 2)
    fits = [
        axes
        for axes in ((0, 1, 2, 3), (0, 2, 1, 3))
        if keys.ndim == values.ndim == 4
        and keys.shape[3] == d_k
        and n_head % keys.shape[axes[2]] == 0
        and keys.shape[axes[1]] == (block_size or keys.shape[axes[1]])
    ]
    if not fits or keys.shape[:3] != values.shape[:3]:
        raise inputs.error(
            f"and {inputs.name('v_cache', 'v')} have the shapes {shapes}, and "
            f"{inputs.name('q')} [n_token, {n_head}, {d_k}]; tried {BLOCKS}, "
            "[n_block, n_kv_head, block_size, d] and [n_block, n_kv_head, d/x, block_size, x]",
            *(("kv_cache",) if inputs.has("kv_cache") else ("k_cache", "k")),
        )
    return keys.transpose(fits[0]), values.transpose(fits[0])


def texts_of(inputs: Inputs, query: Array, paged: Paged) -> list[Text]:
    """The texts of a paged computation; the queries of each are its last tokens. One of no tokens
    is left out: nothing is computed for it.

    query [n_token, n_head, d_k].
    """
    starts = _starts(inputs, len(query), len(paged.lengths))
    out = output_of(inputs, query)
    texts = []
    for text in map(int, np.flatnonzero(paged.lengths)):
        rows = slice(int(starts[text]), int(starts[text + 1]))
        keys, values = gathered(paged, text, f"{inputs.dump.where}: {inputs.name('block_tables')}")
        if len(query[rows]) > len(keys):
            raise inputs.error(
                f"says that text {text} has {len(keys)} tokens; it has {len(query[rows])} queries",
                *LENGTHS,
                hint="the length of a text includes its new tokens",
            )
        texts.append(Text(query[rows], keys, values, None if out is None else out[rows]))
    texts = [text for text in texts if len(text.q)]
    if not texts:
        raise inputs.error("gives every text 0 tokens: there is nothing to compute", *LENGTHS)
    inputs.check(texts)
    return texts


def output_of(inputs: Inputs, query: Array) -> Array | None:
    """[n_token, n_head, d_v], of that or with the heads side by side."""
    out = inputs.get("context")
    if out is None:
        return None
    n_token, n_head = query.shape[:2]
    if out.ndim == 0 or len(out) != n_token or out.size % (n_token * n_head):
        raise inputs.error(
            f"has the shape {list(out.shape)}; expected [{n_token}, {n_head}, d_v]", "context"
        )
    return out.reshape(n_token, n_head, -1)


def _starts(inputs: Inputs, n_token: int, n_text: int) -> Array:
    """Where the queries of each text begin, and where the last ones end: [n_text + 1]."""
    if inputs.has("cu_q"):
        starts = inputs.lengths("[n_batch + 1]", "cu_q")
    elif inputs.has(*LENGTHS):  # lengths of the keys, and then of the queries
        starts = np.concatenate([[0], np.cumsum(inputs.lengths("[n_batch]", "lengths"))])
    elif n_text and n_token % n_text == 0:
        starts = np.arange(n_text + 1) * (n_token // n_text)
    else:
        raise AttnvizError(
            f"{inputs.dump.where}: {n_token} queries are not as many for each of {n_text} texts",
            f"save where each text's queries begin: {inputs.name('cu_q')} [n_batch + 1]",
        )
    fits = starts.shape == (n_text + 1,) and starts[0] == 0 and starts[-1] == n_token
    if not fits or (np.diff(starts) < 0).any():
        raise AttnvizError(
            f"{inputs.dump.where}: the queries of the {n_text} texts begin at {brief(starts)}; "
            f"expected {n_text + 1} numbers from 0 to {n_token} that never fall",
            f"see {inputs.name('cu_q') if inputs.has('cu_q') else inputs.name('lengths')}",
        )
    return starts


def alibi(slopes: Array, n_q: int, n_k: int) -> Array:
    """The bias -m_h · distance, [n_head, n_q, n_k]; the last query stands at the last key."""
    distance = np.abs(np.arange(n_q)[:, None] + n_k - n_q - np.arange(n_k))
    return np.asarray(-np.asarray(slopes, np.float64).reshape(-1, 1, 1) * distance)


__all__ = ["alibi", "cache_of", "gathered", "output_of", "texts_of", "vllm_conventions"]
