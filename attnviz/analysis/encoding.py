"""What positions add, turn or bias, and whether it has the properties it is chosen for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.memory import check_available
from attnviz.models.run.memory import BIAS_BYTES
from attnviz.nn import positions as numbers
from attnviz.nn.multi_head import Rotary
from attnviz.nn.schemes import SCHEMES, SchemeContext
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array, brief
from attnviz.registry import parse_spec
from attnviz.trace.record import Trace

MAX_ROTATED = 1 << 31
"""Numbers that are rotated at most, to check a claim: seconds of work."""


@dataclass(frozen=True)
class Check:
    """A property, its largest deviation as measured, and what rounding may explain."""

    claim: str
    error: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.error <= self.allowed


@dataclass(frozen=True)
class Rotation:
    """One shift, pair by pair: what R(k) makes of PE(p), beside PE(p + k)."""

    position: int
    shift: int
    angles: Array
    """[d/2]: kω, in radians."""
    before: Array
    """[d/2, 2]: sine and cosine at p."""
    rotated: Array
    """[d/2, 2]: turned by R(k)."""
    after: Array
    """[d/2, 2]: sine and cosine at p + k."""

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True)
class Positions:
    """A position scheme in numbers; None where it has no such thing."""

    scheme: str
    positions: Array
    """[n]"""
    added: Array | None = None
    """[n, d_model]: what is added to the embeddings."""
    similarity: Array | None = None
    """[n, n]: the dot products of the added vectors, or of one query and one key vector turned
    to every pair of positions."""
    angles: Array | None = None
    """[n, d_k/2]: how far each pair of features turns, in radians."""
    bias: Array | None = None
    """[n_head, n, n]: what is added to the scores."""
    buckets: Array | None = None
    """[n, n]: which distances share a learned bias."""
    wavelengths: Array | None = None
    """[d/2]: positions until a pair of features comes round."""
    slopes: Array | None = None
    """[n_head]"""
    rotation: Rotation | None = None
    seeded: bool = False
    """Whether seeded random numbers stand in for learned ones."""
    checks: tuple[Check, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return brief(self)

    @property
    def cosines(self) -> Array | None:
        """[n, d_k/2]: of the angles."""
        return None if self.angles is None else np.cos(self.angles)

    def manifest(self) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file."""
        return {
            "format": "attnviz-positions",
            "version": 1,
            "scheme": self.scheme,
            "seeded": self.seeded,
            "checks": [{**vars(check), "holds": check.holds} for check in self.checks],
        }

    def arrays(self) -> dict[str, Array]:
        """What the scheme has of them."""
        names = ("positions", "added", "similarity", "angles", "bias", "buckets", "slopes")
        return {name: array for name in names if (array := getattr(self, name)) is not None}

    def bias_by_distance(self) -> tuple[Array, Array]:
        """Key less query [n], and the bias of each head there [n_head, n]: of the middle query."""
        assert self.bias is not None
        middle = len(self.positions) // 2
        return self.positions - self.positions[middle], self.bias[:, middle]


def encode_positions(
    spec: str,
    n: int,
    d_model: int,
    n_head: int,
    *,
    offset: int = 0,
    causal: bool = False,
    seed: int,
) -> Positions:
    """The scheme that `spec` names, at the positions offset, …, offset + n - 1."""
    name, texts = parse_spec(spec)
    function = SCHEMES[name].function
    options = SCHEMES.options(name, texts)

    drawn = []

    def draw(what: str, shape: tuple[int, ...]) -> Array:
        drawn.append(what)
        return normal(shape, seed, what)

    scheme = function(SchemeContext(d_model, n_head, causal, draw), **options)
    where = np.arange(offset, offset + n)
    if scheme.add is not None:
        added = np.asarray(scheme.add(where), np.float64)
        return _added(spec, where, added, options.get("base", 10000.0), bool(drawn))
    if scheme.rotary is not None:
        return _with_angles(_rotary(spec, where, d_model, scheme.rotary), d_model, options)
    if scheme.bias is not None:
        n_byte = n_head * n * n * BIAS_BYTES
        check_available(n_byte, "this", "fewer positions, or fewer heads")
        bias = np.broadcast_to(scheme.bias(where, where), (n_head, n, n))
        return Positions(
            scheme=spec,
            positions=where,
            bias=bias,
            buckets=_buckets(where, options, causal) if name == "t5" else None,
            slopes=numbers.alibi_slopes(n_head) if name == "alibi" else None,
            seeded=bool(drawn),
            checks=(_depends_on_distance(say("the bias"), bias),),
        )
    return Positions(scheme=spec, positions=where)


def _added(spec: str, where: Array, added: Array, base: float, seeded: bool) -> Positions:
    """A scheme that adds vectors [n, d_model] to the embeddings."""
    sines = parse_spec(spec)[0] == "sinusoidal"
    return Positions(
        scheme=spec,
        positions=where,
        added=added,
        similarity=added @ added.T,
        wavelengths=2 * np.pi / numbers.frequencies(added.shape[-1], base) if sines else None,
        rotation=_rotation(where, added, base) if sines and len(where) > 1 else None,
        seeded=seeded,
        checks=_sinusoidal_checks(where, added, base) if sines else (),
    )


def _with_angles(rotary: Positions, d_k: int, options: Mapping[str, Any]) -> Positions:
    """What is known of rope's angles; of another rotary scheme nothing."""
    if parse_spec(rotary.scheme)[0] != "rope":
        return rotary
    base = options.get("base", 10000.0)
    width = numbers.rotary_width(d_k, options.get("fraction", 1.0))
    where = rotary.positions + options.get("offset", 0)
    return replace(
        rotary,
        angles=numbers.rope_angles(where, width, base),
        wavelengths=2 * np.pi / numbers.frequencies(width, base),
    )


def _sinusoidal_checks(where: Array, added: Array, base: float) -> tuple[Check, ...]:
    """PE(p + k) = R(k) PE(p) for every shift k, ‖PE(p)‖² = d/2, and the Toeplitz similarity."""
    n, d_model = added.shape
    norms = (added * added).sum(-1)
    rounding = 1e-12 * max(1, float(np.abs(where).max(initial=0)))
    return (
        Check(
            say("PE(p + k) is PE(p) turned by R(k), k = 1 to {n}", n=max(n - 1, 1)),
            rotation_error(added, base),
            rounding,
        ),
        Check(f"‖PE(p)‖² = d/2 = {d_model / 2:g}", float(np.abs(norms - d_model / 2).max()), 1e-9),
        _depends_on_distance("PE(p) · PE(p + k)", (added @ added.T)[None], 1e-9),
    )


def rotation_error(added: Array, base: float = 10000.0) -> float:
    """The largest |PE(p + k) - R(k) PE(p)| of all positions p and shifts k of [n, d_model]."""
    n, d_model = added.shape
    if n * n * d_model > MAX_ROTATED:
        raise AttnvizError(
            f"to shift {n} positions of width {d_model} by each distance would take minutes",
            "fewer positions, or narrower vectors",
        )
    errors = (np.abs(added[k:] - numbers.shift(added[: n - k], k, base)).max() for k in range(1, n))
    return max(map(float, errors), default=0.0)


def _rotation(where: Array, added: Array, base: float) -> Rotation:
    """From the second position, if there is one behind it, by up to three places."""
    n, d_model = added.shape
    first = min(1, n - 2)
    shift = min(3, n - 1 - first)
    rotated = numbers.shift_matrix(shift, d_model, base) @ added[first]
    pairs = (x.reshape(-1, 2) for x in (added[first], rotated, added[first + shift]))
    return Rotation(int(where[first]), shift, shift * numbers.frequencies(d_model, base), *pairs)


def _rotary(spec: str, where: Array, d_k: int, rotary: Rotary) -> Positions:
    q, k = normal((2, 1, d_k), 0, "rope").astype(np.float64)
    similarity = rotated_scores(q, k, where, rotary)
    shifted = rotated_scores(q, k, where + 1000, rotary)
    norms = np.linalg.norm(rotated(q, where, rotary), axis=-1)
    return Positions(
        scheme=spec,
        positions=where,
        similarity=similarity,
        checks=(
            _depends_on_distance(say("the score of one q and one k"), similarity[None], 1e-9),
            Check(
                say("the score stays when both positions move on by 1000"),
                float(np.abs(shifted - similarity).max()),
                1e-9,
            ),
            Check(say("turning keeps the length"), float(np.abs(norms - norms[0]).max()), 1e-9),
        ),
    )


def rotated(x: Array, where: Array, rotary: Rotary | None = None) -> Array:
    """One vector [1, d_k], rotated to every position [n]: [n, d_k]."""
    return np.asarray((rotary or numbers.rope)(np.repeat(x, len(where), 0)[None], where)[0])


def rotated_scores(q: Array, k: Array, where: Array, rotary: Rotary | None = None) -> Array:
    """[n, n]: the dot products of a query and a key, [1, d_k] each, rotated to every position."""
    return rotated(q, where, rotary) @ rotated(k, where, rotary).T


def diagonal_spread(matrices: Array) -> float:
    """The largest spread along any diagonal of [n_head, n, n]: 0 where only the distance counts."""
    n = matrices.shape[-1]
    return max(
        float(np.ptp(np.diagonal(matrices, k, -2, -1), axis=-1).max()) for k in range(1 - n, n)
    )


def _depends_on_distance(what: str, matrices: Array, allowed: float = 1e-6) -> Check:
    claim = say("{what} depends on the distance only", what=what)
    return Check(claim, diagonal_spread(matrices), allowed)


def _buckets(where: Array, options: Mapping[str, Any], causal: bool) -> Array:
    return numbers.t5_buckets(
        where, where, options.get("buckets", 32), options.get("distance", 128), not causal
    )


@dataclass(frozen=True)
class Embedded:
    """A text as it enters the first block."""

    vectors: Array
    """[n_token, d_model]"""
    norms: Array
    """[n_token]"""
    similarity: Array
    """[n_token, n_token]: cosines."""

    def __repr__(self) -> str:
        return brief(self)

    def manifest(self, trace: Trace) -> dict[str, Any]:
        """Everything but the arrays, as it stands in a file."""
        stream = trace.streams["source"]
        return {
            "format": "attnviz-vectors",
            "version": 1,
            "model": trace.model.to_manifest(),
            "tokens": list(stream.tokens),
            "ids": list(stream.ids),
        }

    def arrays(self) -> dict[str, Array]:
        return {"vectors": self.vectors, "norms": self.norms, "similarity": self.similarity}


def embedded(vectors: Array) -> Embedded:
    """Norms and cosines of [n_token, d_model]."""
    vectors = np.asarray(vectors, np.float64)
    if not vectors.size:
        raise AttnvizError("there is nothing to encode", "give at least one word")
    norms = np.linalg.norm(vectors, axis=-1)
    unit = vectors / np.where(norms == 0, 1, norms)[:, None]
    return Embedded(vectors, norms, unit @ unit.T)
