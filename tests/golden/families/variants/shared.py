"""What the tiny checkpoints of all families share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """One checkpoint: a folder of this directory."""

    model: str
    """The class in transformers."""
    config: dict[str, Any]
    cases: str = "decoder"
    """Which inputs it gets: a function of `cases.py`."""
    sharpness: float = 1.3
    """Factor of the query and key weights: what makes attention neither flat nor one-hot."""
    embedding: float = 1.0
    """Standard deviation of the embeddings."""
    untied: bool = False
    """Give the output a matrix of its own where transformers ties it whatever the config says."""
    transformers: str = "5."
    """How the version begins that has it."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Lengths of the cases, where they are not the usual ones."""


DECODER = {"vocab_size": 47, "num_hidden_layers": 2, "max_position_embeddings": 41}
EPS = 0.03
"""Of the norms, where the config says it: large, so that one that is not read shows."""
SMALL = 0.05
"""Of the embeddings, where the norm's eps is fixed and small."""

GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 2}
BERT = {
    "vocab_size": 47,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 23,
    "max_position_embeddings": 37,
    "layer_norm_eps": EPS,
}
SEQ2SEQ = {
    "vocab_size": 47,
    "d_model": 12,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 17,
    "decoder_ffn_dim": 19,
    "max_position_embeddings": 37,
}
IMAGE = {
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 3,
    "num_labels": 5,
    "layer_norm_eps": EPS,
}
