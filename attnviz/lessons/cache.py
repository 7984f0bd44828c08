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
QUESTION = "How does a model write without computing all anew?"
AFTER = "sequence"
GROUP = "practice"
ALSO = ("kv", "kv-cache", "paged", "paged-attention", "vllm", "decoding", "generation", "inference")

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
        prose(
            say(
                "A decoder writes one token at a time. The keys and values of the tokens that it "
                "has read do not change when one more comes, so it keeps them: that is the "
                "key/value cache. Each step then computes one row, not all rows."
            )
        ),
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
            say("tokens, cache"),
            say("tokens, none"),
            say("scores, cache"),
            say("scores, none"),
        ),
        tuple(rows),
        (
            say("tokens that the model reads and scores of one head, with a cache and with none"),
            say("the model `induction` has read {text}", text=_text(decoded.without.read)),
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
                "A contiguous cache needs one piece of memory for each text, as long as the text "
                "may become. A paged cache takes small blocks when it needs them, here for {size} "
                "tokens each, and remembers their numbers in a table: token i is in block "
                "table[i // {size}]. The attention reads the same numbers from other places.",
                size=block_size,
            )
        ),
        Table(
            say("the block table grows"),
            (
                say("step"),
                say("tokens kept"),
                say("the last is in block.place"),
                say("block table"),
                say("empty places"),
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
                "Now a second text B begins as A does: it takes over A's table ({table}), and no "
                "key is copied. Then each in turn reads {own} tokens of its own. Where the first "
                "of them falls into a block that both hold, A, the first to write, gets a copy of "
                "the block (copy-on-write).",
                own=N_CONTINUED,
                table=_numbers(forked.before),
            )
        ),
        Table(
            say("blocks of A and B"),
            (say("block"), say("held by"), say("tokens in it")),
            tuple(rows),
            (
                say(
                    "{used} blocks instead of {both}: what is the same is kept once",
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
            say("With a cache, contiguous or paged, all weights are those without, to 1e-6"),
            say("largest difference {one:.0e} and {other:.0e}", one=errors[0], other=errors[1]),
            max(errors) <= ALLOWED,
        ),
        Claim(
            say("With a cache the model reads each token once"),
            say("{kept} tokens read, {anew} without", kept=cached, anew=uncached),
            cached == len(decoded.without.read),
        ),
        Claim(
            say("A text wastes less than one block"),
            say("at most {empty} empty places of {size}", empty=max(empty), size=size),
            max(empty) < size,
        ),
        Claim(
            say("Two texts that share blocks get what each gets alone, to 1e-6"),
            say("largest difference of their outputs {error:.0e}", error=forked.error),
            forked.error <= ALLOWED,
        ),
    )


def _memory_views() -> tuple[View, ...]:
    return (
        prose(
            say(
                "How much of the memory that is set aside holds tokens? The assumptions here: "
                "prompts of {prompt} tokens, answers of {answer:g} on average with exponentially "
                "spread lengths, at most {longest} together. The means are those of ShareGPT "
                "in Kwon et al. 2023; the spread is ours.",
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
        "Max": say("the longest request there may be"),
        "Pow2": say("the next power of two of the answer's length"),
        "Oracle": say("what it will have in the end, if one knew"),
        "paged": say("blocks of {size} tokens, as they are needed", size=BLOCK_SIZE),
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
        say("memory that holds tokens"),
        (
            say("policy"),
            say("what is reserved"),
            say("computed"),
            say("published"),
            say("of all memory"),
        ),
        tuple(rows),
        (
            say(
                "computed, of what is reserved; published by Kwon et al. 2023, figure 2: the "
                "memory between two reservations, which is too small for a third, counts too"
            ),
        ),
    )


def _reserved_curves() -> Curves:
    lengths = np.arange(1, 4 * BLOCK_SIZE + 1)
    in_blocks = lengths / reserve_blocks(BLOCK_SIZE)(SHAREGPT, 0, lengths)
    return Curves(
        say("the reserved memory that holds tokens, of a text that grows"),
        lengths,
        say("tokens in the text"),
        (
            (say("room for the longest"), lengths / SHAREGPT.max_length),
            (say("blocks of {size}", size=BLOCK_SIZE), in_blocks),
        ),
        say("share"),
    )


def _bytes_table() -> Table:
    rows = tuple(
        (name, s.n_layer, s.n_kv_head, s.d_head, s.n_byte / 2**10) for name, s in SHAPES.items()
    )
    return Table(
        say("what one token takes in the cache"),
        (
            say("model"),
            say("layers"),
            say("key/value heads"),
            say("width of a head"),
            say("KiB a token"),
        ),
        rows,
        (
            say("2 (key and value) × layers × key/value heads × width × 2 bytes"),
            say(
                "One key/value head for each query head: multi-head (MHA). One for several: "
                "grouped (GQA). One for all: multi-query (MQA)."
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
                "The assumptions give the published shares of Max, Pow2 and Oracle (of all memory "
                "{low:g} to {high:g} %), within {near:.0%} of what is reserved",
                low=min(of_all),
                high=max(of_all),
                near=TOLERANCE,
            ),
            say("largest difference {error:.1%}", error=worst),
            worst <= TOLERANCE,
        ),
        Claim(
            say("In blocks, more than 96 % of the reserved memory holds tokens"),
            _percent(shares["paged"]),
            shares["paged"] > 0.96,
        ),
        Claim(
            say("A token of OPT-13B takes {size} KiB in half precision", size=OPT_13B_KIB),
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
