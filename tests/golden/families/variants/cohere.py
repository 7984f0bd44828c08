from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "cohere": Variant(
        "CohereForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "logit_scale": 0.3,
            "eos_token_id": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
        },
    ),
    "cohere-norms": Variant(  # as Command R+; an output of its own, which no published one has
        "CohereForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "attention_bias": True,
            "use_qk_norm": True,
            "eos_token_id": 2,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
    ),
}
