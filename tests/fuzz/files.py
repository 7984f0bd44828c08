"""Files of every kind, mutated: bytes, and where a file is JSON its values."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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


HUGE = (b"9" * 400, b"9" * 5000, b"[" * 100_000, b'{"a":' * 100_000, b"1e999", b"-0", b"NaN")
"""Numbers and nestings that JSON and TOML allow, and Python's readers stumble over."""


def mutate_text(random_: random.Random, content: bytes) -> bytes:
    """One number of a text becomes another, or something that never ends."""
    numbers = list(re.finditer(rb"-?\d+(?:\.\d+)?", content[:200_000]))
    if not numbers:
        return content + random_.choice(HUGE)
    start, end = random_.choice(numbers).span()
    return content[:start] + random_.choice(HUGE) + content[end:]


def mutate_inner(random_: random.Random, path: Path) -> bytes | None:
    """The JSON inside a `.npz` or `.safetensors`, or the header of an array, as text; None if there
    is none."""
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        length = int.from_bytes(content[:8], "little")
        change = random_.choice((mutate_json, mutate_text))
        header = change(random_, content[8 : 8 + length])
        return len(header).to_bytes(8, "little") + header + content[8 + length :]
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = dict(file)
        if "manifest" not in arrays:
            return None
        manifest = mutate_json(random_, str(arrays.pop("manifest")).encode())
        changed = io.BytesIO()
        np.savez(changed, manifest=np.array(manifest.decode()), **arrays)
        return changed.getvalue()
    if path.suffix == ".npy":
        length = int.from_bytes(content[8:10], "little")
        header = mutate_text(random_, content[10 : 10 + length])[: (1 << 16) - 1]
        return content[:8] + len(header).to_bytes(2, "little") + header + content[10 + length :]
    return None


def mutate(random_: random.Random, path: Path) -> bytes:
    content = path.read_bytes()
    if random_.random() < 0.5 and (inner := mutate_inner(random_, path)) is not None:
        return inner
    if path.suffix in (".json", ".toml", ".jsonl") and random_.random() < 0.2:
        return mutate_text(random_, content)
    if path.suffix == ".json" and random_.random() < 0.7:
        return mutate_json(random_, content)
    return mutate_bytes(random_, content)


def replace(random_: random.Random, path: Path) -> None:
    """Something else under the name of a file: what is no file, never ends or has holes."""
    path.unlink()
    kind = random_.choice(("pipe", "zero", "loop", "folder", "empty", "hole", "nowhere", "UTF-16"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("zero", "loop", "nowhere"):
        targets = {"zero": "/dev/zero", "loop": path.name, "nowhere": "missing/file"}
        path.symlink_to(targets[kind])
    elif kind == "UTF-16":
        path.write_text("{}", "utf-16")
    else:
        with path.open("wb") as file:
            file.truncate(0 if kind == "empty" else 1 << 35)


def restore(path: Path, content: bytes) -> None:
    """The file as it was, whatever has taken its place."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


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
                if random_.random() < 0.05:
                    replace(random_, path)
                else:
                    path.write_bytes(mutate(random_, path))
                outcome = sandbox.call(sample.command, folder)
                if outcome.fault:
                    copy = kept / f"{n}-{path.name}"
                    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 30:
                        copy.write_text(f"{os.lstat(path)}")
                    else:
                        shutil.copy(path, copy)
                    yield f"{copy} as {sample.path}: attnviz {' '.join(sample.command)}\n  {outcome.fault}\n  {outcome.stderr[-300:]}"
            finally:
                restore(path, original)
            n += 1
    print(f"{n} mutated files")
