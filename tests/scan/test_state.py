"""Part files: what is damaged is refused, with the way out, and never counted."""

from __future__ import annotations

import io
import json
import random
import zipfile

import numpy as np
import pytest

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.run.forward import describe
from attnviz.scan import state as states
from attnviz.scan.corpus import Chunk, Line
from attnviz.scan.measure import heads_of
from attnviz.scan.tally import Job, tally
from tests.fuzz.files import mutate_bytes

CHUNK = Chunk((Line(1, "I saw a saw"), Line(3, "they saw us")), 3, 1, 0, "beef", 30)

WRONG = (None, True, -1, 3, 1.5, "x", [], {}, [1, "x"], "\ud800")


@pytest.fixture(scope="module")
def first():
    return states.beginning(len(heads_of(load_model("tagger").transformer)[0]), 512)


@pytest.fixture(scope="module")
def of():
    return states.identity(describe(load_model("tagger"), True, 0), 512, None)


@pytest.fixture(scope="module")
def state(first):
    return first.plus(CHUNK, tally(Job("tagger", (), 512), CHUNK))


@pytest.fixture
def part(tmp_path, state, of):
    path = tmp_path / "s.part.npz"
    states.save(path, state, of)
    return path


def same(a, b):
    return a[:2] == b[:2] and a.tally[1:] == b.tally[1:] and all(
        one.tobytes() == other.tobytes()
        for one, other in zip(a.tally.statistics, b.tally.statistics, strict=True)
    )  # fmt: skip


def loaded(path, of, first):
    """The state, or why it is refused."""
    try:
        return states.load(path, of, first), None
    except AttnvizError as error:
        return None, error


def is_refused(path, of, first, state):
    """Whether the file is refused; if it is not, it holds what was saved."""
    found, error = loaded(path, of, first)
    if error is None:
        assert same(found, state)
        return False
    assert str(path) in error.message
    assert error.hint in (states.START_ANEW, "another -o, or move the file elsewhere")
    return True


def test_any_byte(part, of, first, state):
    content = part.read_bytes()
    n_refused = 0
    for seed in range(300):
        part.write_bytes(mutate_bytes(random.Random(seed), content))
        n_refused += is_refused(part, of, first, state)
    assert n_refused > 250


def test_any_byte_of_a_header(part, of, first, state):
    """An array's header may shorten the array, and then its CRC is never looked at."""
    content = part.read_bytes()
    starts = [i for i in range(len(content) - 6) if content[i : i + 6] == b"\x93NUMPY"]
    random_ = random.Random(0)
    for start in starts:
        for place in random_.sample(range(6, 100), 30):
            changed = bytearray(content)
            changed[start + place] = random_.choice(b"0123456789 ,<>fi")
            part.write_bytes(changed)
            is_refused(part, of, first, state)


def test_any_array(part, of, first, state):
    manifest, arrays = archive.read(part)
    others = list(arrays.values())
    for name, array in arrays.items():
        changed = array.copy()
        changed.reshape(-1)[0] = not changed.reshape(-1)[0]
        for other in (changed, array[:1], array.astype(np.float32), array.T, others[-2], None):
            if other is not None and (other.dtype, other.shape) == (array.dtype, array.shape):
                other = changed
            rest = {key: value for key, value in arrays.items() if key != name}
            with part.open("wb") as file:
                archive.write(
                    file, ".npz", manifest, rest if other is None else rest | {name: other}
                )
            assert is_refused(part, of, first, state), name


@pytest.mark.parametrize("version", [1, 2])
def test_any_value_of_the_manifest(part, of, first, state, version):
    """A file of version 1 has no checksum, but it is not taken for what it cannot be."""
    manifest, arrays = archive.read(part)
    if version == 1:
        del manifest["checksum"]
    manifest["version"] = version
    paths = [("n_chunk",), ("digest",), ("complaint",), ("counts",), ("of",), ("format",)]
    paths += [("counts", key) for key in manifest["counts"]] + [("of", key) for key in of]
    for path in paths:
        for value in WRONG:
            changed = json.loads(json.dumps(manifest))
            at = changed if len(path) == 1 else changed[path[0]]
            if at[path[-1]] == value and type(at[path[-1]]) is type(value):
                continue
            at[path[-1]] = value
            with part.open("wb") as file:
                archive.write(file, ".npz", changed, arrays)
            if version == 2:
                assert is_refused(part, of, first, state), path
            else:
                loaded(part, of, first)


def test_one_of_version_1_goes_on(part, of, first, state):
    manifest, arrays = archive.read(part)
    del manifest["checksum"], manifest["of"]["field"], arrays["follows"]
    manifest["version"] = 1
    with part.open("wb") as file:
        archive.write(file, ".npz", manifest, arrays)
    assert same(states.load(part, of, first), state)


def test_one_of_a_later_version(part, of, first):
    manifest, arrays = archive.read(part)
    manifest["version"] = 3
    with part.open("wb") as file:
        archive.write(file, ".npz", manifest, arrays)
    with pytest.raises(AttnvizError, match=r"version 3 .* reads up to 2"):
        states.load(part, of, first)


def test_what_is_not_a_state(part, of, first):
    with part.open("wb") as file:
        np.savez(file, weights=np.eye(3))
    with pytest.raises(AttnvizError, match="is not the state of a scan"):
        states.load(part, of, first)


def test_the_same_state_gives_the_same_bytes(part, state, of):
    before = part.read_bytes()
    states.save(part, state, of)
    assert part.read_bytes() == before
    with zipfile.ZipFile(io.BytesIO(before)) as file:
        assert "manifest.npy" in file.namelist()
