from __future__ import annotations

from .shared import EPS, Variant

VARIANTS = {
    "gpt_neo": Variant(
        "GPTNeoForCausalLM",
        {
            "vocab_size": 47,
            "hidden_size": 20,
            "num_heads": 4,
            "num_layers": 2,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 5,
            "max_position_embeddings": 37,
            "layer_norm_epsilon": EPS,
        },
        sharpness=0.9,
    ),
    "gpt_neo-untied": Variant(
        "GPTNeoForCausalLM",
        {
            "vocab_size": 47,
            "hidden_size": 15,
            "num_heads": 3,
            "num_layers": 3,
            "attention_types": [[["local"], 2], [["global"], 1]],
            "window_size": 3,
            "intermediate_size": 23,
            "activation_function": "relu",
            "max_position_embeddings": 37,
            "layer_norm_epsilon": EPS,
            "tie_word_embeddings": False,
        },
        sharpness=0.9,
    ),
}
