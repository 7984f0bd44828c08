"""Corpora as streams: formats, chunks, and every fault with its line."""

from __future__ import annotations

import gzip
import hashlib
import io
import json

import pytest

from attnviz.errors import AttnvizError
from attnviz.scan import corpus as module
from attnviz.scan.corpus import CHUNK_LINES, LINE_BYTES, chunks, open_corpus


def read(path, field=None):
    with open_corpus(str(path), field) as corpus:
        return list(chunks(corpus))


def texts(found):
    return [tuple(line) for chunk in found for line in chunk.lines]


@pytest.fixture
def write(tmp_path):
    def write(content, name="c.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_lines(write):
    content = "\ufeffI saw\r\n\n  \na saw\u2028b\x85c\nlast".encode()
    (found,) = read(write(content))
    assert texts([found]) == [(1, "I saw"), (4, "a saw\u2028b\x85c"), (5, "last")]
    assert (found.n_line, found.n_empty, found.n_huge) == (5, 2, 0)
    assert found.digest == hashlib.sha256(content).hexdigest()
    assert found.position == len(content)


def test_gzip_whatever_its_name(write):
    content = b"one\ntwo\n"
    plain, packed = read(write(content)), read(write(gzip.compress(content, mtime=0), "c"))
    assert texts(packed) == texts(plain) == [(1, "one"), (2, "two")]
    assert packed[-1].digest == plain[-1].digest


def test_stdin(monkeypatch):
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"one\n\ntwo", mtime=0))))
    monkeypatch.setattr("sys.stdin", stdin)
    assert texts(read("-")) == [(1, "one"), (3, "two")]


@pytest.mark.parametrize(
    ("name", "field"), [("c.jsonl", None), ("c.jsonl.gz", None), ("c.txt", "text")]
)
def test_json_lines(write, name, field):
    lines = [json.dumps({"text": "a\nb", "id": 1}), "", json.dumps({"id": 2, "text": "c"})]
    assert texts(read(write("\n".join(lines).encode(), name), field)) == [(1, "a\nb"), (3, "c")]


def test_another_field(write):
    assert texts(read(write(b'{"body": "x", "text": "y"}', "c.jsonl"), "body")) == [(1, "x")]


def test_chunks_depend_on_the_corpus_alone(write, monkeypatch):
    content = b"".join(b"line %d\n" % number for number in range(2 * CHUNK_LINES + 3))
    path = write(content)
    found = read(path)
    assert [chunk.n_line for chunk in found] == [CHUNK_LINES, CHUNK_LINES, 3]
    ends = [sum(len(b"line %d\n" % i) for i in range(n * CHUNK_LINES)) for n in (1, 2)]
    for chunk, end in zip(found, [*ends, len(content)], strict=True):
        assert chunk.digest == hashlib.sha256(content[:end]).hexdigest()
    monkeypatch.setattr(module, "CHUNK_BYTES", 100)
    assert max(chunk.n_line for chunk in read(path)) < 20
    assert texts(read(path)) == texts(found)


def test_a_huge_line_is_skipped_and_never_whole_in_memory(write):
    class Watched(io.BytesIO):
        largest = 0

        def readline(self, limit=-1):
            line = super().readline(limit)
            self.largest = max(self.largest, len(line))
            return line

    content = b"a\n" + b"x" * (3 * LINE_BYTES) + b"\nb\n" + b"y" * (LINE_BYTES - 1) + b"\n"
    stream = Watched(content)
    (found,) = chunks(module.Corpus("c", stream, lambda: 0, 0, None))
    assert [line.number for line in found.lines] == [1, 3, 4]
    assert (found.n_line, found.n_huge) == (4, 1)
    assert stream.largest == LINE_BYTES
    assert found.digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"a\nb\xff\n", "c.txt", "line 2: not UTF-8: byte 1 is 0xff"),
        (b'{"text": "a"}\n{', "c.jsonl", "line 2: not JSON"),
        (b"\n[1]", "c.jsonl", "line 2: expected an object with the text 'text', got list"),
        (b'{"body": "a"}', "c.jsonl", "line 1: expected an object with the text 'text', got body"),
        (b'{"text": 3}', "c.jsonl", "line 1: expected an object"),
        (gzip.compress(b"a\n" * 999, mtime=0)[:-9], "c.gz", "cannot be read: "),
    ],
)
def test_faults_name_the_line(write, content, name, told):
    with pytest.raises(AttnvizError) as caught:
        read(write(content, name))
    assert told in caught.value.message


@pytest.mark.parametrize("line", [b"x", b"\n", b"I saw\n"])
def test_a_gzip_bomb_is_refused_early(write, line, monkeypatch):
    monkeypatch.setattr(module, "MIN_UNPACKED", 1 << 20)
    path = write(gzip.compress((line * (1 << 22))[: 1 << 22], 9, mtime=0), "c.txt.gz")
    with open_corpus(str(path)) as corpus:
        with pytest.raises(AttnvizError, match=r"c\.txt\.gz unpacks to more than 500 times"):
            for _ in chunks(corpus):
                pass
        assert corpus.stream._n_unpacked < 3 << 20


def test_text_that_repeats_itself_is_not_a_bomb(write, monkeypatch):
    monkeypatch.setattr(module, "MIN_UNPACKED", 1 << 16)
    lines = [b"line %d\n" % (number % 999) for number in range(1 << 16)]
    content = b"".join(lines)
    assert len(content) > module.MIN_UNPACKED
    found = read(write(gzip.compress(content, 9, mtime=0), "c.gz"))
    assert sum(chunk.n_line for chunk in found) == 1 << 16


def test_a_line_without_an_end(monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 5 * LINE_BYTES)

    class Endless(io.BytesIO):
        def readline(self, limit=-1):
            return b"\0" * limit

    with pytest.raises(AttnvizError, match="c, line 1: longer than"):
        list(chunks(module.Corpus("c", Endless(), lambda: 0, 0, None)))


def test_stdin_that_is_closed(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(AttnvizError, match="stdin is closed"):
        read("-")


def test_no_such_file(tmp_path):
    for name in ("none.txt", "."):
        with pytest.raises(AttnvizError, match="cannot read"):
            read(tmp_path / name)
