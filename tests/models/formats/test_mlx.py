"""Weights that MLX quantised."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.formats.mlx import MLXWeights, is_affine, unpacked
from attnviz.models.formats.safetensors import SafetensorsFile
from tests.conftest import GOLDEN
from tests.models.build.families import goldens

BITS = (2, 3, 4, 5, 6, 8)
SIZE = 32
PARTS = ("weight", "scales", "biases")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "mlx.npz") as file:
        return dict(file)


def said(bits, **more):
    return {"quantization": {"group_size": SIZE, "bits": bits, **more}}


def opened(tmp_path, golden, bits, config=None):
    save_file({f"a.{part}": golden[f"{bits}/{part}"] for part in PARTS}, tmp_path / "w.safetensors")
    return MLXWeights(SafetensorsFile(tmp_path / "w.safetensors"), config or said(bits))


@pytest.mark.parametrize("bits", BITS)
def test_the_numbers_are_those_of_mlx(golden, bits, tmp_path):
    file = opened(tmp_path, golden, bits)
    expected = golden[f"{bits}/numbers"]
    assert dict(file.shapes) == {"a.weight": expected.shape}
    assert file.copies("a.weight")
    np.testing.assert_allclose(file.read("a.weight"), expected, atol=1e-6)
    np.testing.assert_array_equal(file.read("a.weight", slice(1, 3)), file.read("a.weight")[1:3])
    np.testing.assert_array_equal(
        file.read("a.weight", np.array([2, 0])), file.read("a.weight")[[2, 0]]
    )


@pytest.mark.parametrize("bits", BITS)
def test_unpacking_against_a_loop(generator, bits):
    n = 64
    codes = generator.integers(0, 1 << bits, (3, n))
    words = np.zeros((3, n * bits // 32), np.uint32)
    for row in range(3):
        stream = sum(int(code) << number * bits for number, code in enumerate(codes[row]))
        for word in range(words.shape[1]):
            words[row, word] = stream >> 32 * word & 0xFFFFFFFF
    np.testing.assert_array_equal(unpacked(words, bits), codes)


def test_a_matrix_may_have_bits_of_its_own(golden, tmp_path):
    config = said(4, a={"group_size": SIZE, "bits": 6})
    file = opened(tmp_path, golden, 6, config)
    np.testing.assert_allclose(file.read("a.weight"), golden["6/numbers"], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (said(8), r"weight \[3, 16\] and scales \[3, 4\] do not fit 8 bits in groups of 32"),
        (said(7), "bits = 7"),
        ({"quantization": {"group_size": "x", "bits": 4}}, "group_size = x"),
    ],
)
def test_what_does_not_fit_is_named(golden, config, message, tmp_path):
    with pytest.raises(AttnvizError, match=f"a, quantised by MLX: .*{message}"):
        opened(tmp_path, golden, 4, config)


@pytest.mark.parametrize(
    ("config", "is_read"),
    [
        (said(4), True),
        (said(4, mode="affine"), True),
        (said(4) | {"quantization_config": said(4)["quantization"]}, True),
        (said(4, mode="mxfp4"), False),
        (said(4) | {"quantization_config": {"quant_method": "gptq"}}, False),
        ({"quantization": 4}, False),
        ({}, False),
    ],
)
def test_which_configs_are_read(config, is_read):
    assert is_affine(config) == is_read


def test_a_folder(generator, tmp_path):
    """A checkpoint quantised as MLX does it runs like one of the numbers that are left."""
    variant = goldens.FAMILIES / "llama-3"
    tensors = load_file(variant / "model.safetensors")
    config = json.loads((variant / "config.json").read_text())
    name = "model.layers.0.mlp.up_proj"
    words = generator.integers(0, 1 << 32, (29, 2), dtype=np.uint32)
    scale, shift = (generator.standard_normal((29, 1)).astype(np.float32) for _ in range(2))
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    for folder, more, settings in (
        (plain, {f"{name}.weight": unpacked(words, 4) * scale + shift}, {}),
        (packed, {f"{name}.weight": words, f"{name}.scales": scale, f"{name}.biases": shift},
         {"quantization": {"group_size": 16, "bits": 4}}),
    ):  # fmt: skip
        folder.mkdir()
        save_file({**tensors, **more}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config | settings))
    first, second = (
        attnviz.run([7, 9, 21], model=str(folder), logits=True) for folder in (plain, packed)
    )
    np.testing.assert_allclose(first.logits, second.logits, atol=1e-6)
