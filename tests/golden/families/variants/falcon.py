from __future__ import annotations

from .shared import DECODER, EPS, Variant

SIZES = {**DECODER, "layer_norm_epsilon": EPS}

VARIANTS = {
    "falcon": Variant(  # as Falcon 7B: keys and values of one head
        "FalconForCausalLM",
        {**SIZES, "hidden_size": 24, "num_attention_heads": 3},
    ),
    "falcon-groups": Variant(  # as Falcon 40B
        "FalconForCausalLM",
        {
            **SIZES,
            "hidden_size": 24,
            "num_attention_heads": 6,
            "num_kv_heads": 2,
            "new_decoder_architecture": True,
            "ffn_hidden_size": 29,
            "bias": True,
            "activation": "relu",
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 300.0},
        },
    ),
    "falcon-one-norm": Variant(  # as Falcon 2 11B
        "FalconForCausalLM",
        {
            **SIZES,
            "num_hidden_layers": 1,
            "hidden_size": 16,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "new_decoder_architecture": True,
            "num_ln_in_parallel_attn": 1,
        },
    ),
    "falcon-rw": Variant(  # ALiBi, one part after the other; with nine heads a slope is rounded
        "FalconForCausalLM",
        {
            **SIZES,
            "hidden_size": 36,
            "num_attention_heads": 9,
            "alibi": True,
            "multi_query": False,
            "parallel_attn": False,
            "bias": True,
        },
    ),
}
