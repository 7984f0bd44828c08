"""Anybody's dump, by role."""

from __future__ import annotations

import json

import numpy as np
import pytest

from attnviz import archive
from attnviz.archive import npy
from attnviz.errors import AttnvizError
from attnviz.trace import dump
from attnviz.trace.dtypes import canonical, true_type
from attnviz.trace.dump import read_dump, read_dumps, widened

SHAPE = (2, 3, 5, 7)


@pytest.fixture
def q(generator):
    return generator.normal(size=SHAPE).astype(np.float32)


def saved(tmp_path, name="dump.npz", **arrays):
    path = tmp_path / name
    np.savez(path, **arrays)
    return [path]


def bfloat16_bits(x):
    """Rounded towards 0: the upper half of each number."""
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def test_roles_and_names(tmp_path, q):
    found = read_dump(
        saved(tmp_path, query_states=q, key_states=q, value_states=q, attn_output=q,
              attention_mask=np.ones((2, 5), int), numHeads=3, is_causal=True, strange=q)
    )  # fmt: skip
    assert found.names == {
        "q": "query_states", "k": "key_states", "v": "value_states", "context": "attn_output",
        "mask": "attention_mask", "n_head": "numHeads", "causal": "is_causal",
    }  # fmt: skip
    assert found.unread == ("strange",)
    assert "strange" in found.notes[-1]
    np.testing.assert_array_equal(found.arrays["q"], q)


def test_two_arrays_of_a_role_are_both_kept(tmp_path, q):
    mask, padding = np.ones((5, 5), bool), np.ones((2, 5), bool)
    found = read_dump(
        saved(tmp_path, q=q, k=q, v=q, out=q, causal_mask=mask, attention_mask=padding)
    )
    assert found.arrays["mask"].shape == (5, 5)
    assert found.arrays["mask.2"].shape == (2, 5)


def test_files_and_folders_are_named_by_their_stems(tmp_path, q):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("q", "k", "v", "out"):
        np.save(folder / f"{name}.npy", q)
    for paths in ([folder], sorted(folder.glob("*.npy"))):
        found = read_dump(paths)
        assert set(found.arrays) == {"q", "k", "v", "context"}
    alone = [*saved(tmp_path, "q.npz", arr_0=q), *saved(tmp_path, "out.npz", arr_0=q)]
    assert set(read_dump(alone).arrays) == {"q", "context"}


def test_arrays_that_are_only_numbered(tmp_path, q):
    path = tmp_path / "dump.npz"
    np.savez(path, q, q + 1, q + 2, q + 3)
    np.testing.assert_array_equal(read_dump([path]).arrays["context"], q + 3)


def test_layers(tmp_path, q):
    arrays = {f"layers.{i}.self_attn.{name}_proj": q + i for i in range(2) for name in "qkv"}
    outputs = {f"layers.{i}.attn_out": q - i for i in range(2)}
    paths = saved(tmp_path, **arrays, **outputs, attention_mask=np.ones((2, 5), int))
    first, second = read_dumps(paths)
    assert first.layer == ("layers", "0", "self", "attn")
    np.testing.assert_array_equal(second.arrays["context"], q - 1)
    np.testing.assert_array_equal(second.arrays["q"], q + 1)
    assert first.arrays["mask"].shape == second.arrays["mask"].shape == (2, 5)
    with pytest.raises(AttnvizError, match=r"holds 2 layers: layers\.0\.self\.attn, layers\.1"):
        read_dump(paths)


def test_bfloat16_is_read_from_its_bits(tmp_path, q):
    bits = bfloat16_bits(q)
    right = (bits.astype(np.uint32) << 16).view(np.float32)
    for stored in (bits, bits.view(np.int16), bits.view("V2")):
        found = read_dump(saved(tmp_path, q=stored))
        np.testing.assert_array_equal(found.arrays["q"], right)
        assert found.dtypes["q"] == "bfloat16"
        assert "bits of bfloat16" in found.notes[0]
    for said in ({"q": "bf16"}, {"*": "bfloat16"}, {"x": "torch.bfloat16", "q": "bfloat16"}):
        found = read_dump(saved(tmp_path, q=bits, x=bits), said)
        np.testing.assert_array_equal(found.arrays["q"], right)
        assert not any("q: " in note for note in found.notes)
    wide = bits.astype(np.uint32) << 16
    np.testing.assert_array_equal(
        read_dump(saved(tmp_path, q=wide), {"q": "bf16"}).arrays["q"], right
    )


def test_half_precision_from_its_bits(tmp_path, q):
    half = q.astype(np.float16)
    found = read_dump(saved(tmp_path, q=half.view(np.uint16)))
    assert found.dtypes["q"] == "float16"
    np.testing.assert_array_equal(found.arrays["q"], half)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("widened", ["float16", "float32", "float64"])
def test_the_type_is_found_where_numbers_were_widened(generator, dtype, widened):
    if np.dtype(widened).itemsize < np.dtype(dtype).itemsize:
        return
    x = generator.normal(size=SHAPE).astype(dtype)
    assert true_type(x.astype(widened)) == dtype


def test_bfloat16_is_found_where_it_was_widened(q):
    wide = (bfloat16_bits(q).astype(np.uint32) << 16).view(np.float32)
    assert true_type(wide) == true_type(wide.astype(np.float64)) == "bfloat16"


def test_whole_numbers_are_no_half_precision(generator):
    for x in (np.arange(60), np.eye(11), np.zeros(13), generator.integers(-90, 90, 211)):
        assert true_type(x.astype(np.float32)) == "float32"
        assert true_type(x.astype(np.float64)) == "float64"


def test_what_is_not_a_number_is_counted(tmp_path, q):
    q[1, 2, 3, 4], q[1, 2, 4, 0], q[0, 0, 0, 0] = np.nan, np.nan, -np.inf
    census = read_dump(saved(tmp_path, q=q, k=np.ones(SHAPE))).census
    assert set(census) == {"q"}
    assert census["q"] == (2, 1, q.size, (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("arrays", "dtypes", "message", "hint"),
    [
        ({"a": np.ones(3), "b": np.ones(2)}, {}, "no array is named as q, k, v or the output: a [3]", "np.savez"),
        ({"q": np.array(["x"])}, {}, "q holds <U1 [1]; expected numbers", "np.savez"),
        ({"q": np.zeros((0, 3))}, {}, "q is empty, [0, 3]", ""),
        ({"q": np.arange(9, dtype=np.uint16)}, {}, "q holds uint16, which are bits of some", "--dtype q=bf16"),
        ({"q": np.ones(3)}, {"q": "int7"}, "unknown type 'int7'", "known: bfloat16"),
        ({"q": np.ones(3)}, {"k": "bf16"}, "--dtype k: there is no such array", "there are q [3]"),
        ({"q": np.arange(9)}, {"q": "bf16"}, "q holds int64, which are not the bits of bfloat16", "2 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(tmp_path, arrays, dtypes, message, hint):
    with pytest.raises(AttnvizError) as caught:
        read_dump(saved(tmp_path, **arrays), dtypes)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "objects.npz", q=np.array([{}], object))
    with pytest.raises(AttnvizError, match="pickled Python objects, which are never loaded"):
        read_dump([tmp_path / "objects.npz"])
    (tmp_path / "dump.pt").write_bytes(b"\x80\x02")
    with pytest.raises(AttnvizError, match="a pickle of PyTorch's, which is never") as caught:
        read_dump([tmp_path / "dump.pt"])
    assert "weights_only=True" in caught.value.hint


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_files_stay_where_they_are(tmp_path, q, order, monkeypatch):
    monkeypatch.setattr(archive, "LARGE", 1)
    monkeypatch.setattr(npy, "CHUNK", 1)
    turned = np.asarray(q, order=order)
    np.save(tmp_path / "q.npy", turned)
    np.savez(tmp_path / "stored.npz", q=turned, mask=np.ones((5, 5), bool))
    np.savez_compressed(tmp_path / "small.npz", q=turned, mask=np.ones((5, 5), bool))
    for name, is_mapped in (("q.npy", True), ("stored.npz", True), ("small.npz", False)):
        found = read_dump([tmp_path / name]).arrays
        np.testing.assert_array_equal(found["q"], q)
        assert isinstance(found["q"], np.memmap) == is_mapped
    path = tmp_path / "stored.npz"
    path.write_bytes(path.read_bytes()[: q.nbytes // 2])
    with pytest.raises(AttnvizError, match=r"is damaged or not a \.npz file"):
        read_dump([path])


def test_bfloat16_of_safetensors_is_known(tmp_path):
    whole = np.arange(-4, 6, dtype=np.float32)
    header = {
        name: {"dtype": "BF16", "shape": [10], "data_offsets": [20 * i, 20 * i + 20]}
        for i, name in enumerate(("q", "mask"))
    }
    text = json.dumps(header).encode()
    path = tmp_path / "dump.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bfloat16_bits(whole).tobytes() * 2)
    found = read_dump([path])
    np.testing.assert_array_equal(found.arrays["q"], whole)
    np.testing.assert_array_equal(found.arrays["mask"], whole)
    assert found.dtypes["q"] == "bfloat16"
    assert not found.notes


def test_large_arrays_of_bfloat16_keep_their_bits(tmp_path, q, monkeypatch):
    monkeypatch.setattr(dump, "LARGE", 1)
    q[0, 1, 2, 3] = np.inf
    bits = bfloat16_bits(q)
    found = read_dump(saved(tmp_path, q=bits))
    assert found.arrays["q"].dtype == np.uint16
    np.testing.assert_array_equal(
        widened(found.arrays["q"], found.dtypes["q"]), (bits.astype(np.uint32) << 16).view("f4")
    )
    assert found.census["q"].infinite == 1


def test_a_type_for_all_leaves_masks_as_they_are(tmp_path, q):
    bits = bfloat16_bits(q)
    found = read_dump(
        saved(tmp_path, q=bits, mask=np.ones((5, 5), bool), attn_bias=bits[0, 0]), {"*": "bf16"}
    )
    assert found.arrays["mask"].dtype == bool
    assert found.arrays["bias"].dtype == np.float32


def test_what_is_no_file_of_arrays(tmp_path):
    (tmp_path / "q.txt").write_text("tensor([[0.1, 0.2, ..., 0.3]])")
    with pytest.raises(AttnvizError, match="is printed text, which leaves out most numbers"):
        read_dump([tmp_path / "q.txt"])
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(AttnvizError, match=r"holds no \.npy files"):
        read_dump([folder])
    (folder / "q.pt").write_bytes(b"")
    with pytest.raises(AttnvizError, match=r"holds pickles of PyTorch's, q\.pt for example"):
        read_dump([folder])
    np.savez(folder / "dump.npz", q=np.ones(3))
    assert read_dump([folder]).names == {"q": "q"}


def test_types_as_people_write_them():
    assert [canonical(text) for text in ("bf16", "torch.float16", "FP32", "double")] == [
        "bfloat16", "float16", "float32", "float64"
    ]  # fmt: skip
