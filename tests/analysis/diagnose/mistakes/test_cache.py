"""Each mistake with a cache against a cache that is filled and read by loops."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose import mistakes  # noqa: F401
from attnviz.analysis.diagnose.computation import computation, compute
from attnviz.analysis.diagnose.facts import Facts, Paged
from attnviz.analysis.diagnose.masking import Masking
from attnviz.analysis.diagnose.mistakes.cache import likely_keys, slots_of
from attnviz.analysis.diagnose.registry import MISTAKES
from tests.analysis.diagnose.mistakes.planted import (
    arrays,
    attend,
    causal,
    check_gives,
    check_rows,
    random,
    variants,
    wanted,
)

CACHE = [name for name in MISTAKES if MISTAKES[name].family == "cache"]
B, H, N_Q, N_K, D = 3, 2, 5, 11, 10


def decoding(**more):
    return wanted(b=B, h=H, n_q=N_Q, n_k=N_K, causal=True, **more)


SEEN = causal(N_Q, N_K)


@pytest.mark.parametrize("key", [0, 4, N_K - 1])
def test_key_left_out(key):
    c = decoding()
    keys = [j for j in range(N_K) if j != key]
    expected = attend(c.q, c.k[:, :, keys], c.v[:, :, keys], SEEN[:, keys])
    check_gives("key_left_out", c, expected, key=key)


def test_the_newest_key_of_each_text_left_out():
    """context_len - 1 keys, of texts of different lengths."""
    c = paged()
    seen = np.arange(N_K) < LENGTHS[:, None] - 1
    expected = attend(c.q, c.k, c.v, seen[:, None, None])
    check_gives("key_left_out", c, expected, key="length - 1")


def test_each_key_is_tried_where_they_are_few():
    assert sorted(likely_keys(decoding())) == list(range(N_K))
    many = likely_keys(wanted(b=1, h=1, n_q=3, n_k=211, d=2))
    assert {0, 210, 207, 208, 15, 16, 64, 128, 192} <= set(many)
    assert len(many) < 20


@pytest.mark.parametrize("what", ["k, v", "k", "v"])
def test_slot_never_written(what):
    c = decoding()
    k, v = c.k.copy(), c.v.copy()
    for role, x in (("k", k), ("v", v)):
        if role in what:
            x[:, :, -1] = 0
    check_gives("slot_never_written", c, attend(c.q, k, v, SEEN), key=N_K - 1, what=what)


def test_key_counted_twice():
    c = decoding()
    keys = [*range(N_K), 3]
    expected = attend(c.q, c.k[:, :, keys], c.v[:, :, keys], SEEN[:, keys])
    check_gives("key_counted_twice", c, expected, key=3)
    past = [*range(6), *range(N_K)]
    expected = attend(c.q, c.k[:, :, past], c.v[:, :, past], SEEN[:, past])
    check_gives("key_counted_twice", c, expected, key="0 … 5")


def test_slot_of_another_token():
    """The newest token is written over the one before it."""
    c = decoding()
    k, v = c.k.copy(), c.v.copy()
    for x in (k, v):
        x[:, :, N_K - 2] = x[:, :, N_K - 1]
    expected = attend(c.q, k, v, SEEN)
    check_gives("slot_of_another_token", c, expected, key=N_K - 2, token=N_K - 1)


@pytest.mark.parametrize(("first", "last"), [(6, 10), (0, 5), (0, 8), (4, 10)])
def test_part_of_the_cache(first, last):
    c = decoding()
    part = slice(first, last + 1)
    expected = attend(c.q, c.k[:, :, part], c.v[:, :, part], SEEN[:, part])
    check_gives("part_of_the_cache", c, expected, first=first, last=last)


def test_new_keys_before_the_cached():
    c = decoding()
    k, v = (np.concatenate([x[:, :, 6:], x[:, :, :6]], axis=2) for x in (c.k, c.v))
    check_gives("new_keys_before_the_cached", c, attend(c.q, k, v, SEEN))
    free = wanted(n_q=N_Q, n_k=N_K)
    assert not variants("new_keys_before_the_cached", free), "the order does not matter"


@pytest.mark.parametrize("arrays_", ["k, v", "k", "v"])
@pytest.mark.parametrize(("items", "order"), [("b + 1", [1, 2, 0]), ("0", [0, 0, 0])])
def test_cache_of_another_item(arrays_, items, order):
    c = decoding()
    k = c.k[order] if "k" in arrays_ else c.k
    v = c.v[order] if "v" in arrays_ else c.v
    expected = attend(c.q, k, v, SEEN)
    check_gives("cache_of_another_item", c, expected, items=items, arrays=arrays_)


# in blocks

SIZE, N_BLOCK = 4, 13
TABLES = np.array([[7, 2, 11], [0, 9, 4], [5, 12, 1]])
LENGTHS = np.array([11, 10, 11])


def paged():
    """One query a text, as when decoding; the second text is one token shorter."""
    keys, values = random(N_BLOCK, SIZE, H, D, seed=8), random(N_BLOCK, SIZE, H, D, seed=9)
    k, v = (gather(x, lambda b, t: (TABLES[b][t // SIZE], t % SIZE)) for x in (keys, values))
    real = np.arange(N_K) < LENGTHS[:, None]
    facts = Facts(paged=Paged(keys, values, TABLES, LENGTHS))
    q = arrays(b=B, h=H, n_q=1, d=D)[0]
    return computation(q, k, v, masking=Masking(keys=real[:, None, None]), facts=facts)


def gather(memory, where, n=N_K):
    """[n_batch, head, n, d]: token t of text b from block and slot `where(b, t)`."""
    out = np.zeros((B, memory.shape[2], n, memory.shape[3]))
    for b, t in np.ndindex(B, n):
        block, slot = where(b, t)
        out[b, :, t] = memory[block, slot]
    return out


def read(c, where, roles="kv", n=N_K, lengths=LENGTHS):
    memory = c.facts.paged
    k = gather(memory.keys, where, n) if "k" in roles else c.k
    v = gather(memory.values, where, n) if "v" in roles else c.v
    return attend(c.q, k, v, (np.arange(n) < lengths[:, None])[:, None, None])


def test_slots_of_a_block_table():
    c = paged()
    flat = c.facts.paged.keys.reshape(-1, H, D)
    assert np.array_equal(flat[slots_of(c.facts.paged, N_K)].swapaxes(1, 2), c.k)


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        ("t // block_size", lambda b, t: (t // SIZE, t % SIZE)),
        ("b · max_blocks + t // block_size", lambda b, t: (3 * b + t // SIZE, t % SIZE)),
        ("tables[0, t // block_size]", lambda b, t: (TABLES[0][t // SIZE], t % SIZE)),
        ("tables[b, 0]", lambda b, t: (TABLES[b][0], t % SIZE)),
        (
            "tables[b, 2i], tables[b, 2i] + 1",
            lambda b, t: (TABLES[b][t // (2 * SIZE) * 2] + t // SIZE % 2, t % SIZE),
        ),
    ],
)
def test_block_table_ignored(blocks, where):
    c = paged()
    for arrays_ in ("k, v", "v"):
        expected = read(c, where, arrays_.replace(", ", ""))
        check_gives("block_table_ignored", c, expected, blocks=blocks, arrays=arrays_)


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        (
            "tables[b, t // block_size + 1]",
            lambda b, t: (TABLES[b][min(t // SIZE + 1, 2)], t % SIZE),
        ),
        ("tables[b + 1, t // block_size]", lambda b, t: (TABLES[(b + 1) % 3][t // SIZE], t % SIZE)),
    ],
)
def test_one_block_off(blocks, where):
    c = paged()
    check_gives("one_block_off", c, read(c, where), blocks=blocks)


def test_the_next_block_of_the_memory():
    c = paged()

    def where(b, t):
        slot = min((TABLES[b][t // SIZE] + 1) * SIZE + t % SIZE, N_BLOCK * SIZE - 1)
        return slot // SIZE, slot % SIZE

    check_gives("one_block_off", c, read(c, where), blocks="tables[b, t // block_size] + 1")


@pytest.mark.parametrize("size", [2, 8])
def test_wrong_block_size(size):
    c = paged()

    def flat(slot):
        slot = min(slot, N_BLOCK * SIZE - 1)
        return slot // SIZE, slot % SIZE

    def entry(b, t):
        return TABLES[b][min(t // size, 2)]

    both = read(c, lambda b, t: flat(entry(b, t) * size + t % size))
    check_gives("wrong_block_size", c, both, size=size)
    table = read(c, lambda b, t: flat(entry(b, t) * SIZE + t % size))
    check_gives("wrong_block_size", c, table, size=size)


def test_stale_slots_of_the_last_block():
    c = paged()
    where = lambda b, t: (TABLES[b][t // SIZE], t % SIZE)  # noqa: E731
    expected = read(c, where, n=12, lengths=np.array([12, 12, 12]))
    check_gives("stale_slots_of_the_last_block", c, expected)


CASES = {
    "decoding": decoding,
    "all keys": lambda: wanted(n_q=N_Q, n_k=N_K),
    "a window": lambda: wanted(n_q=7, masking=Masking(causal=True, left=3)),
    "a mask": lambda: wanted(n_q=7, masking=Masking(custom=causal(7, 7) | (np.arange(7) == 2))),
    "paged": paged,
    "one key": lambda: wanted(n_q=1),
    "many keys": lambda: wanted(b=1, h=1, n_q=3, n_k=131, d=2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CACHE)
def test_some_rows_are_those_of_all(name, case):
    check_rows(name, CASES[case]())


@pytest.mark.parametrize("case", ["decoding", "paged"])
@pytest.mark.parametrize("name", CACHE)
def test_never_the_reference(name, case):
    c = CASES[case]()
    right = compute(c).context
    for each in MISTAKES[name].variants(c):
        made = compute(each.computation).context
        assert np.abs(made - right).max() > 1e-6, each.parameter
