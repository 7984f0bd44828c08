"""The configurable stack: its fields, as flags, as `random:key=value` and as TOML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.parse import read_toml
from attnviz.registry import (
    LARGEST_INT,
    LARGEST_POSITIVE,
    LARGEST_SIZE,
    LISTED,
    SMALLEST_POSITIVE,
    convert,
    nearest,
    parse_spec,
)

KINDS = ("encoder", "decoder", "encoder-decoder")
NORMS = ("layer", "rms", "batch", "none")
PLACES = ("post", "pre")
DTYPES = ("float32", "float64")

MAX_LAYERS = 10_000
"""A thousand take a second."""


def _field(default: Any, help: str, among: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help, "among": among})


@dataclass(frozen=True)
class StackConfig:
    """Every field of the stack; each is also a flag of the command line, whose help puts the names
    of all scores in the place of {scores}, and so on."""

    kind: str = _field("encoder", "encoder, decoder or encoder-decoder", KINDS)
    mix: str = _field("attention", "how tokens mix: attention, window:reach=2, none")
    layers: int = _field(2, "blocks in each stack")
    heads: int = _field(4, "attention heads")
    kv_heads: int | None = _field(None, "key/value heads that the heads share (default: heads)")
    d_model: int = _field(32, "width of the residual stream")
    d_k: int | None = _field(None, "width of a query and a key (default: d_model / heads)")
    d_v: int | None = _field(None, "width of a value (default: d_k)")
    d_ff: int | None = _field(None, "width of the feed-forward net (default: 4 × d_model); 0: none")
    activation: str = _field("relu", "{activations}")
    gated: bool = _field(False, "gated feed-forward net (ReGLU, GEGLU, SwiGLU)")
    norm: str = _field("layer", "layer, rms, batch or none", NORMS)
    norm_place: str = _field("post", "norm after the residual sum (post) or before f (pre)", PLACES)
    positions: str = _field("sinusoidal", "{position schemes}")
    score: str = _field("scaled_dot", "{scores}")
    mask: str | None = _field(None, "none, {masks}, joined by +")
    temperature: float = _field(1.0, "divides the scores")
    softcap: float | None = _field(None, "c·tanh(scores / c) before the mask")
    embedding_scale: bool = _field(True, "multiply the embeddings by √d_model")
    vocabulary: int = _field(0, "token ids; 0: any word has a vector, and there is no output")
    tied: bool = _field(True, "the output shares the embedding's matrix")
    bias: bool = _field(False, "biases in the attention's projections")
    seed: int = _field(0, "of the random weights")
    dtype: str = _field("float32", "float32 or float64", DTYPES)

    def check(self) -> StackConfig:
        """The config itself, if it makes sense. Raises AttnvizError that names the field."""
        for f in fields(self):
            value, among = getattr(self, f.name), f.metadata["among"]
            if among and value not in among:
                raise AttnvizError(
                    f"{f.name}: expected {', '.join(among)}; got {value!r}",
                    nearest(str(value), among),
                )
        check_mix(self.mix)
        if self.mix != "attention" and self.kind != "encoder":
            raise AttnvizError(
                f"mix = {self.mix}: only an encoder can do without attention, got {self.kind}",
                "kind = encoder",
            )
        self._check_sizes()
        for name in ("temperature", "softcap"):
            value = getattr(self, name)
            if value is not None and not SMALLEST_POSITIVE <= value <= LARGEST_POSITIVE:
                limits = f"{SMALLEST_POSITIVE} to {LARGEST_POSITIVE:g}"
                raise AttnvizError(
                    f"{name}: expected a number above 0, from {limits}, got {value}",
                    "1 changes nothing" if name == "temperature" else "Gemma 2 has 50",
                )
        return self

    def _check_sizes(self) -> None:
        for name in ("layers", "heads", "d_model", "kv_heads", "d_k", "d_v"):
            self._check_range(name, 1, MAX_LAYERS if name == "layers" else LARGEST_SIZE)
        for name in ("d_ff", "vocabulary"):
            self._check_range(name, 0, LARGEST_SIZE)
        self._check_range("seed", 0, LARGEST_INT)
        if self.d_k is None and self.d_model % self.heads:
            raise AttnvizError(
                f"{self.heads} heads do not divide d_model = {self.d_model}",
                f"choose {', '.join(map(str, _divisors(self.d_model)))} heads, or give d_k",
            )
        if self.heads % self.n_kv_head:
            raise AttnvizError(
                f"heads = {self.heads} is not a multiple of kv_heads = {self.n_kv_head}",
                "each key/value head serves the same number of heads",
            )

    def _check_range(self, name: str, minimum: int, maximum: int) -> None:
        value = getattr(self, name)
        if value is not None and not minimum <= value <= maximum:
            limit = f"at least {minimum}" if value < minimum else f"at most {maximum}"
            raise AttnvizError(
                f"{name}: expected a whole number of {limit}, got {value}",
                f"attnviz run --help says what {name} is",
            )

    @property
    def n_kv_head(self) -> int:
        return self.kv_heads or self.heads

    @property
    def width_k(self) -> int:
        return self.d_k or self.d_model // self.heads

    @property
    def width_v(self) -> int:
        return self.d_v or self.width_k

    @property
    def width_ff(self) -> int:
        return 4 * self.d_model if self.d_ff is None else self.d_ff


def _divisors(n: int) -> list[int]:
    """All divisors, or the first of very many."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    large = [n // d for d in reversed(small) if d * d != n]
    return (small + large)[:LISTED]


def width_for(heads: int) -> int:
    """A width of the residual stream that so many heads divide: the default, or the next larger
    one with an even number of dimensions a head."""
    default = StackConfig().d_model
    if default % heads == 0:
        return default
    width = math.ceil(default / heads)
    return heads * (width + width % 2)


FIELDS = {f.name: f for f in fields(StackConfig)}


def check_mix(spec: str) -> None:
    """Raise AttnvizError unless `spec` names a way of mixing: attention, window:reach=2, none."""
    name, options = parse_spec(spec)
    if name not in ("attention", "window", "none"):
        raise AttnvizError(f"mix: unknown {name!r}", "known: attention, window:reach=2, none")
    reach = options.pop("reach", "2") if name == "window" else "2"
    if options or not reach.isdecimal() or not 0 < int(reach) <= 64:
        raise AttnvizError(f"mix: cannot read {spec!r}", "attention, window:reach=2 or none")


def from_options(options: Mapping[str, str], base: StackConfig | None = None) -> StackConfig:
    """A config from texts, as in `random:layers=2,heads=4`."""
    values = {
        name: convert(text, str(_known(name, "random").type), f"random: {name}")
        for name, text in options.items()
    }
    return replace(base or StackConfig(), **values).check()


def read_stack(path: Path) -> dict[str, Any]:
    """The fields of a TOML file, at the top level."""
    return dict(read_toml(path, "samples/paper-base.toml"))


def from_toml(path: Path) -> StackConfig:
    """A config from a TOML file: the fields of StackConfig, at the top level."""
    return from_values(read_stack(path), str(path))


def from_values(
    values: Mapping[str, Any], where: str, base: StackConfig | None = None
) -> StackConfig:
    """A config from typed values; a wrong type is an error that names the field."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        kind = str(_known(name, where).type)
        allowed = {"int": int, "float": (int, float), "str": str, "bool": bool}
        wanted = allowed[kind.removesuffix(" | None")]
        if isinstance(value, bool) != (kind == "bool") or not isinstance(value, wanted):  # type: ignore[arg-type]
            raise AttnvizError(
                f"{where}: {name}: expected {kind}, got {value!r}",
                f"write for example {name} = {_example(kind)}",
            )
        if kind != "bool" and isinstance(value, int) and abs(value) > LARGEST_INT:
            raise AttnvizError(f"{where}: {name}: {value} is too large", "a smaller number")
        checked[name] = float(value) if "float" in kind else value
    return replace(base or StackConfig(), **checked).check()


def _example(kind: str) -> str:
    return {"str": '"causal"', "bool": "true", "float": "0.5"}.get(
        kind.removesuffix(" | None"), "4"
    )


def _known(name: str, where: str) -> Any:
    if name not in FIELDS:
        raise AttnvizError(f"{where}: unknown field {name!r}", nearest(name, FIELDS))
    return FIELDS[name]
