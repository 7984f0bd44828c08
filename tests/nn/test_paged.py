"""A paged cache finds the same numbers in other places, whatever is taken, freed and forked."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.nn.attention import attend
from attnviz.nn.blocks import BlockPool
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import RecordNothing
from attnviz.nn.paged import PagedCache

SITES = ("decoder.0.self", "decoder.1.self")
N_BLOCK = 11


def pairs(generator, n):
    return generator.normal(size=(2, n, 5)), generator.normal(size=(2, n, 7))


class Sequences(RuleBasedStateMachine):
    """Paged sequences beside plain lists of their keys and values."""

    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(0)
        self.pool = BlockPool(N_BLOCK, 3)
        self.paged, self.plain = [], []

    @rule()
    def begin(self):
        self.paged.append(PagedCache(self.pool))
        self.plain.append({id: pairs(self.generator, 0) for id in SITES})

    @precondition(lambda self: self.paged)
    @rule(which=st.integers(0), n=st.integers(1, 8))
    def extend(self, which, n):
        which %= len(self.paged)
        paged, plain = self.paged[which], self.plain[which]
        needed = self.needed(paged, n)
        if needed > self.pool.n_free:
            message = f"needed: {needed}, free: {self.pool.n_free} of {N_BLOCK}"
            with pytest.raises(AttnvizError, match=message):
                paged.extend(SITES[0], *pairs(self.generator, n))
            return
        free = self.pool.n_free
        for id in SITES:
            new = pairs(self.generator, n)
            plain[id] = tuple(
                np.concatenate([a, b], 1) for a, b in zip(plain[id], new, strict=True)
            )
            found = paged.extend(id, *new)
            self.compare(found, plain[id])
        assert free - self.pool.n_free == needed

    @precondition(lambda self: self.paged)
    @rule(which=st.integers(0))
    def fork(self, which):
        which %= len(self.paged)
        used = self.pool.n_used
        self.paged.append(self.paged[which].fork())
        self.plain.append(dict(self.plain[which]))
        assert self.pool.n_used == used

    @precondition(lambda self: self.paged)
    @rule(which=st.integers(0))
    def free(self, which):
        which %= len(self.paged)
        self.paged.pop(which).free()
        self.plain.pop(which)

    def needed(self, paged, n):
        """Blocks that n more tokens take: a copy of the last one if it is shared and not full."""
        size, old = self.pool.block_size, paged.n_token
        copy = old % size != 0 and self.tables()[paged.table[-1]] > 1
        return -(-(old + n) // size) - -(-old // size) + copy

    def tables(self):
        return Counter(block for paged in self.paged for block in paged.table)

    @invariant()
    def every_block_is_counted(self):
        held = self.tables()
        assert self.pool.n_used == len(held)
        for block in range(N_BLOCK):
            assert self.pool.holders(block) == held[block]

    @invariant()
    def waste_is_less_than_a_block(self):
        for paged in self.paged:
            assert 0 <= paged.n_empty < self.pool.block_size

    @invariant()
    def nobody_else_s_numbers_changed(self):
        """Read back without writing: an extension by no token."""
        for paged, plain in zip(self.paged, self.plain, strict=True):
            for id in SITES:
                if paged.n_token:
                    self.compare(paged.extend(id, *pairs(self.generator, 0)), plain[id])

    def compare(self, found, plain):
        for ours, theirs in zip(found, plain, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if found[0].shape[1]:
            q = self.generator.normal(size=(4, 1, 5))
            np.testing.assert_array_equal(attend(q, *found).context, attend(q, *plain).context)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_what_is_copied_on_writing(generator):
    """Blocks [0 full, 1 half]: a fork shares both; who writes first gets a copy of the second."""
    pool = BlockPool(8, 4)
    first = PagedCache(pool)
    first.extend("a", *pairs(generator, 6))
    second = first.fork()
    assert (first.table, second.table, pool.n_used) == ((0, 1), (0, 1), 2)
    second.extend("a", *pairs(generator, 1))
    assert (first.table, second.table, pool.n_used) == ((0, 1), (0, 2), 3)
    first.extend("a", *pairs(generator, 1))
    assert (first.table, pool.n_used) == ((0, 1), 3)
    first.free()
    assert (first.table, first.n_token, pool.n_used) == ((), 0, 2)
    third = PagedCache(pool)
    third.extend("a", *pairs(generator, 9))
    assert third.table == (1, 3, 4)


def test_an_encoder_s_keys_go_with_a_fork(generator):
    cache = PagedCache(BlockPool(1, 1))
    made = cache.once("x", lambda: pairs(generator, 3))
    np.testing.assert_array_equal(cache.fork().once("x", lambda: pairs(generator, 3))[0], made[0])


def test_bytes_of_all_attentions(generator):
    pool = BlockPool(5, 3)
    cache = PagedCache(pool)
    for id in SITES:
        cache.extend(id, *pairs(generator, 2))
    assert pool.n_byte == 5 * 3 * 2 * (2 * 5 + 2 * 7) * 8


@pytest.mark.parametrize("pieces", [[7], [1] * 7, [3, 1, 3]])
@pytest.mark.parametrize("block_size", [1, 2, 5, 16])
def test_decoding_is_the_same_to_the_last_bit(pieces, block_size):
    model = load_model("random:kind=encoder-decoder,positions=rope,kv_heads=2")
    transformer, ids = model.transformer, np.arange(7)
    memory = transformer.encode(Input(np.arange(5)), RecordNothing())
    contiguous, paged, start = ContiguousCache(), PagedCache(BlockPool(9, block_size)), 0
    for size in pieces:
        part = Input(ids[start : start + size], first=start)
        rows = [
            transformer.decode(part, memory, RecordNothing(), cache=cache)
            for cache in (contiguous, paged)
        ]
        np.testing.assert_array_equal(*rows)
        start += size
