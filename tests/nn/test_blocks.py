"""Blocks of memory: taken, shared, freed, copied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.nn.blocks import BlockPool


@given(st.lists(st.tuples(st.sampled_from(["take", "hold", "release"]), st.integers(0, 10**6))))
def test_a_block_is_free_when_no_table_names_it(steps):
    """Against plain counting."""
    pool, holders = BlockPool(7, 3), dict.fromkeys(range(7), 0)
    for what, number in steps:
        used = [block for block, count in holders.items() if count]
        if what == "take":
            count = number % 4
            lowest = [block for block in range(7) if not holders[block]][:count]
            if len(lowest) < count:
                with pytest.raises(
                    AttnvizError, match=f"needed: {count}, free: {len(lowest)} of 7"
                ):
                    pool.take(count)
                continue
            assert sorted(pool.take(count)) == lowest
            holders |= dict.fromkeys(lowest, 1)
        elif used:
            block = used[number % len(used)]
            {"hold": pool.hold, "release": pool.release}[what]([block])
            holders[block] += 1 if what == "hold" else -1
        assert [pool.holders(block) for block in range(7)] == list(holders.values())
        assert pool.n_used == 7 - pool.n_free == sum(count > 0 for count in holders.values())


def test_one_table_of_blocks_serves_every_attention():
    pool = BlockPool(5, 2)
    keys, values = pool.pair("decoder.0.self", np.ones((3, 1, 7)), np.ones((3, 1, 11)))
    assert (keys.shape, values.shape) == ((5, 3, 2, 7), (5, 3, 2, 11))
    other, _ = pool.pair("decoder.1.self", np.ones((3, 1, 7)), np.ones((3, 1, 11)))
    assert pool.pair("decoder.0.self", np.ones((3, 9, 7)), np.ones((3, 9, 11)))[0] is keys
    keys[1], other[1] = 2, 3
    pool.copy(1, 4)
    assert (keys[4] == 2).all()
    assert (other[4] == 3).all()
    assert (keys[0] == 0).all()
    assert pool.n_byte == 2 * 8 * 5 * 3 * 2 * (7 + 11)


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (-1, 3)])
def test_a_pool_has_blocks_and_a_block_has_tokens(sizes):
    with pytest.raises(AttnvizError, match="a cache of"):
        BlockPool(*sizes)
