"""Weights of four bits, number by number, and a gpt-oss that has them."""

from __future__ import annotations

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.models.build.mxfp4 import unpacked
from tests.models.build.families import checkpoints, goldens

N_ROW, N_BLOCK = 3, 2


def fp4(bits):
    """Sign, two bits of the exponent with a bias of 1, one of the fraction; 0 is denormal."""
    sign, exponent, fraction = bits >> 3, (bits >> 1) & 3, bits & 1
    size = (1 + fraction / 2) * 2 ** (exponent - 1) if exponent else fraction / 2
    return -size if sign else size


def by_hand(blocks, scales):
    """blocks [n_row, n_block, 16], scales [n_row, n_block]"""
    rows = []
    for row, row_scales in zip(blocks, scales, strict=True):
        numbers = []
        for block, scale in zip(row, row_scales, strict=True):
            for byte in block:
                for bits in (int(byte) & 15, int(byte) >> 4):
                    numbers.append(fp4(bits) * 2.0 ** (int(scale) - 127))
        rows.append(numbers)
    return np.array(rows, np.float32)


def packed(generator, *shape):
    """Blocks and scales of random numbers of about 0.2, [*shape]."""
    *leading, d_in = shape
    blocks = generator.integers(0, 256, (*leading, d_in // 32, 16)).astype(np.uint8)
    return blocks, generator.integers(121, 125, (*leading, d_in // 32)).astype(np.uint8)


def test_number_by_number(generator):
    blocks, _ = packed(generator, N_ROW, 32 * N_BLOCK)
    scales = generator.integers(2, 250, (N_ROW, N_BLOCK)).astype(np.uint8)
    assert {int(b) & 15 for b in blocks.ravel()} == set(range(16))
    np.testing.assert_array_equal(unpacked(blocks, scales), by_hand(blocks, scales))


def write(folder, config, tensors):
    formats = {np.dtype(np.uint8): "U8", np.dtype(np.float32): "F32"}
    stored = {name: (formats[array.dtype], array) for name, array in tensors.items()}
    return checkpoints.write_stored(folder, config, stored)


@pytest.fixture
def model(generator, tmp_path):
    """A gpt-oss with packed experts, the same with its numbers as they are, and both folders."""
    config, tensors = checkpoints.read(goldens.FAMILIES / "gpt_oss")
    config |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    config["layer_types"] = ["sliding_attention"]
    plain = {}
    for name, tensor in tensors.items():
        if ".layers.1." not in name:
            shape = [{16: 32, 7: 64, 14: 128}.get(size, size) for size in tensor.shape]
            plain[name] = (generator.normal(size=shape) / shape[-1] ** 0.5).astype(np.float32)
    small = dict(plain)
    for name in list(plain):
        if name.endswith(("gate_up_proj", "down_proj")):
            n, d_in, d_out = plain[name].shape
            blocks, scales = packed(generator, n, d_out, d_in)
            small |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
            del small[name]
            matrices = [by_hand(*pair).T for pair in zip(blocks, scales, strict=True)]
            plain[name] = np.ascontiguousarray(np.stack(matrices))
    return config, small, plain


@pytest.mark.parametrize("largest", [0, 1 << 16])
def test_a_model_of_packed_experts(largest, model, tmp_path, monkeypatch):
    monkeypatch.setattr("attnviz.models.build.tensors.MAX_EAGER_SIZE", largest)
    config, small, plain = model
    quantised = config | {"quantization_config": {"quant_method": "mxfp4"}}
    folders = [
        write(tmp_path / "small", quantised, small),
        write(tmp_path / "plain", config, plain),
    ]
    ids = [7, 9, 21, 33, 12, 40, 5]
    first, second = (attnviz.run(ids, model=str(f), logits=True) for f in folders)
    np.testing.assert_allclose(first.logits, second.logits, atol=1e-6)
    assert first.model.n_parameter == second.model.n_parameter


def test_blocks_that_do_not_fit(model, tmp_path):
    config, small, _ = model
    name = "model.layers.0.mlp.experts.down_proj_scales"
    short = small | {name: small[name][..., :1]}
    with pytest.raises(AttnvizError, match=r"down_proj_scales has the shape \[5, 32, 1\]"):
        attnviz.run([7], model=str(write(tmp_path / "short", config, short)))


def test_another_family_says_that_they_are_quantised(tmp_path):
    config, tensors = checkpoints.read(goldens.FAMILIES / "llama")
    config["quantization_config"] = {"quant_method": "mxfp4"}
    with pytest.raises(AttnvizError, match=r"quantised \(mxfp4\)"):
        attnviz.run([7], model=str(checkpoints.write(tmp_path / "llama", config, tensors)))
