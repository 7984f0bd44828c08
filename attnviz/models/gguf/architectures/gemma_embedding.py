"""EmbeddingGemma: Gemma 3 that sees both sides."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values
from attnviz.models.gguf.architectures.gemma2 import NAMES, alternating, gains, score_scale
from attnviz.models.gguf.architectures.gemma3 import two_ropes


def _config(fields: Config, file: TensorFile) -> Values:
    values = alternating(fields, file, "gemma3_text", window=512, every=6)
    fields.inert("dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in", "dense_3_feat_out")
    return {
        **values,
        **two_ropes(fields, values),
        **score_scale(values, 0),
        "use_bidirectional_attention": True,
        "architectures": ["Gemma3TextModel"],
    }


ARCHITECTURE = Architecture(_config, NAMES, gains, is_causal=False)
