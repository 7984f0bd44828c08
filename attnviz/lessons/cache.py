"""The key/value cache: decoding without computing the same keys twice, and where to keep them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.kv_memory import (
    BLOCK_SIZE,
    OPT_13B,
    OPT_13B_KIB,
    PUBLISHED,
    PUBLISHED_PAGED,
    SHAPES,
    SHAREGPT,
    measured_bytes,
    policies,
    published_share,
    reserve_blocks,
    used_share,
)
from attnviz.language import say
from attnviz.lessons.kit import (
    Claim,
    Lesson,
    Try,
    check_count,
    check_size,
    largest_difference,
    prose,
)
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import as_input, read_text
from attnviz.nn.blocks import BlockPool
from attnviz.nn.cache import ContiguousCache
from attnviz.nn.multi_head import RecordNothing
from attnviz.nn.paged import PagedCache
from attnviz.tokens import Tokens
from attnviz.trace.generation import Generated
from attnviz.views.kinds import Curves, Table, Text, Value, View

TITLE = "The key/value cache: nothing is computed twice"
QUESTION = "How does a model avoid recomputing the whole text?"
AFTER = "image"
GROUP = "practice"
ALSO = ("kv", "kv-cache", "paged", "paged-attention", "vllm", "decoding", "generation", "inference")
INTUITION = (
    "Imagine writing the summary of a book and reading the book from page one again before each "
    "new word. It is faster to take notes. Keys and values are a decoder's notes: it only looks "
    "back, so those of earlier tokens never change, and each step computes one new row of "
    "attention instead of all rows. A paged cache keeps the notes in a ring binder: it adds a "
    "sheet when the last one is full, and two texts that begin alike share their sheets."
)

ALLOWED = 1e-6
TOLERANCE = 0.03
"""They publish the mean lengths only; how lengths are spread is an assumption of ours."""

N_CONTINUED = 2
"""Tokens that each of two texts reads after they have parted."""


class State(NamedTuple):
    """A paged cache after a step of decoding."""

    table: tuple[int, ...]
    n_token: int
    n_empty: int


class Decoded(NamedTuple):
    """The same text, continued in three ways."""

    without: Generated
    contiguous: Generated
    paged: Generated
    states: tuple[State, ...]
    """Of the paged cache, after each step."""


class Forked(NamedTuple):
    """Two sequences that began as one, after each has read tokens of its own."""

    pool: BlockPool
    before: tuple[int, ...]
    """The table of both."""
    texts: tuple[Tokens, Tokens]
    caches: tuple[PagedCache, PagedCache]
    error: float
    """By how much their outputs differ from those of the texts read alone."""


def lesson(*, text: str = "abcdefgabc", tokens: int = 5, block_size: int = 4) -> Lesson:
    """What has a decoder to compute for one more token, and where does it keep the rest?"""
    check_size("tokens", tokens, 1, 32)
    check_size("block_size", block_size, 1, 64)
    model = load_model("induction", {"dtype": "float64"})
    source = read_text(model, text)
    check_count("text", len(source), "tokens", 1, 64)
    decoded = _decode(model, source, tokens, block_size)
    forked = _fork(model, decoded.paged)
    views = (
        _work_table(decoded),
        *_paged_views(decoded, block_size),
        *_forked_views(forked),
        *_memory_views(),
    )
    return Lesson(views, (*_claims(decoded, forked), *_memory_claims()))


def _decode(model: Model, source: Tokens, max_tokens: int, block_size: int) -> Decoded:
    paged = PagedCache(BlockPool(len(source) + max_tokens + 2 * N_CONTINUED, block_size))
    states: list[State] = []

    def note(done: int, total: int) -> None:
        states.append(State(paged.table, paged.n_token, paged.n_empty))

    stages = ("weights",)
    return Decoded(
        generate(model, source, max_tokens=max_tokens, stages=stages, cache=None),
        generate(model, source, max_tokens=max_tokens, stages=stages, cache=ContiguousCache),
        generate(
            model, source, max_tokens=max_tokens, stages=stages, cache=lambda: paged, progress=note
        ),
        tuple(states),
    )


def _fork(model: Model, generated: Generated) -> Forked:
    """One goes on with the token that was written, the other with the text's last one; they take
    turns, so that each would meet what the other has done to it."""
    first = generated.cache
    assert isinstance(first, PagedCache)
    before, second = first.table, first.fork()
    read, take = generated.read, model.tokenizer.take
    continuations = (take(generated.written.ids[-1:]), take(read.ids[-1:]))
    texts, caches, errors = [read, read], (first, second), []
    for step in range(2 * N_CONTINUED):
        which = step % 2
        new = as_input(model, continuations[which])._replace(first=len(texts[which]))
        row = model.transformer.decode(new, None, RecordNothing(), cache=caches[which])
        texts[which] = texts[which].followed_by(continuations[which])
        alone = model.transformer.decode(as_input(model, texts[which]), None, RecordNothing())
        errors.append(largest_difference(row[-1], alone[-1]))
    return Forked(first.pool, before, (texts[0], texts[1]), caches, float(np.max(errors)))


def _difference(generated: Generated, without: Generated) -> float:
    """The largest difference of the weights of all steps. Without a cache a step computes all
    rows; those that are new stand last."""
    errors = [0.0]
    for step, reference in zip(generated.steps, without.steps, strict=True):
        for new, old in zip(step.records, reference.records, strict=True):
            rows = new.stage("weights")
            errors.append(largest_difference(rows, old.stage("weights")[:, -rows.shape[1] :]))
    return float(np.max(errors))


def _work(generated: Generated) -> list[tuple[int, int]]:
    """Of each step, the tokens that passed through the model, and the scores of one head."""
    shapes = [step.records[0].stage("weights").shape for step in generated.steps]
    return [(n_q, n_q * n_k) for _, n_q, n_k in shapes]


def _work_table(decoded: Decoded) -> Table:
    pairs = zip(_work(decoded.contiguous), _work(decoded.without), strict=True)
    rows: list[tuple[Value, ...]] = [
        (step, label, *(number for pair in zip(cached, uncached, strict=True) for number in pair))
        for step, (label, (cached, uncached)) in enumerate(
            zip(decoded.without.written.labels, pairs, strict=True)
        )
    ]
    return Table(
        say("what each step computes"),
        (
            say("step"),
            say("writes"),
            say("tokens, cached"),
            say("tokens, uncached"),
            say("scores, cached"),
            say("scores, uncached"),
        ),
        tuple(rows),
        (
            say("tokens: how many pass through the model; scores: how many one head computes"),
            say("the model `induction` reads {text}", text=_text(decoded.without.read)),
        ),
    )


def _paged_views(decoded: Decoded, block_size: int) -> tuple[Text, Table]:
    rows: list[tuple[Value, ...]] = []
    for step, state in enumerate(decoded.states):
        block, slot = state.table[-1], (state.n_token - 1) % block_size
        rows.append((step, state.n_token, f"{block}.{slot}", _numbers(state.table), state.n_empty))
    return (
        prose(
            say(
                "A contiguous cache reserves one piece of memory for each text, as long as the "
                "text may ever become. A paged cache takes small blocks as it needs them, here of "
                "{size} tokens each, and lists their numbers in a block table: token i is in "
                "block table[i // {size}]. Attention reads the same numbers, only from other "
                "places.",
                size=block_size,
            )
        ),
        Table(
            say("the block table grows"),
            (
                say("step"),
                say("tokens cached"),
                say("last token at block.slot"),
                say("block table"),
                say("free slots"),
            ),
            tuple(rows),
        ),
    )


def _forked_views(forked: Forked) -> tuple[Text, Table]:
    names = ("A", "B")
    size = forked.pool.block_size
    rows: list[tuple[Value, ...]] = []
    for block in sorted({block for cache in forked.caches for block in cache.table}):
        holders = [name for name, cache in zip(names, forked.caches, strict=True)
                   if block in cache.table]  # fmt: skip
        which = names.index(holders[0])
        start = forked.caches[which].table.index(block) * size
        rows.append((block, " ".join(holders), _text(forked.texts[which], start, start + size)))
    both = sum(len(cache.table) for cache in forked.caches)
    return (
        prose(
            say(
                "Now a second text, B, starts out identical to A: it copies A's block table "
                "({table}), but not a single key. Then A and B take turns reading {own} tokens of "
                "their own. If the first new token falls into a block that both hold, A, which "
                "writes first, gets its own copy of that block (copy-on-write).",
                own=N_CONTINUED,
                table=_numbers(forked.before),
            )
        ),
        Table(
            say("blocks of A and B"),
            (say("block"), say("held by"), say("contents")),
            tuple(rows),
            (
                say(
                    "{used} blocks instead of {both}: what A and B share is stored once",
                    used=forked.pool.n_used,
                    both=both,
                ),
            ),
        ),
    )


def _claims(decoded: Decoded, forked: Forked) -> tuple[Claim, ...]:
    errors = [_difference(each, decoded.without) for each in (decoded.contiguous, decoded.paged)]
    cached, uncached = (
        sum(n for n, _ in _work(each)) for each in (decoded.contiguous, decoded.without)
    )
    empty = [state.n_empty for state in decoded.states]
    empty += [cache.n_empty for cache in forked.caches]
    size = forked.pool.block_size
    return (
        Claim(
            say(
                "With a cache, contiguous or paged, all weights are the same as without one, to "
                "1e-6"
            ),
            say("largest difference {one:.1g} and {other:.1g}", one=errors[0], other=errors[1]),
            max(errors) <= ALLOWED,
        ),
        Claim(
            say("With a cache, each token passes through the model once"),
            say("{kept} tokens with a cache, {anew} without", kept=cached, anew=uncached),
            cached == len(decoded.without.read),
        ),
        Claim(
            say("A text wastes less than one block"),
            say("at most {empty} of {size} slots free", empty=max(empty), size=size),
            max(empty) < size,
        ),
        Claim(
            say("Two texts that share blocks get the same outputs as each does alone, to 1e-6"),
            say("largest difference {error:.1g}", error=forked.error),
            forked.error <= ALLOWED,
        ),
    )


def _memory_views() -> tuple[View, ...]:
    return (
        prose(
            say(
                "How much of the reserved memory actually holds tokens? Assume prompts of "
                "{prompt} tokens and answers of {answer:.0f} tokens on average, with exponentially "
                "distributed lengths, and at most {longest} tokens in total. The means are those "
                "of ShareGPT in Kwon et al. 2023; the distribution is our assumption.",
                prompt=SHAREGPT.prompt,
                answer=SHAREGPT.answer,
                longest=SHAREGPT.max_length,
            )
        ),
        _policies_table(),
        _reserved_curves(),
        _bytes_table(),
    )


def _policies_table() -> Table:
    shares = _shares()
    reserved = {
        "Max": say("the longest possible request"),
        "Pow2": say("the answer's length, rounded up to a power of two"),
        "Oracle": say("exactly the final length, if it were known in advance"),
        "paged": say("blocks of {size} tokens, as needed", size=BLOCK_SIZE),
    }
    rows: list[tuple[Value, ...]] = [
        (
            name,
            reserved[name],
            _percent(shares[name]),
            _percent(published_share(name)),
            f"{parts[0]} %",
        )
        for name, parts in PUBLISHED.items()
    ]
    rows.append(
        ("paged", reserved["paged"], _percent(shares["paged"]), None, f"{PUBLISHED_PAGED} %")
    )
    return Table(
        say("how much of the memory holds tokens"),
        (
            say("policy"),
            say("reserves"),
            say("computed"),
            say("published"),
            say("of all memory"),
        ),
        tuple(rows),
        (
            say(
                "computed, published: share of the reserved memory, by our assumptions and by "
                "Kwon et al. 2023, figure 2; of all memory: also counts gaps between reservations "
                "that are too small to use"
            ),
        ),
    )


def _reserved_curves() -> Curves:
    lengths = np.arange(1, 4 * BLOCK_SIZE + 1)
    in_blocks = lengths / reserve_blocks(BLOCK_SIZE)(SHAREGPT, 0, lengths)
    return Curves(
        say("share of the reserved memory in use, as a text grows"),
        lengths,
        say("tokens in the text"),
        (
            (say("reserve the maximum"), lengths / SHAREGPT.max_length),
            (say("blocks of {size}", size=BLOCK_SIZE), in_blocks),
        ),
        say("share"),
    )


def _bytes_table() -> Table:
    rows = tuple(
        (name, s.n_layer, s.n_kv_head, s.d_head, s.n_byte / 2**10) for name, s in SHAPES.items()
    )
    return Table(
        say("cache memory per token"),
        (
            say("model"),
            say("layers"),
            say("key/value heads"),
            say("head width"),
            say("KiB per token"),
        ),
        rows,
        (
            say(
                "KiB per token: 2 (key and value) × layers × key/value heads × head width × 2 "
                "bytes / 1024"
            ),
            say(
                "one key/value head per query head: multi-head (MHA); one per group of query "
                "heads: grouped-query (GQA); one for all: multi-query attention (MQA)"
            ),
        ),
    )


def _memory_claims() -> tuple[Claim, ...]:
    shares = _shares()
    worst = max(abs(shares[name] - published_share(name)) for name in PUBLISHED)
    of_all = [parts[0] for parts in PUBLISHED.values()]
    measured = measured_bytes(OPT_13B) / 2**10
    return (
        Claim(
            say(
                "The assumptions reproduce the published shares of Max, Pow2 and Oracle ({low:g} "
                "to {high:g} % of all memory) to within {near:.0%} of the reserved memory",
                low=min(of_all),
                high=max(of_all),
                near=TOLERANCE,
            ),
            say("largest difference {error:.1%}", error=worst),
            worst <= TOLERANCE,
        ),
        Claim(
            say("With blocks, more than 96 % of the reserved memory holds tokens"),
            _percent(shares["paged"]),
            shares["paged"] > 0.96,
        ),
        Claim(
            say("One token of OPT-13B takes {size} KiB in half precision", size=OPT_13B_KIB),
            say("{size:g} KiB, counted in a real cache of this shape", size=measured),
            measured == OPT_13B_KIB == OPT_13B.n_byte / 2**10,
        ),
    )


def _shares() -> dict[str, float]:
    """By policy, the share of the reserved memory that holds tokens."""
    return {name: used_share(SHAREGPT, reserve) for name, reserve in policies(BLOCK_SIZE).items()}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _numbers(blocks: tuple[int, ...]) -> str:
    return " ".join(map(str, blocks))


def _text(tokens: Tokens, start: int = 0, stop: int | None = None) -> str:
    return " ".join(tokens.labels[start:stop])


TRY = (
    Try(
        "attnviz learn cache:tokens=32",
        "42 tokens pass through the model with a cache, 848 without: without one, the work grows "
        "with the square of the length.",
    ),
    Try(
        "attnviz learn cache:block_size=1",
        "No slot is ever free, but the block table needs an entry for every token.",
    ),
)
NEXT = ("caveats",)
