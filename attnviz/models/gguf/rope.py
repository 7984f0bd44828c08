"""What a GGUF file says of rotary positions, as Hugging Face's `rope_parameters`."""

from __future__ import annotations

from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile

FACTORS = "rope_freqs.weight"
LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
TENSORS = frozenset({FACTORS, LONG, SHORT})
"""Tensors of divisors, one for each frequency."""


def whole_rope(fields: Config, file: TensorFile, d_head: int) -> dict[str, Any]:
    """As `rope_parameters`, where all features of a head are rotated."""
    fields.require("rope.dimension_count", d_head)
    return rope_parameters(fields, file)


def rope_parameters(fields: Config, file: TensorFile) -> dict[str, Any]:
    """The section, with the base; the architecture says which fraction of a head is rotated."""
    rope: dict[str, Any] = {
        "rope_type": "default",
        "rope_theta": fields.number("rope.freq_base", 10000.0),
    }
    kind = fields.choice("rope.scaling.type", "linear", "none", "yarn", "longrope")
    fields.inert("rope.scaling.finetuned")
    original = fields.whole("rope.scaling.original_context_length")
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 0.0))
    is_scaled = kind != "none" and factor not in (0.0, 1.0)
    if LONG in file.shapes:
        return rope | _longrope(fields, file, original)
    if kind == "longrope":
        raise fields.error(f"rope.scaling.type = longrope, but the file has no {LONG}")
    if FACTORS in file.shapes:
        if is_scaled:
            raise fields.error(
                f"rope.scaling.factor = {factor} together with {FACTORS} is not supported"
            )
        return rope | {"rope_type": "factors", "factors": _divisors(file, FACTORS)}
    if not is_scaled:
        return rope
    if kind == "linear":
        return rope | {"rope_type": "linear", "factor": factor}
    fields.require("rope.scaling.yarn_ext_factor", 1.0)
    gain = fields.number("rope.scaling.yarn_attn_factor", 0.0)
    return rope | {
        **({"attention_factor": gain} if gain else {}),
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": original or fields.count("context_length"),
        "beta_fast": fields.number("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": fields.number("rope.scaling.yarn_beta_slow", 1.0),
    }


def _longrope(fields: Config, file: TensorFile, original: int) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "long_factor": _divisors(file, LONG),
        "short_factor": _divisors(file, SHORT),
        "original_max_position_embeddings": original or fields.count("context_length"),
        "attention_factor": fields.number("rope.scaling.attn_factor", 1.0),
    }


def _divisors(file: TensorFile, name: str) -> list[float]:
    if name not in file.shapes:
        raise AttnvizError(f"{file.path}: the tensor {name} is missing", "download it again")
    return [float(factor) for factor in file.read(name).reshape(-1)]
