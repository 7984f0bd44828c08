"""What a GGUF file says of its model, by `general.architecture`: a config in Hugging Face's
fields, and its tensors under Hugging Face's names.

Sources: llama.cpp, convert_hf_to_gguf.py (what is stored how) and src/llama-model.cpp (what
holds where the file does not say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.tensors import TensorFile
from attnviz.models.gguf.header import ARCHITECTURE
from attnviz.models.gguf.layout import Change, Renamed, halves, side_by_side
from attnviz.models.gguf.rope import TENSORS, rope_parameters
from attnviz.registry import nearest
from attnviz.tokens import label

HINT = "download it again, or take another conversion of the model"
"""What to do about wrong metadata."""

PER_LAYER = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
"""Fields that may be lists with one entry per layer."""

SIZES = ("embedding_length", "feed_forward_length", "attention.head_count",
         "attention.head_count_kv", "attention.key_length")  # fmt: skip
"""Fields that cannot be larger than the file has bytes."""

LAYER = "model.layers.{0}."
LLAMA_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": f"{LAYER}input_layernorm",
    "attn_q": f"{LAYER}self_attn.q_proj",
    "attn_k": f"{LAYER}self_attn.k_proj",
    "attn_v": f"{LAYER}self_attn.v_proj",
    "attn_q_norm": f"{LAYER}self_attn.q_norm",
    "attn_k_norm": f"{LAYER}self_attn.k_norm",
    "attn_output": f"{LAYER}self_attn.o_proj",
    "ffn_norm": f"{LAYER}post_attention_layernorm",
    "ffn_gate": f"{LAYER}mlp.gate_proj",
    "ffn_up": f"{LAYER}mlp.up_proj",
    "ffn_down": f"{LAYER}mlp.down_proj",
}
GEMMA_NAMES = LLAMA_NAMES | {
    "post_attention_norm": f"{LAYER}post_attention_layernorm",
    "ffn_norm": f"{LAYER}pre_feedforward_layernorm",
    "post_ffw_norm": f"{LAYER}post_feedforward_layernorm",
}
PHI3_NAMES = LLAMA_NAMES | {
    "attn_qkv": f"{LAYER}self_attn.qkv_proj",
    "ffn_up": f"{LAYER}mlp.gate_up_proj",
}
GPT2_NAMES = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output_norm": "transformer.ln_f",
    "output": "lm_head",
    "attn_norm": "transformer.h.{0}.ln_1",
    "attn_qkv": "transformer.h.{0}.attn.c_attn",
    "attn_output": "transformer.h.{0}.attn.c_proj",
    "ffn_norm": "transformer.h.{0}.ln_2",
    "ffn_up": "transformer.h.{0}.mlp.c_fc",
    "ffn_down": "transformer.h.{0}.mlp.c_proj",
}
GPTNEOX_NAMES = {
    "token_embd": "gpt_neox.embed_in",
    "output_norm": "gpt_neox.final_layer_norm",
    "output": "embed_out",
    "attn_norm": "gpt_neox.layers.{0}.input_layernorm",
    "attn_qkv": "gpt_neox.layers.{0}.attention.query_key_value",
    "attn_output": "gpt_neox.layers.{0}.attention.dense",
    "ffn_norm": "gpt_neox.layers.{0}.post_attention_layernorm",
    "ffn_up": "gpt_neox.layers.{0}.mlp.dense_h_to_4h",
    "ffn_down": "gpt_neox.layers.{0}.mlp.dense_4h_to_h",
}

OTHER_KINDS = {
    "adapter": (
        "a LoRA adapter",
        "merge it into its base: llama-export-lora -m BASE.gguf --lora ADAPTER.gguf -o NEW.gguf",
    ),
    "imatrix": ("an importance matrix", "take the file of the model itself"),
    "mmproj": ("the image part of a model", "take the file of its language model"),
    "vocab": ("a vocabulary", "take the file of the model itself"),
}
"""What a `general.type` other than `model` says -> (what the file is, hint)."""

Values = dict[str, Any]


class Architecture(NamedTuple):
    """How the files of one `general.architecture` are read."""

    config: Callable[[Config, TensorFile], Values]
    names: Mapping[str, str]
    changes: Callable[[Values], Mapping[str, Change]] = lambda values: {}


def translate(metadata: Mapping[str, Any], file: TensorFile) -> tuple[Config, TensorFile]:
    """Config and tensors as a family reads them; a field that is not understood is refused."""
    name = str(metadata.get(ARCHITECTURE))
    kind = str(metadata.get("general.type", "adapter" if "adapter.type" in metadata else "model"))
    if kind in OTHER_KINDS:
        what, hint = OTHER_KINDS[kind]
        raise AttnvizError(f"{file.path} holds {what}, not a model", hint)
    if name not in ARCHITECTURES:
        raise AttnvizError(
            f"{file.path}: the architecture {label(name)} is not supported",
            nearest(name, ARCHITECTURES),
        )
    if not file.shapes:
        raise AttnvizError(
            f"{file.path} holds a vocabulary without weights", "take the file of the model itself"
        )
    if metadata.get("split.count", 1) not in (0, 1):
        raise AttnvizError(
            f"{file.path} is one of {metadata['split.count']} parts of a model",
            "join them: llama-gguf-split --merge FIRST-PART NEW-FILE",
        )
    architecture = ARCHITECTURES[name]
    fields = _fields(metadata, name, file)
    values = architecture.config(fields, file)
    fields.inert("vocab_size", "tensor_data_layout", "pooling_type")
    fields.require("attention.causal", True)
    fields.require("expert_count", 0)
    fields.require("expert_used_count", 0)
    fields.finish()
    renamed = Renamed(file, architecture.names, architecture.changes(values), TENSORS)
    return Config(values, f"{file.path}: its config", HINT), renamed


def _fields(metadata: Mapping[str, Any], name: str, file: TensorFile) -> Config:
    """The fields of the architecture, with sizes that the file can hold."""
    values = {
        key.removeprefix(f"{name}."): value
        for key, value in metadata.items()
        if key.startswith(f"{name}.")
    }
    for key in PER_LAYER:
        if isinstance(values.get(key), list) and len(set(values[key])) == 1:
            values[key] = values[key][0]
    maxima = {**dict.fromkeys(SIZES, file.n_byte), "block_count": len(file.shapes)}
    for key, maximum in maxima.items():
        if isinstance(values.get(key), int) and values[key] > maximum:
            raise AttnvizError(
                f"{file.path}: {name}.{key} = {values[key]} is more than the file holds",
                "download it again",
            )
    return Config(values, f"{file.path}: {name}.*", HINT)


def _llama_like(
    fields: Config, file: TensorFile, model_type: str, *, partial: bool = False
) -> Values:
    """What all Llama-like models say; `partial` allows that not all features are rotated."""
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    d_head = fields.count("attention.key_length", max(1, d_model // n_head))
    fields.require("attention.value_length", d_head)
    if d_head % 2:
        raise fields.error(f"heads of {d_head} features, an odd number, cannot be rotated in pairs")
    rope = rope_parameters(fields, file)
    if partial:
        rope["partial_rotary_factor"] = fields.count("rope.dimension_count", d_head) / d_head
    else:
        fields.require("rope.dimension_count", d_head)
    return {
        "model_type": model_type,
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "num_key_value_heads": fields.count("attention.head_count_kv", n_head),
        "head_dim": d_head,
        "rms_norm_eps": fields.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": fields.count("context_length"),
        "rope_parameters": rope,
        **_vocabulary(file),
    }


def _vocabulary(file: TensorFile) -> Values:
    shape = file.shapes.get("token_embd.weight", (1,))
    return {"vocab_size": shape[0], "tie_word_embeddings": "output.weight" not in file.shapes}


def _llama(fields: Config, file: TensorFile) -> Values:
    """Llama, and Mistral, whose files name the architecture llama."""
    window = fields.whole("attention.sliding_window")
    values = _llama_like(fields, file, "mistral" if window else "llama")
    if window:
        return values | {"sliding_window": window}
    biases = {
        "attention_bias": "blk.0.attn_q.bias" in file.shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in file.shapes,
    }
    return values | biases


def _llama_changes(values: Values) -> Mapping[str, Change]:
    n_head, n_kv_head = values["num_attention_heads"], values["num_key_value_heads"]
    return {
        "attn_q": Change(order=partial(halves, n_head)),
        "attn_k": Change(order=partial(halves, n_kv_head)),
    }


def _qwen2(fields: Config, file: TensorFile) -> Values:
    return _llama_like(fields, file, "qwen2")


def _qwen3(fields: Config, file: TensorFile) -> Values:
    return _llama_like(fields, file, "qwen3")


def _gemma(fields: Config, file: TensorFile, model_type: str, window: int, every: int) -> Values:
    """Gemma 2 and 3: of every `every` layers the last sees everything, the others slide."""
    values = _llama_like(fields, file, model_type)
    n_layer = values["num_hidden_layers"]
    window = fields.whole("attention.sliding_window", window)
    key = "attention.sliding_window_pattern"
    if isinstance(fields.get(key, every), list):
        slides = fields.get(key)
    else:
        every = fields.count(key, every)
        slides = [layer % every < every - 1 for layer in range(n_layer)]
    kinds = ["sliding_attention" if slide and window else "full_attention" for slide in slides]
    return values | {"layer_types": kinds, **({"sliding_window": window} if window else {})}


def _scale(values: Values, n_layer_of_largest: int) -> Values:
    """Only the largest Gemma of a generation does not divide the scores by √d_head, and only its
    number of layers tells it from the others."""
    largest = values["num_hidden_layers"] == n_layer_of_largest
    d_mean = values["hidden_size"] // values["num_attention_heads"]
    return {"query_pre_attn_scalar": d_mean if largest else values["head_dim"]}


def _gemma2(fields: Config, file: TensorFile) -> Values:
    values = _gemma(fields, file, "gemma2", window=4096, every=2)
    usual = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
    caps = {key: fields.number(key, cap) for key, cap in usual.items()}
    return values | caps | _scale(values, 46)


def _gemma3(fields: Config, file: TensorFile) -> Values:
    values = _gemma(fields, file, "gemma3_text", window=0, every=6)
    sliding = {"rope_type": "default", "rope_theta": fields.number("rope.freq_base_swa", 10000.0)}
    full = values["rope_parameters"]
    values["rope_parameters"] = {"full_attention": full, "sliding_attention": sliding}
    cap = fields.number("final_logit_softcapping", 0.0)
    return values | ({"final_logit_softcapping": cap} if cap else {}) | _scale(values, 62)


def _gemma_changes(values: Values) -> Mapping[str, Change]:
    norms = ("attn_norm", "attn_q_norm", "attn_k_norm", "post_attention_norm", "ffn_norm",
             "post_ffw_norm", "output_norm")  # fmt: skip
    return dict.fromkeys(norms, Change(offset=1.0))


def _phi3(fields: Config, file: TensorFile) -> Values:
    values = _llama_like(fields, file, "phi3", partial=True)
    window = fields.whole("attention.sliding_window")
    return values | ({"sliding_window": window} if window else {})


def _gpt2(fields: Config, file: TensorFile) -> Values:
    return {
        "model_type": "gpt2",
        "n_embd": fields.count("embedding_length"),
        "n_inner": fields.count("feed_forward_length"),
        "n_layer": fields.count("block_count"),
        "n_head": fields.count("attention.head_count"),
        "n_positions": fields.count("context_length"),
        "layer_norm_epsilon": fields.number("attention.layer_norm_epsilon"),
        "activation_function": "gelu_new",
        **_vocabulary(file),
    }


def _gpt2_changes(values: Values) -> Mapping[str, Change]:
    matrices = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    return dict.fromkeys(matrices, Change(transposed=True))


def _gptneox(fields: Config, file: TensorFile) -> Values:
    n_head, d_model = fields.count("attention.head_count"), fields.count("embedding_length")
    d_head = max(1, d_model // n_head)
    fraction = fields.count("rope.dimension_count", d_head) / d_head
    return {
        "model_type": "gpt_neox",
        "hidden_size": d_model,
        "intermediate_size": fields.count("feed_forward_length"),
        "num_hidden_layers": fields.count("block_count"),
        "num_attention_heads": n_head,
        "max_position_embeddings": fields.count("context_length"),
        "layer_norm_eps": fields.number("attention.layer_norm_epsilon"),
        "use_parallel_residual": fields.switch("use_parallel_residual", True),
        "rope_parameters": rope_parameters(fields, file) | {"partial_rotary_factor": fraction},
        "hidden_act": "gelu",  # Pythia's; files do not say
        **_vocabulary(file),
    }


def _gptneox_changes(values: Values) -> Mapping[str, Change]:
    return {"attn_qkv": Change(order=partial(side_by_side, values["num_attention_heads"]))}


ARCHITECTURES = {
    "llama": Architecture(_llama, LLAMA_NAMES, _llama_changes),
    "qwen2": Architecture(_qwen2, LLAMA_NAMES),
    "qwen3": Architecture(_qwen3, LLAMA_NAMES),
    "gemma2": Architecture(_gemma2, GEMMA_NAMES, _gemma_changes),
    "gemma3": Architecture(_gemma3, GEMMA_NAMES, _gemma_changes),
    "phi3": Architecture(_phi3, PHI3_NAMES),
    "gpt2": Architecture(_gpt2, GPT2_NAMES, _gpt2_changes),
    "gptneox": Architecture(_gptneox, GPTNEOX_NAMES, _gptneox_changes),
}
