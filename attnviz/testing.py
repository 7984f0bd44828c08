"""For tests of one's own attention: an assertion whose message is a diagnosis.

from attnviz.testing import assert_attention_close

def test_attention():
    q, k, v = …
    assert_attention_close(q, k, v, my_attention(q, k, v), causal=True)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnviz.nn.types import Array

WIDTH = 88
"""Columns of the message."""

LAYOUTS = {3: "hnd", 4: "bhnd"}
"""By the number of axes: with another one a right output in the wrong order of axes would pass."""


def assert_attention_close(
    q: Any,
    k: Any,
    v: Any,
    out: Any = None,
    *,
    weights: Any = None,
    scores: Any = None,
    mask: Any = None,
    bias: Any = None,
    causal: bool | None = None,
    alignment: str | None = None,
    window: int | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    layout: str | None = None,
    spec: str | None = None,
    params: Mapping[str, Any] | None = None,
    **others: Any,
) -> None:
    """Assert that an output is what q, k and v give, as far as rounding of its type goes.

    Args:
        q, k, v: [n_batch, n_head, n, d] or [n_head, n, d], of NumPy, PyTorch, JAX or whatever NumPy
            reads; k and v may have fewer heads.
        out: what your attention made of them; or `weights`, or `scores`, or several of these.
        mask: boolean, True = visible; 0 and 1; or added, 0 and -inf.
        causal, alignment, window, scale, softcap, bias: what the attention should be, as for
            `attnviz.attend`.
        layout: a letter an axis, where it is another than `bhnd` or that of the `spec`.
        spec: whose conventions: "torch", "flash", "onnx", …
        params: of an operator.
        others: further arrays: `sinks`, `q_pre`, `k_pre`, `block_table`, …

    Raises:
        AssertionError: it is not; the message is the diagnosis, with the mistake that explains the
            numbers.
        AttnvizError: the arrays do not fit together.
    """
    __tracebackhide__ = True
    from attnviz.analysis.diagnose.api import diagnose

    arrays = {"k": k, "v": v, "out": out, "weights": weights, "scores": scores, "mask": mask,
              "bias": bias, **others}  # fmt: skip
    given: dict[str, Any] = {name: as_array(x) for name, x in arrays.items() if x is not None}
    queries = as_array(q)
    if layout is None and spec is None:
        layout = LAYOUTS.get(queries.ndim)
    found = diagnose(
        queries, **given, causal=causal, alignment=alignment, window=window, scale=scale,
        softcap=softcap, layout=layout, spec=spec, params=params,
    )  # fmt: skip
    if found.verdict != "match":
        raise AssertionError("\n" + found.text(WIDTH))
    if layout in LAYOUTS.values() and "out" in given:
        read, written = found.case.given["context"], given["out"]
        same = read.size == written.size and read.shape[-written.ndim :] == written.shape
        if not same or not np.array_equal(read.reshape(written.shape), written, equal_nan=True):
            raise AssertionError(
                f"the numbers of out {list(written.shape)} are right, but its axes are not those "
                f"of q {list(queries.shape)}: " + "; ".join(found.case.reading)
            )


def as_array(x: Any) -> Array:
    """An array of any library; bfloat16, which NumPy does not have, as float32."""
    if hasattr(x, "detach"):  # PyTorch's, on any device, with or without a gradient
        x = x.detach().cpu()
        x = x.float() if "bfloat16" in str(x.dtype) else x
    elif "bfloat16" in str(getattr(x, "dtype", "")):  # JAX's and MLX's
        x = x.astype("float32") if not hasattr(x, "tolist") else _widened(x)
    return np.asarray(x)


def _widened(x: Any) -> Any:
    try:
        return x.astype("float32")
    except (TypeError, AttributeError):  # MLX names types by objects
        return np.array(x.tolist(), np.float32)
