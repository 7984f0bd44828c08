"""The norm of queries and keys: left out, of another kind, with other gains, in another place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnviz.analysis.diagnose.computation import Computation
from attnviz.analysis.diagnose.registry import MISTAKES, Variant
from attnviz.analysis.diagnose.rotary import QUIET, rotated, with_projections
from attnviz.language import to_say
from attnviz.nn.types import Array

HEAD, ALL_HEADS = (-1,), (1, 3)
"""The axes of [n_batch, n_head, n, d] that share a mean: after the heads are split, or before."""

N_TOKEN = 16
"""With so many of the first tokens the norm that is wanted is recognised."""

CLOSE = 0.02
"""How far a norm may be off the one that is wanted, relatively: half precision rounds."""

EPS = (1e-6, 1e-5, 1e-12, 1e-8, 1e-3)


@dataclass(frozen=True, eq=False)
class Norm:
    """gain · x / (size of x) + bias."""

    kind: str = "RMSNorm"
    """`RMSNorm`, `LayerNorm` or `L2`."""
    axes: tuple[int, ...] = HEAD
    eps: float = 1e-6
    gain: Array | float = 1.0
    """Broadcasts to [n_batch, n_head, n, d]."""
    bias: Array | float = 0.0
    outside: bool = False
    """Whether eps is added to the root, not below it."""

    @QUIET
    def bare(self, x: Array) -> Array:
        """Without gain and bias."""
        if self.kind == "LayerNorm":
            x = x - x.mean(self.axes, keepdims=True)
        total = np.sum if self.kind == "L2" else np.mean
        square = np.asarray(total(x * x, axis=self.axes, keepdims=True))
        if self.outside:
            return np.asarray(x / (np.sqrt(square) + self.eps))
        return np.asarray(x / np.sqrt(square + self.eps))

    @QUIET
    def __call__(self, x: Array) -> Array:
        gain, bias = (np.asarray(each, x.dtype) for each in (self.gain, self.bias))
        return np.asarray(self.bare(x) * gain + bias)

    @property
    def words(self) -> str:
        return self.kind if self.axes == HEAD else f"{self.kind}(n_head·d)"


KINDS = tuple((kind, axes) for axes in (HEAD, ALL_HEADS) for kind in ("RMSNorm", "LayerNorm", "L2"))


@QUIET
def recognised(before: Array, after: Array) -> Norm | None:
    """The norm that makes one of the other, [n_batch, n_head, n, d] each; its gain is the same in
    all heads if that explains it. None: none does."""
    x, y = (each[:, :, :N_TOKEN].astype(np.float64) for each in (before, after))
    size = float(np.sqrt(np.mean(y * y))) or 1.0

    def fit(norm: Norm, axes: tuple[int, ...]) -> tuple[float, Norm]:
        norm = _fitted(norm, norm.bare(x), y, axes)
        return float(np.sqrt(np.mean((norm(x) - y) ** 2))) / size, norm

    for axes in ((0, 1, 2), (0, 2)):
        off, best = min((fit(Norm(*kind), axes) for kind in KINDS), key=lambda each: each[0])
        if off < CLOSE:
            if best.kind in ("RMSNorm", "L2"):  # the same but for √d in the gain
                both = [fit(replace(best, kind=kind), axes)[1] for kind in ("RMSNorm", "L2")]
                best = min(both, key=_unusual)
            tried = [fit(replace(best, eps=eps), axes) for eps in EPS]
            least = min(off for off, _ in tried)
            return next(norm for off, norm in tried if off <= 2 * least + 1e-7)
    return None


def _unusual(norm: Norm) -> float:
    """How far the typical gain is from 1, as a factor."""
    return abs(float(np.log(np.median(np.abs(norm.gain)) + 1e-30)))


def _fitted(norm: Norm, bare: Array, y: Array, axes: tuple[int, ...]) -> Norm:
    """With the gain, and the bias of a LayerNorm, of least squares."""
    if norm.kind != "LayerNorm":
        square = np.sum(bare * bare, axis=axes, keepdims=True)
        gain = np.sum(bare * y, axis=axes, keepdims=True)
        return replace(norm, gain=np.divide(gain, square, out=np.ones_like(gain), where=square > 0))
    mean, mean_y = (each.mean(axes, keepdims=True) for each in (bare, y))
    square = np.sum((bare - mean) ** 2, axis=axes, keepdims=True)
    gain = np.sum((bare - mean) * (y - mean_y), axis=axes, keepdims=True)
    gain = np.divide(gain, square, out=np.ones_like(gain), where=square > 0)
    return replace(norm, gain=gain, bias=mean_y - gain * mean)


@dataclass(frozen=True, eq=False)
class Normed:
    """q and k before their norm, and the norms that are wanted."""

    q: Array
    k: Array
    q_norm: Norm | None
    k_norm: Norm | None
    rotated_first: bool
    """Whether the norm comes after the rotation."""

    @property
    def found(self) -> bool:
        return self.q_norm is not None and self.k_norm is not None


def normed(c: Computation) -> Normed | None:
    """What the dump says of the norm; None where it says nothing."""
    if c.facts.normed_from is None:
        return None
    q, k = (np.asarray(x, c.q.dtype) for x in c.facts.normed_from)
    rotary = c.facts.rotary
    if rotary is None:
        return Normed(q, k, recognised(q, c.q), recognised(k, c.k), False)
    first = Normed(q, k, recognised(q, rotary.q), recognised(k, rotary.k), False)
    if first.found:
        return first
    turned = (rotated(q, rotary.q_positions, rotary), rotated(k, rotary.k_positions, rotary))
    return Normed(q, k, recognised(turned[0], c.q), recognised(turned[1], c.k), True)


def with_norms(
    c: Computation, n: Normed, q: Norm | None, k: Norm | None, roles: str = "qk"
) -> Computation:
    """With other norms of q and k (None: no norm) at the same place."""
    made: dict[str, Any] = {}
    for role, norm in (("q", q), ("k", k)):
        if role in roles:
            x = getattr(n, role)
            if n.rotated_first:
                x = _turned(c, x, role)
            made[role] = x if norm is None else norm(x)
    return replace(c, **made) if n.rotated_first else with_projections(c, made)


def _turned(c: Computation, x: Array, role: str) -> Array:
    rotary = c.facts.rotary
    if rotary is None:
        return x
    return rotated(x, rotary.q_positions if role == "q" else rotary.k_positions, rotary)


SETS: Mapping[str, str] = {"q, k": "qk", "q": "q", "k": "k"}


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("no norm of {arrays}"),
    computed="softmax(QKᵀ/√d_k), {arrays} as projected",
    wanted="softmax(norm(Q) norm(K)ᵀ/√d_k)",
    fix="q, k = self.q_norm(q), self.k_norm(k)",
    threads=("kyegomez/MegaVIT#17", "Cerebras/modelzoo#85", "lablup/mlxcel#316"),
    detect="more",
    pairs=True,
    rarity=2,
)
def qk_norm_left_out(c: Computation) -> Iterator[Variant]:
    """The layers exist and are never called, or only one of them is."""
    n = normed(c)
    if n is None:
        return
    for arrays, roles in SETS.items():
        yield Variant(with_norms(c, n, None, None, roles), {"arrays": arrays}, arrays)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("the norm of {arrays} with the gain {gain}"),
    computed="{gain} · x / rms(x)",
    wanted="w · x / rms(x)",
    fix=to_say("load q_norm.weight and k_norm.weight; Gemma stores w - 1"),
    threads=(
        "lucidrains/x-transformers#352",
        "linkedin/Liger-Kernel#74",
        "NeuraLegion/shainet#176",
        "llmmanorg/llmman#151",
        "pytorch/executorch#19901",
    ),
    detect="more",
    rarity=3,
)
def qk_norm_of_another_gain(c: Computation) -> Iterator[Variant]:
    """The learned gain is not applied, or one more or less than it: Gemma's are stored as what is
    added to 1."""
    n = normed(c)
    if n is None or n.q_norm is None or n.k_norm is None:
        return
    for words, factor, step in (("1", 0, 1), ("w + 1", 1, 1), ("w - 1", 1, -1)):
        q, k = (
            replace(norm, gain=factor * np.asarray(norm.gain) + step)
            for norm in (n.q_norm, n.k_norm)
        )
        for arrays, roles in SETS.items():
            used = [
                pair
                for role, pair in {"q": (q, n.q_norm), "k": (k, n.k_norm)}.items()
                if role in roles
            ]
            if all(np.allclose(norm.gain, own.gain, rtol=1e-3) for norm, own in used):
                continue
            parameter = {"arrays": arrays, "gain": words}
            yield Variant(with_norms(c, n, q, k, roles), parameter)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("the norms of q and k mixed up: {norms}"),
    computed="{norms}",
    wanted="q_norm(q), k_norm(k)",
    fix="q, k = self.q_norm(q), self.k_norm(k)",
    threads=("huggingface/diffusers#13533",),
    detect="more",
    rarity=3,
)
def qk_norms_mixed_up(c: Computation) -> Iterator[Variant]:
    """The norm of one is applied to the other: a line that was copied. Swapped, both gains meet
    in the same product, unless a rotation comes between."""
    n = normed(c)
    if n is None or n.q_norm is None or n.k_norm is None:
        return
    by_head = any(np.shape(norm.gain)[1:2] > (1,) for norm in (n.q_norm, n.k_norm))
    if by_head and n.q.shape[1] != n.k.shape[1]:
        return
    q, k = n.q_norm, n.k_norm
    ways = {"q_norm(q), q_norm(k)": (q, q), "k_norm(q), k_norm(k)": (k, k)}
    if c.facts.rotary is not None and not n.rotated_first:
        ways["k_norm(q), q_norm(k)"] = (k, q)
    for words, (one, other) in ways.items():
        yield Variant(with_norms(c, n, one, other), {"norms": words}, words)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("{norm} of {arrays}, not {wanted}"),
    computed="{norm} of {arrays}",
    wanted="{wanted} of q and k",
    fix=to_say("the norm of the checkpoint's own code, over the axes that it takes"),
    threads=(
        "Alpha-VLLM/Lumina-T2X#112",
        "EleutherAI/gpt-neox#1367",
        "allenai/OLMo#281",
        "ml-explore/mlx-lm#1624",
    ),
    detect="more",
    rarity=3,
)
def qk_norm_of_another_kind(c: Computation) -> Iterator[Variant]:
    """LayerNorm for RMSNorm, the cosine, or before the heads are split: all of them share one
    mean."""
    n = normed(c)
    if n is None or n.q_norm is None or n.k_norm is None:
        return
    for kind, axes in KINDS:
        q, k = (replace(norm, kind=kind, axes=axes) for norm in (n.q_norm, n.k_norm))
        if (kind, axes) == (n.q_norm.kind, n.q_norm.axes) or (axes == ALL_HEADS and _single(n)):
            continue
        for arrays, roles in SETS.items():
            parameter = {"arrays": arrays, "norm": q.words, "wanted": n.q_norm.words}
            yield Variant(with_norms(c, n, q, k, roles), parameter)


def _single(n: Normed) -> bool:
    return bool(n.q.shape[1] == n.k.shape[1] == 1)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("the norm of q and k with another eps: {eps}"),
    computed="{eps}",
    wanted="x / √(mean x² + eps), eps = {wanted:g}",
    fix=to_say("eps = config.rms_norm_eps, added to the mean of the squares"),
    threads=("ml-explore/mlx-lm#1624", "allenai/OLMo#281"),
    detect="rounding",
    rarity=6,
)
def qk_norm_of_another_eps(c: Computation) -> Iterator[Variant]:
    """It matters where q or k are small: another eps, added to the sum, or to the root."""
    n = normed(c)
    if n is None or n.q_norm is None or n.k_norm is None:
        return
    own = n.q_norm.eps
    ways: dict[str, dict[str, Any]] = {
        f"eps = {eps:g}": {"eps": eps} for eps in (1e-6, 1e-5, 1e-3, 1e-2) if eps != own
    }
    ways["√(Σx² + eps)"] = {"eps": own / c.d_k}
    ways["√(mean x²) + eps"] = {"outside": True}
    for words, how in ways.items():
        q, k = (replace(norm, **how) for norm in (n.q_norm, n.k_norm))
        yield Variant(with_norms(c, n, q, k), {"eps": words, "wanted": own}, words)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("the norm on {arrays}, not on q and k alone"),
    computed="{computed}",
    wanted="softmax(norm(Q) norm(K)ᵀ/√d_k) V",
    fix=to_say("q, k = self.q_norm(q), self.k_norm(k); v stays as it is"),
    threads=("kyegomez/MegaVIT#17",),
    detect="more",
    rarity=4,
)
def norm_of_values(c: Computation) -> Iterator[Variant]:
    """On v too, or on v in the place of q; with the key's gain where it fits, or without one."""
    n = normed(c)
    if n is None or n.k_norm is None:
        return
    bare = replace(n.k_norm, gain=1.0, bias=0.0)
    gains = {"k_norm": n.k_norm} if c.v.shape[-1] == c.d_k else {}
    if not np.allclose(n.k_norm.gain, 1, rtol=1e-3) or not gains:
        gains["1"] = bare
    without_q = with_norms(c, n, None, n.k_norm, "q")
    for gain, norm in gains.items():
        for arrays, made in (("q, k, v", c), ("k, v", without_q)):
            q = "norm(Q)" if made is c else "Q"
            parameter = {
                "arrays": arrays,
                "gain": gain,
                "computed": f"softmax({q} norm(K)ᵀ/√d_k) norm(V)",
            }
            yield Variant(replace(made, v=norm(c.v)), parameter)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("norm and rotation in the other order: {computed}"),
    computed="{computed}",
    wanted="{wanted}",
    fix=to_say(
        "Qwen 3 and Gemma 3 normalise, then rotate; Hunyuan and Llama 4 rotate, then normalise"
    ),
    threads=("viiika/Meissonic#26", "hw-native-sys/pypto-lib#792"),
    detect="more",
    rarity=3,
)
def norm_and_rotation_swapped(c: Computation) -> Iterator[Variant]:
    """Both keep lengths, so it is the gain that makes the difference."""
    n = normed(c)
    if n is None or n.q_norm is None or n.k_norm is None or c.facts.rotary is None:
        return
    q, k = n.q_norm, n.k_norm
    codes = "rope(norm(q)), rope(norm(k))", "norm(rope(q)), norm(rope(k))"
    if n.rotated_first:
        made = {role: _turned(c, f(x), role) for role, f, x in (("q", q, n.q), ("k", k, n.k))}
    else:
        made = {role: f(_turned(c, x, role)) for role, f, x in (("q", q, n.q), ("k", k, n.k))}
    if all(np.allclose(x, getattr(c, role), atol=1e-9) for role, x in made.items()):
        return
    computed, wanted = codes if n.rotated_first else codes[::-1]
    parameter = {"computed": computed, "wanted": wanted}
    fields: dict[str, Any] = made
    yield Variant(replace(c, **fields), parameter)


@MISTAKES.add(
    id="N1",
    family="norm",
    title=to_say("{arrays} normalised ({norm}): in the dump they are not"),
    computed="softmax(norm(Q) norm(K)ᵀ/√d_k)",
    wanted="softmax(QKᵀ/√d_k)",
    fix=to_say("dump q and k after their norm; or leave the norm out, if the model has none"),
    threads=("lucidrains/x-transformers#190",),
    rarity=6,
)
def qk_norm_missing_in_the_dump(c: Computation) -> Iterator[Variant]:
    """The output is right, and q and k were dumped too early; or no norm is wanted here."""
    if c.facts.normed_from is not None or c.d_k < 2:
        return
    for kind in ("RMSNorm", "LayerNorm", "L2"):
        norm = Norm(kind)
        before = (c.q, c.k) if c.facts.rotary is None else (c.facts.rotary.q, c.facts.rotary.k)
        new = {role: norm(x) for role, x in zip("qk", before, strict=True)}
        for arrays, roles in SETS.items():
            made = with_projections(c, {role: new[role] for role in roles})
            yield Variant(made, {"arrays": arrays, "norm": kind})
