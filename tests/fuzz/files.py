"""Files of every kind, mutated: bytes, and where a file is JSON its values."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fuzz import samples, sandbox

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1.5, -1e308, "", "\x1b]0;x\x07", "\ud800", "9" * 5000, [], {}, [[]],
    [1, "a", None], {"": {}}, 2**63, "<script>", "../../etc/passwd", "(a+)+$", "(", "a", "▁",
    {"content": 1}, {"Regex": "(a+)+$"}, [["a", -1.0]], {"\ud800": 1}, 40, "x" * 100_000,
)  # fmt: skip


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested lists and objects but the outermost."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:50])
    for key, inner in items:
        yield (*here, key)
        yield from paths(inner, (*here, key))


def mutate_json(random_: random.Random, content: bytes) -> bytes:
    value = json.loads(content)
    for _ in range(random_.choice((1, 1, 1, 2, 4))):
        known = list(paths(value))
        if known and random_.random() < 0.5:  # a part with few values gets its share
            part = random_.choice(sorted({path[0] for path in known}, key=str))
            known = [path for path in known if path[0] == part]
        if not known:
            return json.dumps(random_.choice(ODD)).encode()
        *path, last = random_.choice(known)
        at = value
        for key in path:
            at = at[key]
        if random_.random() < 0.2:
            del at[last]
        else:
            at[last] = copy.deepcopy(random_.choice(ODD))
    return json.dumps(value).encode()


def mutate_bytes(random_: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    start = 4096 if random_.random() < 0.7 else len(changed)  # headers matter most
    for _ in range(random_.choice((1, 2, 8, 64))):
        at = random_.randrange(max(1, min(start, len(changed))))
        kind = random_.random()
        if kind < 0.6:
            changed[at : at + 1] = bytes(
                [random_.choice((0, 1, 0x7F, 0x80, 0xFF, random_.randrange(256)))]
            )
        elif kind < 0.75:
            del changed[at : at + random_.choice((1, 8, 1000))]
        elif kind < 0.9:
            changed[at:at] = changed[at : at + random_.choice((1, 8, 1000))]
        else:
            del changed[at:]
    return bytes(changed)


def mutate(random_: random.Random, path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".json" and random_.random() < 0.7:
        return mutate_json(random_, content)
    return mutate_bytes(random_, content)


def run(seconds: float, seed: int, only: str = "") -> Iterator[str]:
    """Findings, each with the file, kept where it can be looked at.

    Args:
        only: a pattern of the samples' paths.
    """
    random_ = random.Random(seed)
    sandbox.import_all()
    end = time.monotonic() + seconds
    kept = Path(tempfile.mkdtemp(prefix="attnviz-fuzz-"))
    n = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        known = [s for s in samples.make_all(folder) if re.search(only, s.path)]
        while time.monotonic() < end:
            sample = random_.choice(known)
            path = folder / sample.path
            original = path.read_bytes()
            try:
                path.write_bytes(mutate(random_, path))
                outcome = sandbox.call(sample.command, folder)
                if outcome.fault:
                    copy = kept / f"{n}-{path.name}"
                    shutil.copy(path, copy)
                    yield f"{copy} as {sample.path}: attnviz {' '.join(sample.command)}\n  {outcome.fault}\n  {outcome.stderr[-300:]}"
            finally:
                path.write_bytes(original)
            n += 1
    print(f"{n} mutated files")
