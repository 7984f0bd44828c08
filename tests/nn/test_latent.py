"""Latent attention's projections, token by token and head by head."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.nn.latent import LatentKeys, LowRank, RotaryBehind
from attnviz.nn.linear import Linear
from attnviz.nn.multi_head import MultiHeadAttention, RecordNothing, Stream, SublayerContext
from attnviz.nn.norms import RMSNorm
from attnviz.nn.rotary import RotaryEmbedding
from attnviz.nn.scratch import Scratch

D_MODEL, D_LATENT, N_HEAD, D_CONTENT, D_ROTARY, D_VALUE, N = 11, 7, 3, 5, 4, 13, 17
EPS = 0.1


@pytest.fixture
def parts(generator):
    def linear(d_out, d_in):
        return Linear(generator.normal(size=(d_out, d_in)) / d_in**0.5)

    norm = RMSNorm(generator.normal(size=D_LATENT), EPS)
    down, shared = linear(D_LATENT, D_MODEL), linear(D_ROTARY, D_MODEL)
    query = LowRank(down, norm, linear(N_HEAD * (D_CONTENT + D_ROTARY), D_LATENT))
    keys = LatentKeys(LowRank(down, norm, linear(N_HEAD * D_CONTENT, D_LATENT)), shared, N_HEAD)
    values = LowRank(down, norm, linear(N_HEAD * D_VALUE, D_LATENT))
    return query, keys, values, linear(D_MODEL, N_HEAD * D_VALUE)


def low_rank(part, x):
    latent = part.down.weight @ x
    latent = latent / np.sqrt((latent**2).mean() + EPS) * part.norm.gain
    return part.up.weight @ latent


def test_keys_of_each_head(parts, generator):
    _, keys, _, _ = parts
    x = generator.normal(size=(N, D_MODEL))
    width = D_CONTENT + D_ROTARY
    room = np.empty((N, N_HEAD * width))
    assert keys(x, room) is room
    for found, row in zip(room, x, strict=True):
        content = low_rank(keys.content, row).reshape(N_HEAD, D_CONTENT)
        for head in range(N_HEAD):
            expected = [*content[head], *(keys.shared.weight @ row)]
            np.testing.assert_allclose(found[head * width : (head + 1) * width], expected)
    np.testing.assert_array_equal(keys(x), room)
    assert keys.weight.shape == (N_HEAD * width, D_MODEL)


def test_attention_scores_are_content_and_rotary(parts, generator):
    """Σ over the content's features, plus the rotated ones of the pair's distance."""
    query, keys, values, output = parts
    frequencies = np.array([1.0, 0.3])
    rotary = RotaryBehind(RotaryEmbedding(frequencies, style="interleaved"), D_CONTENT)
    part = MultiHeadAttention(query, keys, values, output, N_HEAD, N_HEAD, rotary=rotary, scale=0.5)
    assert part.site("decoder", 0, "source", "source").n_content == D_CONTENT
    x = generator.normal(size=(N, D_MODEL))
    q, k = (part.project(stage, x, np.arange(N), Scratch()) for stage in "qk")
    for i, j, head in ((0, 0, 0), (16, 3, 1), (2, 11, 2)):
        own = low_rank(query, x[i]).reshape(N_HEAD, -1)[head]
        content = low_rank(keys.content, x[j]).reshape(N_HEAD, D_CONTENT)[head]
        a, b = own[D_CONTENT:], keys.shared.weight @ x[j]
        pairs = [complex(*a[p : p + 2]) * complex(*b[p : p + 2]).conjugate() for p in (0, 2)]
        turned = sum(
            (pair * np.exp(1j * frequency * (i - j))).real
            for pair, frequency in zip(pairs, frequencies, strict=True)
        )
        assert q[head, i] @ k[head, j] == pytest.approx(own[:D_CONTENT] @ content + turned)
    context = SublayerContext(
        "decoder", 0, Stream("source", x, np.arange(N)), None, RecordNothing(), Scratch()
    )
    assert part(x, context).shape == x.shape
