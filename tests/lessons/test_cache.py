"""The key/value cache: what is shown is what the caches did."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz.analysis import kv_memory
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.lessons import cache
from attnviz.nn.blocks import BlockPool
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.paged import PagedCache
from attnviz.views.kinds import Table


def table(lesson, title):
    (found,) = (v for v in lesson.views if isinstance(v, Table) and v.title == title)
    return found


@settings(max_examples=10, deadline=None)
@given(
    text=st.text("abcdefgh", min_size=1, max_size=20),
    tokens=st.integers(1, 6),
    block_size=st.integers(1, 8),
)
def test_claims_hold_and_tables_count(take, text, tokens, block_size):
    lesson = take("cache", text=text, tokens=tokens, block_size=block_size)
    assert all(claim.holds for claim in lesson.claims)
    n_given = 1 + len(text)  # [BOS] comes first
    work = table(lesson, "what each step computes").rows
    assert [row[2] for row in work] == [n_given] + [1] * (tokens - 1)
    assert [row[3] for row in work] == list(range(n_given, n_given + tokens))
    assert [row[5] for row in work] == [n**2 for n in range(n_given, n_given + tokens)]
    for row in table(lesson, "the block table grows").rows:
        n_block = -(-row[1] // block_size)
        assert row[3] == " ".join(map(str, range(n_block)))
        assert row[4] == n_block * block_size - row[1]
    blocks = table(lesson, "blocks of A and B").rows
    for name in "AB":
        own = " ".join(row[2] for row in sorted_by_text(blocks, name))
        assert own.split()[0] == "[BOS]"
        assert own.split()[1:n_given] == list(text)
        assert len(own.split()) == n_given + tokens - 1 + cache.N_CONTINUED


def sorted_by_text(rows, name):
    """The blocks that a text holds, shared ones first, as they stand in its table."""
    own = [row for row in rows if name in row[1].split()]
    return sorted(own, key=lambda row: (row[1] != "A B", row[0]))


def test_the_blocks_by_hand(take):
    assert table(take("cache"), "blocks of A and B").rows == (
        (0, "A B", "[BOS] a b c"),
        (1, "A B", "d e f g"),
        (2, "A B", "a b c d"),
        (3, "B", "e f g g"),
        (4, "A", "e f g a"),
        (5, "A", "a"),
        (6, "B", "g"),
    )


def test_bytes_of_known_models(take):
    """The sizes that the models' own papers or configs give."""
    rows = {row[0]: row[4] for row in table(take("cache"), "cache memory per token").rows}
    assert rows["Llama-2-7B"] * 4096 / 2**20 == 2  # GiB at its full length
    assert rows["Llama-3-8B"] == 128
    assert rows["Falcon-7B"] == 8
    assert rows["OPT-13B"] / rows["OPT-13B, GQA"] == 5


def holds(take):
    return [claim.holds for claim in take("cache").claims]


def test_a_cache_that_forgets_is_found(take, monkeypatch):
    def forget(self, id, k, v):
        return k, v

    monkeypatch.setattr(ContiguousCache, "extend", forget)
    assert holds(take)[0] is False


def test_a_cache_that_mixes_tokens_up_is_found(take, monkeypatch):
    right = PagedCache._gather
    monkeypatch.setattr(
        PagedCache, "_gather", lambda self, array, total: right(self, array, total)[:, ::-1]
    )
    assert holds(take) == [False, True, True, False, True, True, True]


def test_writing_without_copying_is_found(take, monkeypatch):
    """Of a block that both hold, the second to write overwrites what the first wrote."""
    monkeypatch.setattr(BlockPool, "holders", lambda self, block: 1)
    assert holds(take) == [True, True, True, False, True, True, True]


def test_a_wasteful_cache_is_found(take, monkeypatch):
    right = PagedCache._own

    def generous(self, start, stop):
        right(self, start, stop)
        self._table += self.pool.take(1)

    monkeypatch.setattr(PagedCache, "_own", generous)
    monkeypatch.setattr(cache, "BlockPool", lambda n, size: BlockPool(99, size))
    monkeypatch.setattr(kv_memory, "BlockPool", lambda n, size: BlockPool(99, size))
    assert holds(take)[2] is False


def test_other_assumptions_are_found(take, monkeypatch):
    monkeypatch.setattr(cache, "SHAREGPT", cache.SHAREGPT._replace(max_length=4096))
    assert holds(take)[4] is False
    monkeypatch.setattr(cache, "BLOCK_SIZE", 64)
    assert holds(take)[5] is False
    monkeypatch.setattr(cache, "OPT_13B", cache.OPT_13B._replace(n_layer=41))
    assert holds(take)[6] is False


def test_the_command_says_so(capsys, monkeypatch):
    monkeypatch.setattr(cache, "OPT_13B_KIB", 801)
    assert run_cli(["learn", "cache"]) == 1
    assert "NO" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": 0}, "tokens: expected 1 to 32"),
        ({"block_size": 65}, "block_size: expected 1 to 64"),
        ({"text": "ab" * 40}, "text: expected 1 to 64 tokens, got 81"),
    ],
)
def test_sizes_that_do_not_fit(take, options, message):
    with pytest.raises(AttnvizError, match=message):
        take("cache", **options)


def test_what_to_expect_of_more_tokens_and_of_tiny_blocks(take):
    assert take("cache", tokens=32).claims[1].measured == "42 tokens with a cache, 848 without"
    rows = table(take("cache", block_size=1), "the block table grows").rows
    assert {row[-1] for row in rows} == {0}
    assert [len(row[3].split()) for row in rows] == [row[1] for row in rows]
