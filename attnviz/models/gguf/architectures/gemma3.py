"""Gemma 3, its text."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values
from attnviz.models.gguf.architectures.gemma2 import NAMES, alternating, gains, score_scale


def _config(fields: Config, file: TensorFile) -> Values:
    values = alternating(fields, file, "gemma3_text", window=0, every=6)
    cap = fields.number("final_logit_softcapping", 0.0)
    return {
        **values,
        **two_ropes(fields, values),
        **({"final_logit_softcapping": cap} if cap else {}),
        **score_scale(values, 62),
    }


def two_ropes(fields: Config, values: Values) -> Values:
    """The rotation of the layers that slide is never scaled."""
    base = fields.number("rope.freq_base_swa", 10000.0)
    sliding = {"rope_type": "default", "rope_theta": base}
    full = values["rope_parameters"]
    return {"rope_parameters": {"full_attention": full, "sliding_attention": sliding}}


ARCHITECTURE = Architecture(_config, NAMES, gains)
