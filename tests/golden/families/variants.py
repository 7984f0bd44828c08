"""The tiny checkpoints: every family, and every spelling of a family that changes the numbers.

Sizes are small and no two axes of a model have the same length, so that a swapped axis cannot fit.
"""

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


VARIANTS: dict[str, Variant] = {
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
    "mistral-yarn": Variant(  # its factor follows from the lengths
        "MistralForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 20,
            "head_dim": 6,
            "intermediate_size": 29,
            "sliding_window": None,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 30.0,
                "factor": None,
                "beta_fast": 1.0,
                "beta_slow": 0.1,
                "original_max_position_embeddings": 12,
            },
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
    "mistral": Variant(
        "MistralForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 20,
            "head_dim": 6,
            "intermediate_size": 29,
            "sliding_window": 5,
        },
    ),
    "qwen2": Variant(
        "Qwen2ForCausalLM",
        {**DECODER, "rms_norm_eps": EPS, **GROUPED, "hidden_size": 24, "intermediate_size": 29},
    ),
    "qwen2-window": Variant(
        "Qwen2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2-both-sides": Variant(  # as gte-Qwen2; and llama3's scaling without its length
        "Qwen2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "is_causal": False,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 300.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            },
        },
    ),
    "qwen3": Variant(
        "Qwen3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "tie_word_embeddings": True,
        },
    ),
    "qwen3-window": Variant(
        "Qwen3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
        },
    ),
    "gemma2": Variant(
        "Gemma2ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 29,
            "query_pre_attn_scalar": 7,
            "sliding_window": 4,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3_text": Variant(
        "Gemma3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "num_hidden_layers": 3,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "query_pre_attn_scalar": 7,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
                "full_attention": {"rope_type": "linear", "factor": 2.5, "rope_theta": 3000.0},
            },
        },
    ),
    "gemma3_text-both-sides": Variant(  # as EmbeddingGemma
        "Gemma3TextModel",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 16,
            "head_dim": 10,
            "intermediate_size": 23,
            "query_pre_attn_scalar": 7,
            "sliding_window": 7,
            "layer_types": ["sliding_attention", "full_attention"],
            "use_bidirectional_attention": True,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
                "full_attention": {"rope_type": "default", "rope_theta": 3000.0},
            },
        },
    ),
    "phi3": Variant(
        "Phi3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            **GROUPED,
            "hidden_size": 24,
            "intermediate_size": 29,
            "sliding_window": 5,
            "pad_token_id": 0,
        },
    ),
    "phi3-long": Variant(
        "Phi3ForCausalLM",
        {
            **DECODER,
            "rms_norm_eps": EPS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "hidden_size": 24,
            "intermediate_size": 29,
            "pad_token_id": 0,
            "max_position_embeddings": 40,
            "original_max_position_embeddings": 12,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 500.0,
                "partial_rotary_factor": 0.75,
                "short_factor": [1.0, 1.3, 1.7],
                "long_factor": [1.1, 2.3, 3.9],
                "original_max_position_embeddings": 12,
            },
        },
        tokens={"single": 12, "long": 13},  # where the long factors begin
    ),
    "gpt2": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 2,
            "n_inner": 29,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
        },
    ),
    "gpt2-untied": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 1,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "tie_word_embeddings": False,
        },
    ),
    "gpt2-classifier": Variant(
        "GPT2ForSequenceClassification",
        {
            "vocab_size": 47,
            "n_embd": 20,
            "n_head": 4,
            "n_layer": 1,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "num_labels": 3,
            "pad_token_id": 0,
        },
    ),
    "gpt2-inverse": Variant(
        "GPT2LMHeadModel",
        {
            "vocab_size": 47,
            "n_embd": 15,
            "n_head": 3,
            "n_layer": 3,
            "n_positions": 37,
            "layer_norm_epsilon": EPS,
            "scale_attn_by_inverse_layer_idx": True,
            "activation_function": "gelu",
        },
        sharpness=1.6,
    ),
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
    "gpt_neox": Variant(
        "GPTNeoXForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "intermediate_size": 29,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.75,
            },
        },
    ),
    "gpt_neox-serial": Variant(
        "GPTNeoXForCausalLM",
        {
            **DECODER,
            "layer_norm_eps": EPS,
            "hidden_size": 24,
            "num_attention_heads": 3,
            "intermediate_size": 29,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 300.0,
                "partial_rotary_factor": 1.0,
            },
            "use_parallel_residual": False,
            "hidden_act": "gelu_new",
        },
    ),
    "bert": Variant("BertForMaskedLM", {**BERT, "type_vocab_size": 2}, "segments", sharpness=1.8),
    "bert-untied": Variant(
        "BertForMaskedLM",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 2, "tie_word_embeddings": False},
        "segments",
        sharpness=1.8,
    ),
    "bert-tagger": Variant(
        "BertForTokenClassification",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 2, "num_labels": 3},
        "segments",
        sharpness=1.8,
    ),
    "roberta-untied": Variant(
        "RobertaForMaskedLM",
        {**BERT, "num_hidden_layers": 1, "type_vocab_size": 1, "tie_word_embeddings": False},
        "roberta",
    ),
    "roberta": Variant("RobertaForMaskedLM", {**BERT, "type_vocab_size": 1}, "roberta"),
    "distilbert": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 2,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
        },
        "encoder",
        embedding=SMALL,
    ),
    "distilbert-untied": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 1,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
            "tie_word_embeddings": False,
        },
        "encoder",
        embedding=SMALL,
    ),
    "distilbert-sinusoidal": Variant(
        "DistilBertForMaskedLM",
        {
            "vocab_size": 47,
            "dim": 20,
            "n_heads": 4,
            "n_layers": 2,
            "hidden_dim": 29,
            "max_position_embeddings": 37,
            "sinusoidal_pos_embds": True,
        },
        "encoder",
        sharpness=1.8,
        embedding=SMALL,
    ),
    "albert": Variant(
        "AlbertForMaskedLM",
        {**BERT, "num_hidden_layers": 3, "embedding_size": 13, "type_vocab_size": 2},
        "segments",
        sharpness=1.8,
    ),
    "albert-untied": Variant(
        "AlbertForMaskedLM",
        {
            **BERT,
            "num_hidden_layers": 1,
            "embedding_size": 13,
            "type_vocab_size": 2,
            "tie_word_embeddings": False,
        },
        "segments",
        sharpness=1.8,
    ),
    "albert-groups": Variant(
        "AlbertForMaskedLM",
        {
            **BERT,
            "hidden_size": 16,
            "intermediate_size": 19,
            "num_hidden_layers": 3,
            "num_hidden_groups": 2,
            "inner_group_num": 2,
            "embedding_size": 13,
            "type_vocab_size": 2,
        },
        "segments",
        sharpness=2.3,
    ),
    "electra": Variant(
        "ElectraForPreTraining",
        {**BERT, "embedding_size": 13, "type_vocab_size": 2},
        "segments",
        sharpness=1.8,
    ),
    "electra-untied": Variant(
        "ElectraForMaskedLM",
        {
            **BERT,
            "num_hidden_layers": 1,
            "embedding_size": 13,
            "type_vocab_size": 2,
            "tie_word_embeddings": False,
        },
        "segments",
        sharpness=1.8,
    ),
    "electra-generator": Variant(
        "ElectraForMaskedLM",
        {
            **BERT,
            "hidden_size": 16,
            "intermediate_size": 19,
            "embedding_size": 13,
            "type_vocab_size": 2,
            "hidden_act": "relu",
        },
        "segments",
        sharpness=1.8,
    ),
    "t5": Variant(
        "T5ForConditionalGeneration",
        {
            "vocab_size": 47,
            "d_model": 14,
            "num_heads": 4,
            "d_kv": 6,
            "d_ff": 17,
            "num_layers": 2,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 15,
            "layer_norm_epsilon": EPS,
            "decoder_start_token_id": 0,
        },
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
    ),
    "t5-encoder": Variant(  # as sentence-t5
        "T5EncoderModel",
        {
            "vocab_size": 47,
            "d_model": 14,
            "num_heads": 4,
            "d_kv": 6,
            "d_ff": 17,
            "num_layers": 2,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 15,
            "layer_norm_epsilon": EPS,
        },
        "encoder",
        sharpness=0.7,
        tokens={"long": 19},
    ),
    "t5-classifier": Variant(
        "T5ForSequenceClassification",
        {
            "vocab_size": 47,
            "d_model": 14,
            "num_heads": 4,
            "d_kv": 6,
            "d_ff": 17,
            "num_layers": 1,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 15,
            "layer_norm_epsilon": EPS,
            "decoder_start_token_id": 0,
            "num_labels": 3,
        },
        "classified",
        sharpness=0.7,
    ),
    "t5-v1_1": Variant(
        "T5ForConditionalGeneration",
        {
            "vocab_size": 47,
            "d_model": 14,
            "num_heads": 4,
            "d_kv": 6,
            "d_ff": 17,
            "num_layers": 1,
            "num_decoder_layers": 2,
            "relative_attention_num_buckets": 10,
            "relative_attention_max_distance": 17,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
            "layer_norm_epsilon": EPS,
            "decoder_start_token_id": 0,
        },
        "seq2seq",
        sharpness=0.7,
        tokens={"long": 19},  # into the buckets that hold several distances
        untied=True,
    ),
    "bart": Variant(
        "BartForConditionalGeneration",
        {**SEQ2SEQ, "encoder_layers": 2, "decoder_layers": 2},
        "seq2seq",
        embedding=SMALL,
    ),
    "bart-untied": Variant(  # three tables of tokens, and the output
        "BartForConditionalGeneration",
        {**SEQ2SEQ, "encoder_layers": 1, "decoder_layers": 1, "tie_word_embeddings": False},
        "seq2seq",
        embedding=SMALL,
    ),
    "bart-classifier": Variant(
        "BartForSequenceClassification",
        {**SEQ2SEQ, "encoder_layers": 1, "decoder_layers": 1, "num_labels": 3},
        "classified",
        embedding=SMALL,
    ),
    "bart-scaled": Variant(
        "BartForConditionalGeneration",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "decoder_attention_heads": 2,
            "scale_embedding": True,
            "activation_function": "relu",
        },
        "seq2seq",
        embedding=SMALL,
    ),
    "marian": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "scale_embedding": True,
            "activation_function": "swish",
            "pad_token_id": 46,
            "decoder_start_token_id": 46,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
    "marian-untied": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "tie_word_embeddings": False,
            "pad_token_id": 46,
            "decoder_start_token_id": 46,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
    "marian-unshared": Variant(
        "MarianMTModel",
        {
            **SEQ2SEQ,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "vocab_size": 43,
            "decoder_vocab_size": 37,
            "share_encoder_decoder_embeddings": False,
            "activation_function": "relu",
            "pad_token_id": 36,
            "decoder_start_token_id": 36,
            "eos_token_id": 0,
        },
        "seq2seq",
    ),
    "vit": Variant(
        "ViTForImageClassification",
        {**IMAGE, "image_size": 12, "intermediate_size": 29, "qkv_bias": True},
        "vit",
    ),
    "vit-wide": Variant(
        "ViTForImageClassification",
        {**IMAGE, "image_size": [9, 15], "intermediate_size": 29, "qkv_bias": False},
        "vit",
    ),
    "dinov2": Variant(
        "Dinov2ForImageClassification", {**IMAGE, "image_size": 15, "mlp_ratio": 2}, "dinov2"
    ),
    "dinov2-swiglu": Variant(
        "Dinov2ForImageClassification",
        {**IMAGE, "image_size": 12, "mlp_ratio": 2, "use_swiglu_ffn": True, "qkv_bias": False},
        "dinov2",
    ),
}
