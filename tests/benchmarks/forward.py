"""A forward pass that keeps all weights, against transformers' eager mode and against the time of
its matrix products alone; and a token that is decoded with a cache.

The sides are processes that run in turn: thread pools in one process would slow each other down.
Quantised weights are converted once on all sides, before the clock starts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.pairs import minilm, need, smollm2
from tests.benchmarks.table import Row, run_alone

SIZES = (6, 32, 128, 512)
DECODED_BEHIND = 128
"""Tokens in the cache."""

ROUNDS, SECONDS = 9, 0.25
"""How many pairs, and how long a side runs at least for one number of a pair."""

EAGER, PRODUCTS = "transformers eager", "products alone"
BOUNDS = {EAGER: 0.85, PRODUCTS: 1.7}

Pass = Callable[[int], object]
"""A pass over so many tokens; over one more behind as many in a cache where they are negative."""


def attnviz_side(path: str) -> Pass:
    import numpy as np

    import attnviz
    from attnviz.nn.cache import ContiguousCache
    from attnviz.nn.multi_head import RecordNothing
    from attnviz.nn.transformer import Input
    from attnviz.trace.recorder import TraceRecorder

    model = attnviz.load_model(path)
    model.keep_weights(1 << 40)
    caches: dict[int, Any] = {}

    def run(n: int) -> object:
        recorder = TraceRecorder(("weights",))
        if n > 0:
            ids = Input(np.arange(1000, 1000 + n))
            return model.transformer(ids, recorder=recorder), recorder.records()
        unembed = model.transformer.unembed
        assert unembed is not None
        if n not in caches:
            caches[n] = ContiguousCache(), -n
            given = Input(np.arange(1000, 1000 - n))
            model.transformer.decode(given, None, RecordNothing(), cache=caches[n][0])
        cache, first = caches[n]
        caches[n] = cache, first + 1
        last = Input(np.array([1000]), first=first)
        x = model.transformer.decode(last, None, recorder, cache=cache)
        return unembed(x).argmax(), recorder.records()

    return run


def transformers_side(path: str) -> Pass:
    import torch
    from transformers import AutoModel, AutoModelForCausalLM, DynamicCache

    place = Path(path)
    where = {"gguf_file": place.name} if place.suffix == ".gguf" else {}
    kind = AutoModelForCausalLM if where else AutoModel
    base = place.parent if where else place
    whole = kind.from_pretrained(base, attn_implementation="eager", **where).eval()
    model = whole.model if where else whole
    caches: dict[int, Any] = {}

    @torch.no_grad()
    def run(n: int) -> object:
        if n > 0:
            ids = torch.arange(1000, 1000 + n)[None]
            return model(ids, torch.ones_like(ids), output_attentions=True)
        if n not in caches:
            caches[n] = DynamicCache()
            model(torch.arange(1000, 1000 - n)[None], past_key_values=caches[n], use_cache=True)
        last, past = torch.tensor([[1000]]), caches[n]
        out = whole(last, past_key_values=past, use_cache=True, output_attentions=True)
        return out.logits.argmax(), out.attentions

    return run


def products_side(path: str) -> Pass:
    """The matrix products of the pass, of the same shapes, each core with its part of the rows,
    with nothing between them and nothing kept."""
    import numpy as np

    import attnviz
    from attnviz.nn.feed_forward import FeedForward
    from attnviz.nn.threads import in_team, n_worker
    from attnviz.nn.transformer import attentions

    model = attnviz.load_model(path)
    model.keep_weights(1 << 40)
    stack = model.transformer.encoder or model.transformer.decoder
    assert stack is not None
    layers = []
    for block in stack.blocks:
        (heads,) = attentions(block)
        (net,) = (sublayer.f for sublayer in block if isinstance(sublayer.f, FeedForward))
        maps = (heads.query, heads.key, heads.value, heads.output, net.up, net.gate, net.down)
        layers.append((heads.n_head, [np.asarray(x.weight).T for x in maps if x is not None]))

    def rows(n_row: int, n: int) -> None:
        for n_head, weights in layers:
            for w in weights:
                np.matmul(x[len(w)][:n_row], w)
            heads = x[weights[0].shape[1]].reshape(SIZES[-1], n_head, -1).swapaxes(0, 1)
            (heads[:, :n_row] @ heads[:, :n].mT) @ heads[:, :n]

    x = {len(w): np.ones((SIZES[-1], len(w)), np.float32) for w in layers[0][1]}

    def run(n: int) -> object:
        n_part = n_worker() if n >= 32 else 1
        return in_team(n_part, lambda number, team: rows(n // n_part, n))

    return run


SIDES = {"attnviz": attnviz_side, EAGER: transformers_side, PRODUCTS: products_side}


@contextmanager
def started(side: str, path: str) -> Iterator[Callable[[int], float]]:
    """A process for one side: a number of tokens -> the median seconds of a pass."""
    command = [sys.executable, "-m", "tests.benchmarks.forward", side, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr

        def ask(n: int) -> float:
            print(n, file=process.stdin, flush=True)
            answer = process.stdout.readline()  # type: ignore[union-attr]
            if not answer:
                raise RuntimeError(f"{side}: {process.stderr.read()}")  # type: ignore[union-attr]
            return float(answer)

        yield ask
        process.stdin.close()


def answer(side: str, path: str) -> None:
    """What such a process does."""
    run = SIDES[side](path)
    for line in sys.stdin:
        n, times = int(line), []
        while sum(times) < SECONDS:
            start = time.perf_counter()
            run(n)
            times.append(time.perf_counter() - start)
        print(statistics.median(times), flush=True)


def compared(what: str, n: int, sides: dict[str, Callable[[int], float]]) -> Iterator[Row]:
    """Ours against each of the others, in turn; one round first is not counted."""
    rounds = [{name: ask(n) for name, ask in sides.items()} for _ in range(1 + ROUNDS)][1:]
    for other in list(sides)[1:]:
        ours, theirs = (statistics.median(r[name] for r in rounds) for name in ("attnviz", other))
        ratio = statistics.median(r["attnviz"] / r[other] for r in rounds)
        yield Row(what, ours, theirs, other, ratio, BOUNDS[other])


def rows() -> Iterator[Row]:
    need("torch", "transformers")
    for name, path in (("MiniLM", minilm()), ("SmolLM2", smollm2())):
        with ExitStack() as stack:
            sides = {side: stack.enter_context(started(side, path)) for side in SIDES}
            for n in SIZES:
                yield from compared(f"{name}, {n} tokens, weights kept", n, sides)
            if name == "SmolLM2":
                del sides[PRODUCTS]
                what = f"SmolLM2, a token behind {DECODED_BEHIND} in the cache"
                yield from compared(what, -DECODED_BEHIND, sides)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        answer(*sys.argv[1:])
    else:
        run_alone(rows)
