"""A command line in a child process with bounds, and what no command line may ever do."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import re
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import attnviz

MEMORY = 2 << 30
"""Bytes a tiny input may take."""

SECONDS = 20

NEVER = re.compile(
    r"internal:|Traceback|Warning:|\bFile \"|site-packages|PanicException|panicked|object at 0x"
)


class Outcome(NamedTuple):
    code: int
    """The exit code; -N for a signal, -9 where the time or the memory ran out."""
    stderr: str
    seconds: float

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None if nothing is."""
        if self.code not in (0, 1, 2):
            return f"exit code {self.code} after {self.seconds:.0f} s"
        if found := NEVER.search(self.stderr):
            return f"stderr holds {found.group()!r}"
        if self.code == 2 and not re.search(r"^error: .+", self.stderr, re.MULTILINE):
            return "exit code 2 without a line `error: …`"
        return None


def import_all() -> None:
    """Import what commands import, once for all forks."""
    for module in pkgutil.walk_packages(attnviz.__path__, "attnviz."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("tokenizers", "sentencepiece"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Setting(NamedTuple):
    """What a command line finds around it."""

    encoding: str = "utf-8"
    closed: tuple[str, ...] = ()
    """Names of streams."""
    environment: Mapping[str, str] = MappingProxyType({})

    def __str__(self) -> str:
        closed = "".join(f" {'<' if name == 'stdin' else '>'}&- ({name})" for name in self.closed)
        variables = "".join(f"{name}={value!r:.40} " for name, value in self.environment.items())
        return f"PYTHONIOENCODING={self.encoding} {variables}{closed}"


USUAL = Setting()


def call(
    arguments: Sequence[str], folder: Path, stdin: bytes = b"", setting: Setting = USUAL
) -> Outcome:
    """Run `attnviz …` in a fork of this process, in `folder`."""
    errors = folder.parent / "stderr.txt"
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_child(arguments, folder, stdin, errors, setting)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    text = errors.read_text("utf-8", "replace") if errors.exists() else ""
    return Outcome(code, text, time.monotonic() - start)


def _be_the_child(
    arguments: Sequence[str], folder: Path, stdin: bytes, errors: Path, setting: Setting
) -> None:
    code = 70
    try:
        os.chdir(folder)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        out = os.open(os.devnull, os.O_WRONLY)
        err = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
        os.environ.update(setting.environment)
        sys.stdout = open(1, "w", encoding=setting.encoding, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        for name in setting.closed:
            if name != "stdin":
                os.close(getattr(sys, name).fileno())
            setattr(sys, name, None)
        from attnviz.cli import run_cli

        code = run_cli(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(
            os.open(errors, os.O_WRONLY | os.O_APPEND),
            f"Traceback (the fuzzer caught it): {error!r}\n".encode("utf-8", "replace"),
        )
    finally:
        os._exit(code)
