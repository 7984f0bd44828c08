from __future__ import annotations

from .shared import DECODER, SMALL, Variant

VARIANTS = {
    "opt": Variant(
        "OPTForCausalLM",
        {
            **DECODER,
            "hidden_size": 20,
            "word_embed_proj_dim": 20,
            "num_attention_heads": 4,
            "ffn_dim": 29,
        },
        embedding=SMALL,
    ),
    "opt-post": Variant(  # as OPT-350m
        "OPTForCausalLM",
        {
            **DECODER,
            "hidden_size": 20,
            "word_embed_proj_dim": 13,
            "num_attention_heads": 4,
            "ffn_dim": 29,
            "do_layer_norm_before": False,
        },
    ),
    "opt-plain": Variant(  # as Galactica: neither biases nor gains
        "OPTForCausalLM",
        {
            **DECODER,
            "hidden_size": 20,
            "word_embed_proj_dim": 20,
            "num_attention_heads": 4,
            "ffn_dim": 29,
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "activation_function": "gelu",
        },
        embedding=SMALL,
    ),
    "opt-projected": Variant(  # as OPT-350m, but without an output
        "OPTModel",
        {
            **DECODER,
            "hidden_size": 20,
            "word_embed_proj_dim": 13,
            "num_attention_heads": 4,
            "ffn_dim": 29,
            "do_layer_norm_before": False,
            "tie_word_embeddings": False,
        },
    ),
}
