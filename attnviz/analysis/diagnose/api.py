"""`attnviz.diagnose`: the same as `attnviz diagnose`, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.diagnosis import Diagnosis
from attnviz.analysis.diagnose.layers import first_that_differs
from attnviz.analysis.diagnose.specs import DEFAULT, conventions
from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.trace.dump import Dump, dump_of, read_dumps

Path_ = str | PathLike[str]


def diagnose(
    q: Array | Path_ | Sequence[Path_],
    k: Array | None = None,
    v: Array | None = None,
    out: Array | None = None,
    *,
    weights: Array | None = None,
    scores: Array | None = None,
    mask: Array | None = None,
    bias: Array | None = None,
    causal: bool | None = None,
    alignment: str | None = None,
    window: int | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    d_model: int | None = None,
    layout: str | None = None,
    n_head: int | None = None,
    spec: str | None = None,
    params: Mapping[str, Any] | None = None,
    dtypes: Mapping[str, str] | None = None,
    **others: Any,
) -> Diagnosis:
    """Whether an output is what its q, k and v give, and if not, which known mistake explains it.

    Args:
        q, k, v: [n_batch, n_head, n, d] or in any other order of axes that fits; or q is a path,
            or several, of a dump: .npz, .safetensors, a folder of .npy.
        out: what was computed from them; or weights [n_batch, n_head, n_q, n_k], or scores.
        mask: boolean, True = visible; 0 and 1; or added, 0 and -inf.
        causal, alignment, window, scale, softcap, bias: what the attention should be, as for
            `attnviz.attend`.
        d_model: the width of the model, where it is not n_head · d_k.
        spec: whose conventions, attnviz's own by default: "torch", "flash", …
        params: of an operator.
        dtypes: array -> the type that its bits stand for: {"q": "bfloat16"}, {"*": "bfloat16"}.
        others: further arrays by the names that a dump may have: sinks, q_pre, block_table, …

    Returns:
        The diagnosis: `verdict` is "match" or "differs"; `causes` the mistakes that explain the
        numbers, each with `id`, `equivalent`, `parameter`; `recovered` what follows from the
        numbers alone; `manifest()` all of it as JSON, `text()` as a reader sees it.

    Raises:
        AttnvizError: the arrays do not fit together.
    """
    request = Request(
        layout=layout, n_head=n_head, scale=scale, causal=causal, alignment=alignment,
        window=window, softcap=softcap, d_model=d_model, dtypes=dtypes,
        conventions=DEFAULT if spec is None else conventions(spec, params),
    )  # fmt: skip
    named = {"k": k, "v": v, "out": out, "weights": weights, "scores": scores, "mask": mask,
             "bias": bias, **others}  # fmt: skip
    arrays = {name: np.asarray(x) for name, x in named.items() if x is not None}
    return first_that_differs(_dumps(q, arrays, dtypes), request)


def _dumps(
    q: Array | Path_ | Sequence[Path_], arrays: dict[str, Array], dtypes: Mapping[str, str] | None
) -> list[Dump]:
    paths = _paths(q)
    if paths is None:
        return [dump_of({"q": np.asarray(q), **arrays}, dtypes)]
    if arrays:
        raise AttnvizError(
            f"a dump, {', '.join(map(str, paths))}, and beside it {', '.join(arrays)}",
            "either files that hold all arrays, or the arrays themselves",
        )
    return read_dumps(paths, dtypes)


def _paths(q: Array | Path_ | Sequence[Path_]) -> list[Path] | None:
    if isinstance(q, str | PathLike):
        return [Path(q)]
    if not isinstance(q, list | tuple):
        return None
    paths = [Path(each) for each in q if isinstance(each, str | PathLike)]
    return paths if paths and len(paths) == len(q) else None
