from __future__ import annotations

from .shared import DECODER, EPS, GROUPED, Variant

VARIANTS = {
    "llama": Variant(
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 4,
            "intermediate_size": 29,
        },
    ),
    "llama-3": Variant(  # grouped heads, scaled rotary positions, tied output
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 5000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 12,
            },
            "tie_word_embeddings": True,
        },
    ),
    "llama-bias": Variant(
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "hidden_size": 24,
            "intermediate_size": 29,
            "attention_bias": True,
            "mlp_bias": True,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
    ),
    "llama-yarn": Variant(
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "max_position_embeddings": 48,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 30.0,
                "factor": 4.0,
                "beta_fast": 1.0,
                "beta_slow": 0.1,
                "original_max_position_embeddings": 12,
            },
        },
    ),
    "llama-dynamic": Variant(  # scaled only beyond the length that is read
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 30.0},
        },
    ),
    "llama-long": Variant(  # factors for long texts, as Phi-3 has them
        "LlamaForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 6,
            "intermediate_size": 23,
            "max_position_embeddings": 40,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 500.0,
                "factor": 3.0,
                "short_factor": [1.0, 1.3, 1.7],
                "long_factor": [1.1, 2.3, 3.9],
                "original_max_position_embeddings": 12,
            },
        },
        tokens={"single": 12, "long": 13},  # where the long factors begin
    ),
}
