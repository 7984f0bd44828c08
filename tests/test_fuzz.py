"""Files that anybody may have made or spoilt: shown, or refused in a sentence."""

from __future__ import annotations

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import attnviz
from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.render.terminal import render
from attnviz.render.terminal.screen import Screen
from attnviz.trace.selection import Selection
from attnviz.views.attention import attention_views

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 99), st.floats(), st.text(max_size=5),
    st.just("\x1b]0;x\x07"), st.just([]), st.just({}), st.lists(st.integers(), max_size=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    trace = attnviz.run(
        "I saw", model="random", mask="causal+window:size=1", stages=("weights", "logits", "q")
    )
    return trace.manifest(), trace.arrays()


def places(value, here=()):
    """Every path into nested lists and objects."""
    yield here
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*here, key))


def changed(value, place, new):
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return value


def shown(path):
    """What `attnviz show` does with a file."""
    trace = attnviz.load(path)
    views = attention_views(trace, Selection(), top=9)
    for screen in (Screen(60), Screen(60, 256)):
        text = render(views, screen).decode()
    assert "\x07" not in text
    assert "\x1b]" not in text


def shown_or_refused(path):
    with contextlib.suppress(AttnvizError):
        shown(path)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(data=st.data())
def test_any_change_of_a_manifest(whole, tmp_path, data):
    manifest, arrays = whole
    place = data.draw(st.sampled_from([p for p in places(manifest) if p]))
    spoilt = changed(manifest, place, data.draw(ODD))
    path = tmp_path / "t.npz"
    np.savez(path, manifest=np.array(json.dumps(spoilt)), **arrays)
    shown_or_refused(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_array_in_place_of_another(whole, tmp_path, data):
    manifest, arrays = whole
    name = data.draw(st.sampled_from(list(arrays)))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=4))
    kind = data.draw(st.sampled_from(["f4", "f8", "f2", "i8", "?", "u1", "U3", "c8"]))
    path = tmp_path / "t.npz"
    np.savez(
        path, manifest=np.array(json.dumps(manifest)), **arrays | {name: np.zeros(shape, kind)}
    )
    shown_or_refused(path)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200
)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".json"])
@pytest.mark.filterwarnings("ignore")  # NumPy's own of headers that lie
def test_any_byte_changed(whole, tmp_path, suffix, data):
    file = io.BytesIO()
    archive.write(file, suffix, *whole)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    shown_or_refused(path)
