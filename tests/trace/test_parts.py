"""Every matrix of weights of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.nn.masks import parse
from attnviz.trace.parts import Stated, parts_of_arrays, with_masks

HERE = Path("weights.npz")


def parts(arrays, true_is="visible", **stated):
    return list(parts_of_arrays(HERE, with_masks(arrays, true_is), Stated(**stated)))


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((7,), ["w"]),
        ((5, 7), ["w"]),
        ((3, 5, 7), ["w"]),
        ((2, 3, 5, 7), ["w[0]", "w[1]"]),
        ((2, 1, 3, 5, 7), ["w[0, 0]", "w[1, 0]"]),
    ],
)
def test_all_layers_and_items_are_read(generator, shape, names):
    w = generator.random(shape)
    found = parts({"w": w})
    assert [part.record for part in found] == names
    assert sum(part.weights.size for part in found) == w.size
    assert found[0].by_head == (len(shape) > 2)
    np.testing.assert_array_equal(found[-1].weights, w.reshape(-1, *found[0].weights.shape)[-1])


def test_arrays_of_weights_are_told_from_others(generator):
    w = generator.random((2, 3, 5, 7))
    arrays = {"attentions.1": w, "attentions.0": w, "attentions.0.q": w, "mask": np.ones((5, 7))}
    assert {part.record[:12] for part in parts(arrays)} == {"attentions.0", "attentions.1"}
    assert len(parts({"first": w, "second": w})) == 4
    assert [part.record for part in parts(arrays, array="attentions.0.q")] == [
        "attentions.0.q[0]",
        "attentions.0.q[1]",
    ]
    with pytest.raises(AttnvizError, match="holds no weights: q, k, v"):
        parts({"q": w, "k": w, "v": w})
    with pytest.raises(AttnvizError, match="no array 'weight'"):
        parts({"weights": w}, array="weight")


@pytest.mark.parametrize(
    "shape", [(5, 7), (2, 7), (2, 1, 1, 7), (2, 5, 7), (3, 5, 7), (2, 3, 5, 7), (1, 1, 5, 7)]
)
def test_a_mask_finds_its_axes(generator, shape):
    w = generator.random((2, 3, 5, 7))
    mask = generator.random(shape) < 0.5
    by_axis = {(2, 7): (2, 1, 1, 7), (2, 5, 7): (2, 1, 5, 7)}.get(shape, shape)
    full = np.broadcast_to(mask.reshape(by_axis), w.shape)
    for item, part in enumerate(parts({"weights": w, "attention_mask": mask})):
        np.testing.assert_array_equal(np.broadcast_to(part.visible, (3, 5, 7)), full[item])
        assert part.mask == "attention_mask"
    for item, part in enumerate(parts({"weights": w, "mask": mask}, true_is="hidden")):
        np.testing.assert_array_equal(np.broadcast_to(part.visible, (3, 5, 7)), ~full[item])


def test_a_padding_mask_is_true_where_a_key_is_padding(generator):
    w = generator.random((2, 3, 5, 7))
    padding = np.arange(7) >= np.array([[7], [4]])
    found = parts({"weights": w, "key_padding_mask": padding})
    assert [np.broadcast_to(part.visible, (3, 5, 7)).sum() for part in found] == [105, 60]


def test_a_stated_mask_stands_for_that_of_the_file(generator):
    w, mask = generator.random((3, 5, 7)), np.zeros((5, 7), bool)
    (part,) = parts({"weights": w, "mask": mask}, mask=parse("causal"))
    np.testing.assert_array_equal(part.visible[0], np.tri(5, 7, 2, dtype=bool))
    (part,) = parts({"weights": w}, mask=parse("causal"), alignment="upper_left")
    np.testing.assert_array_equal(part.visible[0], np.tri(5, 7, dtype=bool))
    with pytest.raises(AttnvizError, match=r"mask has the shape \[4, 7\].*\[3, 5, 7\]"):
        parts({"weights": w, "mask": mask[:4]})


def test_nan_may_stand_for_masked_cells(generator):
    w = generator.random((3, 5, 7))
    w[:, 1, 2] = np.nan
    (part,) = parts({"weights": w}, nan="masked")
    assert not part.visible[:, 1, 2].any()
    assert part.visible.sum() == w.size - 3
    assert np.isfinite(part.weights).all()


def test_bfloat16_as_numpy_writes_it(generator):
    weights = generator.dirichlet(np.ones(5), (2, 3)).astype(np.float32)
    bits = (weights.view(np.uint32) >> 16).astype(np.uint16)
    (part,) = parts({"w": bits.view("V2")})
    np.testing.assert_array_equal(part.weights, (bits.astype(np.uint32) << 16).view(np.float32))
    assert part.eps == 2.0**-7
