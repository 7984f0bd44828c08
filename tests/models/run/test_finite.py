"""NaN and infinity in weights: an error that names the tensor, when they reach what is shown."""

from __future__ import annotations

import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models import PACKAGED
from attnviz.models.formats.safetensors import SafetensorsFile
from attnviz.models.run import finite
from attnviz.models.run.finite import NonFinite, first_fault
from tests.conftest import GOLDEN

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


def spoil(folder: Path, name: str, place: tuple[int, ...], value: float = np.nan) -> Path:
    tensors = load_file(folder / "model.safetensors")
    tensors[name][place] = value
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def copy(tmp_path) -> Path:
    shutil.copytree(GOLDEN / "bert-tiny", tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_tensor_is_named(copy, value):
    spoil(copy, QUERY, (5, 7), value)
    with pytest.raises(AttnvizError) as error:
        attnviz.run([2, 7, 3], model=str(copy))
    assert (
        f"{copy}/model.safetensors: the tensor {QUERY} holds NaN or infinity" in error.value.message
    )
    assert f"in 1 of 144 places; the first is [5, 7]: {value}" in error.value.message
    assert error.value.hint


@pytest.mark.parametrize("kept", [{}, {"hidden_states": True}, {"stages": ()}])
def test_behind_the_last_attention(copy, kept):
    """No weight that is shown depends on the last block's output: the model is broken all the
    same."""
    spoil(copy, "bert.encoder.layer.1.output.dense.bias", (3,))
    with pytest.raises(
        AttnvizError, match=r"layer\.1\.output\.dense\.bias holds .* first is \[3\]"
    ):
        attnviz.run([2, 7, 3], model=str(copy), **kept)


def test_a_row_that_is_not_read_does_not_matter(copy):
    """Of a token that is not in the text: no number shown depends on it."""
    spoil(copy, "bert.embeddings.word_embeddings.weight", (9, 0))
    assert np.isfinite(attnviz.run([2, 7, 3], model=str(copy)).records[1].weights).all()
    with pytest.raises(AttnvizError, match=r"word_embeddings\.weight holds .* first is \[9, 0\]"):
        attnviz.run([2, 9, 3], model=str(copy))


def test_numbers_that_overflow_are_no_broken_weights(copy):
    """All weights are numbers: what comes out is shown, with its warning."""
    spoil(copy, QUERY, (slice(None), slice(None)), 3e38)
    trace = attnviz.run([2, 7, 3], model=str(copy))
    assert not np.isfinite(trace.records[1].weights).all()


def test_masked_cells_are_no_infinity(copy):
    trace = attnviz.run([2, 7, 3], model=str(copy), mask="causal", stages=("logits", "weights"))
    assert np.isneginf(trace.records[0].logits).any()


@pytest.fixture
def broken_tagger(tmp_path) -> Path:
    folder = tmp_path / "tagger"
    shutil.copytree(PACKAGED / "tagger", folder)
    (folder / "card.json").unlink()
    return spoil(folder, "output.bias", (2,))


def test_tags_of_a_broken_output(broken_tagger):
    with pytest.raises(AttnvizError, match=r"the tensor output\.bias holds .* first is \[2\]: nan"):
        attnviz.run("I saw", model=str(broken_tagger))


def test_decoding(tmp_path):
    folder = tmp_path / "induction"
    shutil.copytree(PACKAGED / "induction", folder)
    (folder / "card.json").unlink()
    spoil(folder, "output.bias", (2,))
    from attnviz.models import load_model
    from attnviz.models.run.generate import generate
    from attnviz.models.run.inputs import read_text

    model = load_model(str(folder))
    with pytest.raises(AttnvizError, match=r"the tensor output\.bias holds"):
        generate(model, read_text(model, "abcab"))


@given(
    array=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        elements=st.sampled_from([0.0, 1.0, np.nan, np.inf]),
    ),
    chunk=st.integers(1, 9),
)
def test_whatever_the_chunks(tmp_path_factory, array, chunk):
    path = tmp_path_factory.mktemp("array") / "a.safetensors"
    save_file({"a": array}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finite, "CHUNK", chunk)
        found = first_fault(SafetensorsFile(path), "a")
    bad = np.argwhere(~np.isfinite(array))
    if not len(bad):
        assert found is None
        return
    first = tuple(bad[0])
    assert found is not None
    assert found[:2] == (len(bad), first)
    np.testing.assert_equal(found.value, float(array[first]))


def test_half_precision(tmp_path):
    bits = struct.pack("<3H", 0x3F80, 0x7FC0, 0xFF80)  # 1, NaN, -inf
    header = b'{"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}'
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bits)
    found = first_fault(SafetensorsFile(path), "a")
    assert found is not None
    assert found[:2] == (2, (1,))
    assert isinstance(found, NonFinite)


def test_a_whole_model_in_a_second_of_work(minilm, tmp_path):
    for file in minilm.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    spoil(tmp_path, "encoder.layer.5.attention.self.key.weight", (0, 0))
    start = time.process_time()
    with pytest.raises(AttnvizError, match=r"layer\.5\.attention\.self\.key\.weight"):
        attnviz.run("I saw a saw", model=str(tmp_path))
    assert time.process_time() - start < 1
