"""Scoring functions: how well does each key answer each query?

All of them: q [n_head, n_q, d_q], k [n_head, n_k, d_k] -> [n_head, n_q, n_k], times `scale`, with
any leading axes. A temperature T is the scale 1/T. A score is one function, with its entry:

    @SCORES.add(formula="-Σ|q - k|")
    def manhattan(q, k, scale=1.0):
        return -scale * abs(q[..., :, None, :] - k[..., None, :, :]).sum(-1)

`scale` may be left out; and there may be an `out`: memory [n_head, n_q, n_k] for the result.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.registry import Entry, Positive, Registry, parse_spec

Score = Callable[..., Array]
"""`score(q, k, scale=number)`; without `scale` the function's own default holds."""

BLOCK_BYTES = 1 << 24


def _per_width(d_k: int) -> float:
    if not d_k:
        raise AttnvizError(
            "the scale 1/√d_k of keys of no width: k has d_k = 0; expected 1 or more",
            "give a scale of your own: scale=1.0",
        )
    return 1 / math.sqrt(d_k)


@dataclass(frozen=True, eq=False, repr=False)
class ScoreEntry(Entry):
    """A scoring function and what it computes."""

    formula: str = ""
    """With the scale that it has by default; the call if nothing is given."""
    unscaled: str = ""
    """Where there is such a scale: the formula without it."""
    scale: Callable[[int], float] | None = None
    """d_k -> the default scale, where it depends on d_k."""
    arrays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Learned arrays that the function takes, by name, each with its axes: d_q, d_k, d_hidden."""

    def __post_init__(self) -> None:
        formula = self.formula or f"{self.name}(q, k)"
        object.__setattr__(self, "formula", formula)
        object.__setattr__(self, "unscaled", self.unscaled or formula)

    def default_scale(self, d_k: int) -> float:
        """The scale of a call that gives none."""
        if self.scale is not None:
            return self.scale(d_k)
        default = self.parameters["scale"].default if self.takes("scale") else 1.0
        return float(default) if isinstance(default, int | float) else 1.0

    def array_shapes(self, d_q: int, d_k: int, d_hidden: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the learned arrays, for queries and keys of these widths."""
        sizes = {"d_q": d_q, "d_k": d_k, "d_hidden": d_hidden}
        return {name: tuple(sizes[axis] for axis in axes) for name, axes in self.arrays.items()}


SCORES: Registry[ScoreEntry] = Registry("score", ScoreEntry)


def entry_of(score: Score) -> ScoreEntry | None:
    """The entry of a registered function, which may have its arrays and options bound."""
    bare = score.func if isinstance(score, functools.partial) else score
    name = getattr(bare, "__name__", "")
    if name in SCORES and SCORES[name].function is bare:
        return SCORES[name]
    return next((entry for entry in SCORES.values() if entry.function is bare), None)


@SCORES.add(
    formula="w_v · tanh(W_q q + W_k k)",
    arrays={"w_q": ("d_hidden", "d_q"), "w_k": ("d_hidden", "d_k"), "w_v": ("d_hidden",)},
)
def additive(q: Array, k: Array, w_q: Array, w_k: Array, w_v: Array, scale: float = 1.0) -> Array:
    """A small net with one hidden layer, for queries and keys of different widths.

    q [n_head, n_q, d_q], k [n_head, n_k, d_k], w_q [d_hidden, d_q], w_k [d_hidden, d_k],
    w_v [d_hidden] -> [n_head, n_q, n_k].
    Source: Bahdanau et al. 2015, appendix A.1.2.
    """
    keys = (k @ w_k.mT)[..., None, :, :]

    def rows(queries: Array) -> Array:
        hidden = queries[..., :, None, :] + keys
        return np.asarray(np.tanh(hidden, out=hidden) @ w_v)

    return _scaled(_by_rows(rows, q @ w_q.mT, keys.nbytes), scale)


@SCORES.add(formula="q · k")
def dot(q: Array, k: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """The dot product. Source: Luong et al. 2015, section 3.1.

    q [n_head, n_q, d_k], k [n_head, n_k, d_k] -> [n_head, n_q, n_k].
    """
    if q.shape[-1] != k.shape[-1]:
        raise AttnvizError(
            f"the dot product needs queries and keys of one width: "
            f"q has d_k = {q.shape[-1]}, k has d_k = {k.shape[-1]}",
            "the scores `additive` and `general` take different widths",
        )
    # scaling the queries costs n_q·d_k products, scaling the scores n_q·n_k
    return np.matmul(_scaled(q, scale), k.mT, out=out)


@SCORES.add(formula="q · k / √d_k", unscaled="q · k", scale=_per_width)
def scaled_dot(q: Array, k: Array, scale: float | None = None, out: Array | None = None) -> Array:
    """The dot product, divided by the deviation that it has for independent entries.

    q [n_head, n_q, d_k], k [n_head, n_k, d_k] -> [n_head, n_q, n_k].
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    return dot(q, k, _per_width(k.shape[-1]) if scale is None else scale, out)


@SCORES.add(formula="q W k", arrays={"w": ("d_q", "d_k")})
def general(q: Array, k: Array, w: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """The dot product of keys with transformed queries. Source: Luong et al. 2015, section 3.1.

    q [n_head, n_q, d_q], k [n_head, n_k, d_k], w [d_q, d_k] -> [n_head, n_q, n_k].
    """
    return dot(q @ w, k, scale, out)


@SCORES.add(formula="q · k / (‖q‖ ‖k‖)")
def cosine(q: Array, k: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """The cosine of the angle between the two, in [-1, 1] times scale; 0 for a zero vector.

    Source: Graves et al. 2014 (Neural Turing Machines), section 3.3.1, with β = scale.
    """
    return dot(_unit(q), _unit(k), scale, out)


@SCORES.add(formula="-‖q - k‖² / 2σ²")
def gaussian(q: Array, k: Array, scale: float = 1.0, *, sigma: Positive = 1.0) -> Array:
    """The logarithm of a Gaussian of the distance; its softmax is that kernel's regression.

    q [n_head, n_q, d_k], k [n_head, n_k, d_k] -> [n_head, n_q, n_k].
    Source: Nadaraya 1964, Watson 1964; as attention in Zhang et al., Dive into Deep Learning,
    section 11.2.
    """
    if not 0 < sigma * sigma < math.inf:
        raise AttnvizError(f"sigma: expected a number above 0, got {sigma}", "1 is the default")
    squares = (q * q).sum(-1)[..., :, None] + (k * k).sum(-1)[..., None, :]
    # a square cannot be negative: rounding may make it so where q is k
    distance = np.maximum(squares - 2 * dot(q, k), 0)
    return _scaled(distance, -scale / (2 * sigma * sigma))


def scaled(score: Score, scale: float | None) -> Score:
    """The score with this scale, which is multiplied with where the function takes none."""
    if scale is None:
        return score
    if _takes_scale(score):
        return functools.partial(score, scale=scale)
    return lambda q, k, **memory: scale * score(q, k, **memory)


def _takes_scale(score: Score) -> bool:
    """Whether it has a parameter of this name; what hides its parameters is asked to take it."""
    entry = entry_of(score)
    if entry is not None:
        return entry.takes("scale")
    try:
        parameters = inspect.signature(score).parameters
    except (TypeError, ValueError):
        return True
    return "scale" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _by_rows(rows: Callable[[Array], Array], queries: Array, row_bytes: int) -> Array:
    """`rows(queries)`, a few queries at a time, where each needs `row_bytes` of memory."""
    n_q = queries.shape[-2]
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    blocks = [rows(queries[..., i : i + step, :]) for i in range(0, max(1, n_q), step)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, -2)


def _scaled(x: Array, scale: float) -> Array:
    return x if scale == 1 else x * x.dtype.type(scale)


def _unit(x: Array) -> Array:
    """x [..., d] over its length; of one whose squares overflow or vanish too."""
    squares = (x * x).sum(-1, keepdims=True)
    if not ((squares > np.finfo(x.dtype).tiny) & np.isfinite(squares)).all():
        largest = np.abs(x).max(-1, keepdims=True, initial=0)
        x = x / np.where((largest > 0) & np.isfinite(largest), largest, 1)
        squares = (x * x).sum(-1, keepdims=True)
    norm = np.sqrt(squares)
    return x / np.where(norm == 0, 1, norm)


def build_score(
    spec: str, d_k: int, draw: Callable[[str, tuple[int, ...]], Array]
) -> tuple[ScoreEntry, Score]:
    """A score from its spec: its entry, and the function with its learned arrays drawn."""
    name, options = parse_spec(spec)
    entry = SCORES[name]
    arrays = {key: draw(key, shape) for key, shape in entry.array_shapes(d_k, d_k, d_k).items()}
    return entry, functools.partial(entry.function, **arrays, **SCORES.options(name, options))
