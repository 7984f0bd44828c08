"""What the key/value cache takes: how much of the reserved memory is used, bytes of a token."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.kv_memory import Shape, Workload, policies, reserve_blocks, used_share
from attnviz.lessons import Claim
from attnviz.lessons.language import Say
from attnviz.lessons.words import prose
from attnviz.nn.blocks import BlockPool
from attnviz.nn.paged import PagedCache
from attnviz.nn.types import Array
from attnviz.views.kinds import Curves, Table, Text, Value

SHAREGPT = Workload(prompt=161, answer=337.99, longest=2048)
"""Kwon et al. 2023, figure 11: mean lengths of ShareGPT; OPT reads at most 2048 tokens."""
BLOCK_SIZE = 16
"""Tokens in a block of theirs (section 6.1)."""
PUBLISHED = {
    "Max": (20.4, 13.3, 57.3),
    "Pow2": (26.8, 17.9, 13.6),
    "Oracle": (38.2, 25.2, 0.0),
}
"""Their figure 2, in percent of the memory: tokens, reserved for tokens to come, reserved for
nothing. The rest to 100 lies between what is reserved: that is no matter of how much one
reserves."""
PUBLISHED_PAGED = 96.3
NEAR = 0.03
"""They publish the mean lengths only; how lengths are spread is an assumption of ours."""

OPT_13B = Shape(n_layer=40, n_kv_head=40, d_head=128)
OPT_13B_KIB = 800
"""Kwon et al. 2023, section 3."""
SHAPES = {
    "OPT-13B": OPT_13B,
    "OPT-13B, GQA": OPT_13B._replace(n_kv_head=8),
    "OPT-13B, MQA": OPT_13B._replace(n_kv_head=1),
    "Llama-2-7B": Shape(32, 32, 128),
    "Llama-3-8B": Shape(32, 8, 128),
    "Falcon-7B": Shape(32, 1, 64),
}


def memory_views(say: Say) -> tuple[Text, Table, Curves, Table]:
    shares = _shares()
    what = {
        "Max": say("the longest request there may be"),
        "Pow2": say("the next power of two of the answer's length"),
        "Oracle": say("what it will have in the end, if one knew"),
        "paged": say("blocks of {size} tokens, as they are needed", size=BLOCK_SIZE),
    }
    rows: list[tuple[Value, ...]] = [
        (name, what[name], _percent(shares[name]), _percent(_published(name)), f"{parts[0]} %")
        for name, parts in PUBLISHED.items()
    ]
    rows.append(("paged", what["paged"], _percent(shares["paged"]), None, f"{PUBLISHED_PAGED} %"))
    lengths = np.arange(1, 4 * BLOCK_SIZE + 1)
    return (
        prose(
            say(
                "How much of the memory that is set aside holds tokens? The assumptions here: "
                "prompts of {prompt} tokens, answers of {answer:g} on average with exponentially "
                "spread lengths, at most {longest} together. The means are those of ShareGPT "
                "in Kwon et al. 2023; the spread is ours.",
                prompt=SHAREGPT.prompt,
                answer=SHAREGPT.answer,
                longest=SHAREGPT.longest,
            )
        ),
        Table(
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
        ),
        Curves(
            say("the reserved memory that holds tokens, of a text that grows"),
            lengths,
            say("tokens in the text"),
            (
                (say("room for the longest"), lengths / SHAREGPT.longest),
                (
                    say("blocks of {size}", size=BLOCK_SIZE),
                    lengths / reserve_blocks(BLOCK_SIZE)(SHAREGPT, 0, lengths),
                ),
            ),
            say("share"),
        ),
        _bytes_table(say),
    )


def _bytes_table(say: Say) -> Table:
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


def memory_claims(say: Say) -> tuple[Claim, ...]:
    shares = _shares()
    worst = max(abs(shares[name] - _published(name)) for name in PUBLISHED)
    whole = [parts[0] for parts in PUBLISHED.values()]
    measured = _measured_bytes(OPT_13B) / 2**10
    return (
        Claim(
            say(
                "The assumptions give the published shares of Max, Pow2 and Oracle (of all memory "
                "{low:g} to {high:g} %), within {near:.0%} of what is reserved",
                low=min(whole),
                high=max(whole),
                near=NEAR,
            ),
            say("largest difference {error:.1%}", error=worst),
            worst <= NEAR,
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


def _measured_bytes(shape: Shape) -> int:
    """Bytes of a cache with room for one token, in numbers of `itemsize` bytes."""
    pool = BlockPool(1, 1)
    cache = PagedCache(pool)
    token: Array = np.zeros((shape.n_kv_head, 1, shape.d_head), f"f{shape.itemsize}")
    for layer in range(shape.n_layer):
        cache.extend(f"decoder.{layer}.self", token, token)
    return pool.n_byte


def _published(name: str) -> float:
    """The published share of what is reserved for requests."""
    return PUBLISHED[name][0] / sum(PUBLISHED[name])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
