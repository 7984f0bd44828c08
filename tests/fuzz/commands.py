"""Command lines: every command with options and values of every kind, sensible and not."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from attnviz.cli import app
from tests.fuzz import samples, sandbox

TEXTS = ("I saw a saw", "saw", "", " ", "早上好！", "\u202ea", "a\x00b", "\x1b[31m", "[/red]", "x" * 300,
         "-1", "--", "é" * 40, "abcabcabc", "\ud800")  # fmt: skip
NUMBERS = ("0", "1", "2", "3", "-1", "7", "1" * 30, "1" * 5000, "1e9", "999999937", "nan", "inf", "-inf",
           "1e-320", "5e-324", "1e400", "0.5", "", " 3", "0x10", "٣", "1,2", "4,64,256")  # fmt: skip
WORDS = ("causal", "causal+window:size=2", "window:size=0", "window", "band:left=-1", "rope:base=0",
         "t5:buckets=0", "t5:buckets=3,distance=0", "learned:length=-1", "gaussian:sigma=0", "additive",
         "cosine", "padding:lengths=9999999999", "documents:lengths=0", "prefix:length=-5", "+" * 300,
         "causal+" * 300, "random:layers=2", "random:layers=1000000000", "random:d_model=999999937",
         "tagger", "induction", "digits", "phrases", "tagger-word", "nope", "../..", "L0", "L1.H3",
         "L0-2.H1,H3", "L9999999999999999999", "decoder.0.cross.H2", "weights", "logits", "scores",
         "all", "row", "head", "log", "json", "entropy", "induction > 0.5", "4,3", "a,b", "0:3",
         "float64", "paged", "zh", "steps", "scaling", "cost")  # fmt: skip


def options_of(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]


def commands() -> dict[str, Any]:
    group = typer.main.get_command(app)
    context: Any = None
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def value(random_: random.Random, files: list[str]) -> str:
    kind = random_.choice((TEXTS, NUMBERS, WORDS, WORDS, files))
    return random_.choice(kind)


def line(random_: random.Random, known: dict[str, Any], files: list[str]) -> list[str]:
    """One command line, of which most parts are of a right kind."""
    name = random_.choice(list(known))
    arguments = [name]
    for _ in range(random_.choice((0, 1, 1, 1, 2, 3))):
        arguments.append(random_.choice(TEXTS if random_.random() < 0.6 else files))
    options = options_of(known[name])
    for option in random_.sample(options, min(len(options), random_.choice((0, 1, 1, 2, 3, 5)))):
        flag = random_.choice(option.opts)
        if flag == "--download":
            continue
        arguments.append(flag)
        if not option.is_flag:
            arguments.append(value(random_, files))
    return [argument.replace("\x00", "␀") for argument in arguments]


def run(seconds: float, seed: int) -> Iterator[str]:
    """Findings, each with its command line."""
    random_ = random.Random(seed)
    known = commands()
    end = time.monotonic() + seconds
    n = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "work"
        folder.mkdir()
        files = [path.name for path in samples.write_all(folder)]
        files += [
            "out.png",
            "out.npz",
            "out.md",
            "nowhere/out.csv",
            "/dev/null",
            ".",
            "missing.npz",
        ]
        while time.monotonic() < end:
            arguments = line(random_, known, files)
            n += 1
            outcome = sandbox.call(arguments, folder, stdin=b"I saw\n")
            if outcome.fault and len(arguments) > 1:  # a bare command may print its help
                yield f"attnviz {' '.join(map(repr, arguments))}\n  {outcome.fault}\n  {outcome.stderr[-300:]}"
    print(f"{n} command lines")
