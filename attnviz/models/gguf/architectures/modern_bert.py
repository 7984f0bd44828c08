"""ModernBERT."""

from __future__ import annotations

from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.architecture import Architecture, Values, vocabulary
from attnviz.models.gguf.rope import whole_rope

AT = "layers.{0}."
NAMES = {
    "token_embd": "embeddings.tok_embeddings",
    "token_embd_norm": "embeddings.norm",
    "output_norm": "final_norm",
    "attn_norm": f"{AT}attn_norm",
    "attn_qkv": f"{AT}attn.Wqkv",
    "attn_output": f"{AT}attn.Wo",
    "ffn_norm": f"{AT}mlp_norm",
    "ffn_up": f"{AT}mlp.Wi",
    "ffn_down": f"{AT}mlp.Wo",
    "cls": "classifier.dense",
    "cls.norm": "classifier.norm",
    "cls.output": "classifier.out_proj",
}


def _config(fields: Config, file: TensorFile) -> Values:
    """Of every few layers the first sees everything."""
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    n_layer, key = fields.count("block_count"), "attention.sliding_window_pattern"
    slides = fields.get(key, 3)
    if not isinstance(slides, list):
        every = fields.count(key, 3)
        slides = [layer % every > 0 for layer in range(n_layer)]
    base = fields.number("rope.freq_base_swa", 10000.0)
    fields.inert("attention.layer_norm_rms_epsilon")  # of no norm
    return {
        "model_type": "modernbert",
        "architectures": ["ModernBertModel"],
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": n_layer,
        "num_attention_heads": n_head,
        "max_position_embeddings": fields.count("context_length"),
        "norm_eps": fields.number("attention.layer_norm_epsilon"),
        "local_attention": fields.count("attention.sliding_window"),
        "layer_types": ["sliding_attention" if each else "full_attention" for each in slides],
        "rope_parameters": {
            "full_attention": whole_rope(fields, file, d_model // n_head),
            "sliding_attention": {"rope_type": "default", "rope_theta": base},
        },
        **vocabulary(file),
    }


ARCHITECTURE = Architecture(_config, NAMES, is_causal=False)
