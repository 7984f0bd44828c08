"""The assertion for tests of one's own attention."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import attnviz
from attnviz.errors import AttnvizError
from attnviz.testing import assert_attention_close


@pytest.fixture
def qkv(generator):
    """[n_batch, n_head, n, d], with grouped heads and more keys than queries."""
    shapes = (3, 4, 5, 11), (3, 2, 7, 11), (3, 2, 7, 13)
    return tuple(generator.normal(size=shape).astype(np.float32) for shape in shapes)


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"scale": 0.3}, {"softcap": 2.0}])
def test_what_is_right_passes(qkv, options):
    done = attnviz.attend(*qkv, **options)
    assert_attention_close(*qkv, done.context, **options)
    assert_attention_close(*qkv, done.context, weights=done.weights, **options)
    assert_attention_close(*qkv, weights=done.weights, **options)


def test_one_item_without_a_batch_axis(qkv):
    done = attnviz.attend(*(x[0] for x in qkv), causal=True)
    assert_attention_close(*(x[0] for x in qkv), done.context, causal=True)


def test_the_message_is_the_diagnosis(qkv):
    wrong = attnviz.attend(*qkv, causal=True, scale=1.0).context
    with pytest.raises(AssertionError) as failed:
        assert_attention_close(*qkv, wrong, causal=True)
    text = str(failed.value)
    assert "S1" in text
    assert "no scale" in text
    assert "q.shape[-1] ** -0.5" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 88


def test_a_right_output_in_the_wrong_order_of_axes_fails(qkv):
    right = attnviz.attend(*qkv).context
    with pytest.raises(AssertionError, match="its axes are not those of q"):
        assert_attention_close(*qkv, right.swapaxes(1, 2))
    square = [x[:, :, :4] for x in qkv]  # as many queries as heads
    with pytest.raises(AssertionError, match=r"its axes are not those of q \[3, 4, 4, 11\]"):
        assert_attention_close(*square, attnviz.attend(*square).context.swapaxes(1, 2))
    turned = [x.swapaxes(1, 2) for x in (*qkv, right)]
    assert_attention_close(*turned, layout="bnhd")


def test_arrays_that_do_not_fit_are_no_failed_assertion(qkv):
    q, k, v = qkv
    with pytest.raises(AttnvizError):
        assert_attention_close(q, k[..., :7], v, q)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_of_pytorch(qkv, dtype):
    torch = pytest.importorskip("torch")
    q, k, v = (torch.tensor(x, dtype=getattr(torch, dtype)).requires_grad_() for x in qkv)
    k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    attention = torch.nn.functional.scaled_dot_product_attention
    mask = torch.rand(3, 1, 5, 7) < 0.7
    mask[..., 0] = True
    assert_attention_close(q, k, v, attention(q, k, v, mask), mask=mask)
    assert_attention_close(q, k, v, attention(q, k, v, is_causal=True), causal=True, spec="torch")
    with pytest.raises(AssertionError, match="C3"):
        assert_attention_close(q, k, v, attention(q, k, v, is_causal=True), causal=True)


TEST = """
import numpy as np
from attnviz.testing import assert_attention_close

def test_mine():
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 3, 5, 7)).astype("float32")
    scores = q @ k.swapaxes(-1, -2)
    weights = np.exp(scores)
    assert_attention_close(q, k, v, weights / weights.sum(-1, keepdims=True) @ v)
"""


def test_in_a_test_of_somebody(tmp_path):
    (tmp_path / "test_mine.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no scale (S1)" in done.stdout
    assert "as_array" not in done.stdout  # it is hidden how the assertion comes to it
