"""The package `tokenizers`, which is an extra, and what goes wrong in it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from attnviz.errors import AttnvizError

PANIC = "PanicException"
"""What a panic of the package's Rust code becomes: it derives from BaseException, and no module
has it as an attribute."""

N_REASON = 200
"""Characters of the package's own words that are repeated."""

_LOCK = threading.RLock()
"""There is one standard error for all threads."""


def tokenizers_package(path: Path) -> Any:
    """The package; `path` is what needs it."""
    try:
        import tokenizers
    except ImportError:
        raise AttnvizError(
            f"{path} needs the package `tokenizers`", "pip install 'attnviz[models]'"
        ) from None
    return tokenizers


@contextmanager
def package_errors(problem: str, hint: str) -> Iterator[None]:
    """Whatever the package raises becomes an error that begins with `problem`."""
    try:
        with _held_stderr():
            yield
    except AttnvizError:
        raise
    except BaseException as error:
        # the package raises bare Exception; KeyboardInterrupt and others are not its own
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise AttnvizError(f"{problem}: {_reason(error)}", hint) from error


def _reason(error: BaseException) -> str:
    text = str(error).removeprefix("Cannot instantiate Tokenizer from buffer: ")
    if "retry-limit" in text:
        return "one of its regular expressions takes too many steps on this text"
    return text.partition("\n")[0][:N_REASON] or type(error).__name__


@contextmanager
def _held_stderr() -> Iterator[None]:
    """A panic writes a report to file descriptor 2 before it can be caught. What is written there
    meanwhile is held back; it is passed on unless there was a panic."""
    with _LOCK:
        try:
            held, real = _file(os.getpid()), os.dup(2)
        except OSError:  # standard error is closed, or there is nowhere to write
            yield
            return
        panicked = False
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            panicked = type(error).__name__ == PANIC
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
            if held.tell():
                held.seek(0)
                written = held.read()
                held.seek(0)
                held.truncate()
                if not panicked:
                    os.write(2, written)


@lru_cache(maxsize=1)
def _file(process: int) -> IO[bytes]:
    """A file without a name. A process that was forked gets its own."""
    import tempfile

    return tempfile.TemporaryFile(buffering=0)
