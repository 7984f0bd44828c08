"""Command lines: every command with options and values of every kind, sensible and not."""

from __future__ import annotations

import inspect
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from attnviz.cli import app
from attnviz.lessons import LESSONS
from attnviz.models.build.stack import FIELDS
from attnviz.nn.masks import MASKS
from attnviz.nn.schemes import SCHEMES
from attnviz.nn.scores import SCORES
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


ENCODINGS = ("utf-8", "ascii", "latin-1", "cp1252", "cp437", "gbk", "shift_jis", "utf-16", "koi8-r")
VARIABLES = ("COLUMNS", "LINES", "TERMINAL_WIDTH", "MPLBACKEND", "NO_COLOR", "FORCE_COLOR", "TERM",
             "COLORTERM", "HF_HOME", "TYPER_USE_RICH")  # fmt: skip


def specs() -> list[tuple[str, list[str]]]:
    """What takes options behind a colon, with the names of all of them."""
    known = [("random", list(FIELDS))]
    for registry in (MASKS, SCHEMES, SCORES):
        known += [(entry.name, _options(entry.function)) for entry in registry.values()]
    return known + [(name, _options(LESSONS[name].lesson)) for name in LESSONS]


def _options(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def options_of(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]


def commands() -> dict[str, Any]:
    group = typer.main.get_command(app)
    context: Any = None
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


def value(random_: random.Random, files: list[str]) -> str:
    kind = random_.choice((TEXTS, NUMBERS, WORDS, WORDS, files, SPECS))
    return spec(random_) if kind is SPECS else random_.choice(kind)  # type: ignore[arg-type]


SPECS = specs()


def spec(random_: random.Random) -> str:
    """`name:key=value,…` of a lesson, a mask, a stack, …"""
    name, options = random_.choice(SPECS)
    chosen = random_.sample(options, min(len(options), random_.choice((1, 1, 2, 3))))
    pairs = [f"{key}={random_.choice((*NUMBERS, *WORDS[:20]))}" for key in chosen]
    return f"{name}:{','.join(pairs)}" if pairs else name


def setting(random_: random.Random) -> sandbox.Setting:
    """Mostly the usual one."""
    if random_.random() < 0.6:
        return sandbox.USUAL
    variables = random_.sample(VARIABLES, random_.choice((0, 1, 2)))
    closed = random_.sample(("stdin", "stdout", "stderr"), random_.choice((0, 0, 1, 2)))
    return sandbox.Setting(
        random_.choice(ENCODINGS),
        tuple(sorted(closed)),
        {name: random_.choice((*NUMBERS, *WORDS)) for name in variables},
    )


def line(random_: random.Random, known: dict[str, Any], files: list[str]) -> list[str]:
    """One command line, of which most parts are of a right kind."""
    name = random_.choice(list(known))
    arguments = [name]
    for _ in range(random_.choice((0, 1, 1, 1, 2, 3))):
        which = random_.random()
        kind = TEXTS if which < 0.5 else files
        arguments.append(spec(random_) if which > 0.9 else random_.choice(kind))
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
            around = setting(random_)
            outcome = sandbox.call(arguments, folder, b"I saw\n", around)
            silent = "stderr" in around.closed and outcome.code == 2
            if (
                outcome.fault and not silent and len(arguments) > 1
            ):  # a bare command prints its help
                yield f"{around} attnviz {' '.join(map(repr, arguments))}\n  {outcome.fault}\n  {outcome.stderr[-300:]}"
    print(f"{n} command lines")
