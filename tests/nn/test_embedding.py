"""Pieces of words, patches of images, frames of sounds."""

from __future__ import annotations

from functools import partial

import numpy as np

from attnviz.nn.activations import relu
from attnviz.nn.convolution import Convolution
from attnviz.nn.embedding import Embedding, Input, PatchEmbedding, SoundEmbedding, TokenDropout
from attnviz.nn.linear import Linear
from attnviz.nn.masks import padded
from attnviz.nn.norms import LayerNorm, layer_norm
from attnviz.nn.patches import GridPositions, cut


def test_pieces_are_added_before_the_scale(generator):
    table, pieces = generator.normal(size=(4, 6)), generator.normal(size=(9, 6))
    embedding = Embedding(tokens=partial(np.take, table, axis=0), pieces=pieces, scale=2.0)
    ids, parts = np.array([1, 3]), np.array([[0, 8, 8], [2, 3, 4]])
    expected = 2 * np.stack([table[1] + pieces[0] + 2 * pieces[8], table[3] + pieces[2:5].sum(0)])
    np.testing.assert_allclose(embedding(Input(ids, pieces=parts)), expected)


def test_positions_go_on_where_a_cache_ends():
    embedding = Embedding(
        tokens=lambda ids: np.zeros((len(ids), 1)), positions=lambda p: p[:, None]
    )
    np.testing.assert_array_equal(embedding(Input(np.zeros(3), first=4)), [[4], [5], [6]])


def test_patches(generator):
    """The tokens of no patch first, then each patch by itself, and where each of them is."""
    weight, bias = generator.normal(size=(5, 12)), generator.normal(size=5)
    first, grid = generator.normal(size=(2, 5)), generator.normal(size=(2, 3, 5))
    positions = GridPositions(grid)
    embed = PatchEmbedding(Linear(weight, bias), first, positions, (2, 2))
    image = generator.normal(size=(3, 4, 6))
    patches = cut(image, (2, 2)) @ weight.T + bias
    expected = np.concatenate([first, patches + positions(2, 3)])
    np.testing.assert_allclose(embed(Input(pixels=image)), expected, atol=1e-12)
    both = embed(Input(pixels=np.stack([image, 2 * image])))
    np.testing.assert_allclose(both[0], expected, atol=1e-12)
    placed = embed._replace(first_positions=grid[0, :1])(Input(pixels=image))
    np.testing.assert_allclose(placed, expected + np.eye(8, 1) * grid[0, 0], atol=1e-12)
    larger = embed(Input(pixels=np.zeros((3, 7, 10))))
    np.testing.assert_allclose(larger[2:], bias + positions(3, 5), atol=1e-12)
    bare = embed._replace(positions=None, norm=LayerNorm())(Input(pixels=image))
    expected = layer_norm(np.concatenate([first, patches]))
    np.testing.assert_allclose(bare, expected, atol=1e-12)


def test_masked_tokens_count_as_dropped(generator):
    """Token by token; of 7 tokens 2 are padding, and of the other 5 one is masked."""
    table = generator.standard_normal((11, 3))
    ids = np.array([4, 9, 2, 2, 10, 1, 1])
    embed = Embedding(partial(np.take, table, axis=0), dropout=TokenDropout(9, in_training=0.25))
    found = embed(Input(ids, mask=padded((5,))))
    for row, token in zip(found, ids, strict=True):
        expected = np.zeros(3) if token == 9 else table[token] * 0.75 / (4 / 5)
        np.testing.assert_allclose(row, expected, rtol=1e-6)
    np.testing.assert_allclose(embed(Input(ids))[0], table[4] * 0.75 / (6 / 7), rtol=1e-6)


def test_a_sound_by_a_loop(generator):
    """As PyTorch's Conv1d with padding 1, twice, the second with stride 2."""
    n_mel, d, n_frame = 3, 5, 14
    kernels = generator.normal(size=(3, d, n_mel)), generator.normal(size=(3, d, d))
    biases = generator.normal(size=(2, d))
    positions, sound = generator.normal(size=(7, d)), generator.normal(size=(n_mel, n_frame))
    embed = SoundEmbedding(
        Convolution(kernels[0], biases[0]), Convolution(kernels[1], biases[1], stride=2), relu,
        positions,
    )  # fmt: skip
    x = sound.T
    for kernel, bias, stride in zip(kernels, biases, (1, 2), strict=True):
        wide = np.pad(x, ((1, 1), (0, 0)))
        x = np.array(
            [
                np.maximum(0, bias + sum(kernel[tap] @ wide[i + tap] for tap in range(3)))
                for i in range(0, len(x), stride)
            ]
        )
    np.testing.assert_allclose(embed(Input(sound=sound)), x + positions, atol=1e-12)
