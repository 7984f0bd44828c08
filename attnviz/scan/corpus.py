"""A file or stdin -> chunks of lines, read as a stream."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from attnviz.errors import AttnvizError
from attnviz.parse import parse_json

CHUNK_LINES = 512
CHUNK_BYTES = 1 << 22
LINE_BYTES = 1 << 20
"""A longer line is skipped: it is never whole in memory."""

MAX_LINE_BYTES = 1 << 30
"""What has a line that is longer than this is not a text a line, and may never end."""

GZIP = b"\x1f\x8b"
MAX_RATIO = 500
"""Text is not packed to less than 1/500; a gzip bomb is, to 1/1032 at best."""
MIN_UNPACKED = 1 << 24
"""Bytes after which the ratio counts."""

BOM = b"\xef\xbb\xbf"
FIELD = "text"


class Line(NamedTuple):
    number: int
    """Counted from 1."""
    text: str


class Chunk(NamedTuple):
    """Some lines: the unit of work. Where a chunk ends depends on the corpus alone."""

    lines: tuple[Line, ...]
    """Those that hold something."""
    n_line: int
    n_empty: int
    n_huge: int
    """Lines above `LINE_BYTES`, which are not among the lines."""
    digest: str
    """The SHA-256 of the corpus up to the end of this chunk."""
    position: int
    """How many bytes of the file have been read."""


class Lines(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class Corpus(NamedTuple):
    """An open corpus."""

    name: str
    stream: Lines
    """What is read, unpacked."""
    position: Callable[[], int]
    """How many bytes of the file have been read."""
    size: int
    """How many there are; 0 where nobody knows."""
    field: str | None
    """The field of a JSON object that holds the text; None for plain lines."""


@contextlib.contextmanager
def open_corpus(source: str, field: str | None = None) -> Iterator[Corpus]:
    """A file of lines, or `-` for stdin; unpacked if it is gzip.

    Args:
        field: lines are JSON objects with this field; by default so, with `text`, in `.jsonl`.
    """
    path = Path(source)
    if field is None and path.name.removesuffix(".gz").endswith(".jsonl"):
        field = FIELD
    if source == "-":
        if sys.stdin is None:
            raise AttnvizError("stdin is closed", "name a file, or pipe one in")
        raw: IO[bytes] = sys.stdin.buffer
        yield Corpus("stdin", _unpacked(raw, "stdin"), lambda: 0, 0, field)
        return
    try:
        raw = path.open("rb")
    except (OSError, ValueError) as error:  # of a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise AttnvizError(
            f"cannot read {path}: {reason}", "a file of lines, or - for stdin"
        ) from error
    with raw:
        size = path.stat().st_size if path.is_file() else 0
        yield Corpus(
            str(path), _unpacked(raw, str(path)), raw.tell if size else lambda: 0, size, field
        )


def chunks(corpus: Corpus) -> Iterator[Chunk]:
    """The chunks of a corpus from its beginning.

    Raises:
        AttnvizError: names the line that is not UTF-8, or not what its format wants.
    """
    digest = hashlib.sha256()
    number = 0
    while True:
        lines: list[Line] = []
        n_line = n_byte = n_empty = n_huge = 0
        while n_line < CHUNK_LINES and n_byte < CHUNK_BYTES:
            content, complete = _next_line(corpus, number + 1, digest.update)
            if not content:
                break
            number, n_line, n_byte = number + 1, n_line + 1, n_byte + len(content)
            if not complete:
                n_huge += 1
                continue
            text = _text(corpus, number, content)
            if text.strip():
                lines.append(Line(number, text))
            else:
                n_empty += 1
        if n_line == 0:
            return
        yield Chunk(
            tuple(lines), n_line, n_empty, n_huge, digest.hexdigest(), corpus.position()
        )  # fmt: skip


def _unpacked(raw: IO[bytes], name: str) -> Lines:
    peek = getattr(raw, "peek", None)
    if peek is not None and peek(len(GZIP))[: len(GZIP)] == GZIP:
        return _Gzip(raw, name)
    return raw


class _Gzip:
    """The lines of what is packed with gzip."""

    def __init__(self, raw: IO[bytes], name: str) -> None:
        self._raw, self._name = raw, name
        self._n_packed = self._n_unpacked = 0
        self._file = gzip.GzipFile(fileobj=self, mode="rb")  # type: ignore[call-overload]

    def read(self, size: int) -> bytes:
        """Of the packed bytes, for `GzipFile`."""
        content = self._raw.read(size)
        self._n_packed += len(content)
        return content

    def readline(self, limit: int, /) -> bytes:
        line: bytes = self._file.readline(limit)
        self._n_unpacked += len(line)
        if self._n_unpacked > max(MIN_UNPACKED, MAX_RATIO * self._n_packed):
            raise AttnvizError(
                f"{self._name} unpacks to more than {MAX_RATIO} times its size: not a corpus, or a "
                "gzip bomb",
                "if it is one, unpack it first: gunzip",
            )
        return line


def _next_line(
    corpus: Corpus, number: int, update: Callable[[bytes], None]
) -> tuple[bytes, bool]:  # fmt: skip
    """A line and whether it is whole: of one that is too long, its beginning. Empty at the end."""
    try:
        content = corpus.stream.readline(LINE_BYTES)
        update(content)
        rest, n_byte = content, len(content)
        while len(rest) == LINE_BYTES and not rest.endswith(b"\n"):
            rest = corpus.stream.readline(LINE_BYTES)
            update(rest)
            n_byte += len(rest)
            if n_byte > MAX_LINE_BYTES:
                raise AttnvizError(
                    f"{corpus.name}, line {number}: longer than {MAX_LINE_BYTES >> 30} GiB",
                    "one text a line",
                )
    except (OSError, EOFError, zlib.error) as error:
        raise AttnvizError(
            f"{corpus.name}, line {number}: cannot be read: {error}",
            "the file is damaged or cut off: gzip -t says whether",
        ) from error
    return content, rest is content


def _text(corpus: Corpus, number: int, content: bytes) -> str:
    if number == 1:
        content = content.removeprefix(BOM)
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise AttnvizError(
            f"{corpus.name}, line {number}: not UTF-8: byte {error.start} is "
            f"{content[error.start]:#04x}",
            "convert it: iconv -t utf-8",
        ) from error
    return text if corpus.field is None or not text.strip() else _field(corpus, number, text)


def _field(corpus: Corpus, number: int, text: str) -> str:
    try:
        entry = parse_json(text.encode())
    except ValueError as error:
        raise AttnvizError(
            f"{corpus.name}, line {number}: not JSON: {error}", "one object a line"
        ) from error
    content = entry.get(corpus.field) if isinstance(entry, dict) else None
    if not isinstance(content, str):
        fields = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
        raise AttnvizError(
            f"{corpus.name}, line {number}: expected an object with the text {corpus.field!r}, "
            f"got {fields:.60}",
            "--field NAME says which field holds the text",
        )
    return content
