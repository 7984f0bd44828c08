"""The same checkpoints as the hub has them from before transformers 5: other config fields, other
names of tensors, and tensors that are there twice or for nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from attnviz.models.build.families.marian import halved_sinusoidal
from attnviz.models.build.layers import GATED

Config = dict[str, Any]
TensorsByName = dict[str, np.ndarray]


def old_config(config: Config) -> Config:
    """config.json as transformers 4 wrote it."""
    old = dict(config)
    old["torch_dtype"] = old.pop("dtype")
    family = old["model_type"]
    if "layer_types" in old and family not in ("gemma3_text", "cohere2", "gpt_oss"):
        del old["layer_types"]
    if family in FIELDS:
        FIELDS[family](old)
    if "rope_theta" in old.get("rope_parameters", ()):
        _old_rope(old, old.pop("rope_parameters"))
    return old


def _old_rope(old: Config, rope: Config) -> None:
    """rope_theta and partial_rotary_factor at the top; rope_scaling has the rest, or is null."""
    rope = dict(rope)
    old["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    kind = rope.pop("rope_type")
    word = "rope_type" if kind == "llama3" else "type"  # the older word of the two
    old["rope_scaling"] = None if kind == "default" else {word: kind, **rope}


def _llama(old: Config) -> None:
    if old["head_dim"] * old["num_attention_heads"] == old["hidden_size"]:
        del old["head_dim"]
    if not old["attention_bias"]:
        del old["attention_bias"], old["mlp_bias"]
    if old["num_key_value_heads"] == old["num_attention_heads"]:
        del old["num_key_value_heads"]


def _qwen(old: Config) -> None:
    """Without a sliding window its size is there nevertheless."""
    if not old["use_sliding_window"]:
        old["sliding_window"] = 3


def _gemma2(old: Config) -> None:
    old |= {"hidden_act": old["hidden_activation"], "cache_implementation": "hybrid"}
    del old["use_bidirectional_attention"]


def _gemma3(old: Config) -> None:
    """How often a layer sees everything, and two rotary bases instead of two sections."""
    rope = old.pop("rope_parameters")
    layers = old.pop("layer_types")
    old["sliding_window_pattern"] = layers.index("full_attention") + 1
    del old["_sliding_window_pattern"]
    if not old["use_bidirectional_attention"]:
        del old["use_bidirectional_attention"]
    old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    old["cache_implementation"] = "hybrid"
    _old_rope(old, rope["full_attention"])
    if old["rope_scaling"] is not None:
        old["rope_scaling"]["rope_type"] = old["rope_scaling"].pop("type")


def _olmo3(old: Config) -> None:
    """One base for all layers, and a scaling for those that do not slide."""
    old["rope_parameters"] = old["rope_parameters"]["full_attention"]


def _cohere2(old: Config) -> None:
    """How often a layer sees everything, and fields of Cohere's own code."""
    layers = old.pop("layer_types")
    old["sliding_window_pattern"] = layers.index("full_attention") + 1
    old |= {"layer_switch": 4, "order_of_interleaved_layers": "local_attn_first"}
    old |= {"position_embedding_type": "rope_gptj", "rotary_pct": 1.0, "use_parallel_block": True}
    old |= {"use_embedding_sharing": True, "use_gated_activation": True}
    old |= {"use_parallel_embedding": True, "cache_implementation": "hybrid"}


def _gemma(old: Config) -> None:
    """The first files name the other GELU, and the right one in another field or nowhere."""
    if old["hidden_act"] == "gelu_pytorch_tanh":
        old |= {"hidden_act": "gelu", "hidden_activation": None}
    del old["use_bidirectional_attention"]


def _gpt_neo(old: Config) -> None:
    """Only what the layers come of, as transformers 5 reads it of a dictionary."""
    old |= {"gradient_checkpointing": False, "summary_first_dropout": 0.1}
    old |= {"summary_type": "cls_index", "summary_use_proj": True}
    del old["attention_layers"]


def _gptj(old: Config) -> None:
    old |= {"n_ctx": old["n_positions"], "rotary": True, "scale_attn_weights": True}
    old |= {"summary_first_dropout": 0.1, "summary_type": "cls_index"}


def _bloom(old: Config) -> None:
    old |= {"n_embed": old.pop("hidden_size"), "num_attention_heads": old.pop("n_head")}
    old |= {"offset_alibi": 100, "seq_length": 2048, "n_inner": None, "skip_bias_add": True}
    old |= {"masked_softmax_fusion": True, "bias_dropout_fusion": True}
    old |= {"attention_softmax_in_fp32": True, "skip_bias_add_qkv": False}


def _falcon(old: Config) -> None:
    """Most fields have the values that hold without them."""
    auto = {"AutoConfig": "configuration_falcon.FalconConfig"}
    old |= {"apply_residual_connection_post_layernorm": False, "auto_map": auto}
    if old["alibi"]:
        del old["rope_parameters"]
    del old["max_position_embeddings"]
    if not old["new_decoder_architecture"]:
        for key in ("num_kv_heads", "num_ln_in_parallel_attn", "ffn_hidden_size"):
            del old[key]


def _mpt(old: Config) -> None:
    """As llm-foundry wrote it."""
    old |= {"architectures": ["MPTForCausalLM"], "tokenizer_name": "EleutherAI/gpt-neox-20b"}
    old |= {"auto_map": {"AutoConfig": "configuration_mpt.MPTConfig"}, "verbose": 0}
    old |= {"init_config": {"name": "kaiming_normal_", "fan_mode": "fan_in", "verbose": 0}}


def _phi3(old: Config) -> None:
    old["attention_bias"] = False
    old["auto_map"] = {"AutoConfig": "configuration_phi3.Phi3Config"}
    old["rope_parameters"] = dict(old["rope_parameters"])
    old["rope_parameters"].pop("original_max_position_embeddings", None)
    if old["rope_parameters"]["rope_type"] == "longrope":
        old["rope_parameters"]["rope_type"] = "su"
    if old["rope_parameters"]["partial_rotary_factor"] == 1.0:
        del old["rope_parameters"]["partial_rotary_factor"]


def _gpt2(old: Config) -> None:
    old |= {"n_ctx": old["n_positions"], "_num_labels": 1}
    old |= {"task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}}}
    for key in ("add_cross_attention", "reorder_and_upcast_attn", "scale_attn_weights"):
        del old[key]
    if not old["scale_attn_by_inverse_layer_idx"]:
        del old["scale_attn_by_inverse_layer_idx"]


def _opt(old: Config) -> None:
    old |= {"activation_dropout": 0.0, "prefix": "</s>"}
    for key in ("enable_bias", "layer_norm_elementwise_affine"):
        if old[key]:
            del old[key]


def _gpt_neox(old: Config) -> None:
    rope = old.pop("rope_parameters")
    old |= {"rotary_emb_base": rope["rope_theta"], "rotary_pct": rope["partial_rotary_factor"]}
    old["rope_scaling"] = None
    del old["attention_bias"]


def _bert(old: Config) -> None:
    old.setdefault("position_embedding_type", "absolute")
    old["gradient_checkpointing"] = False


def _modernbert(old: Config) -> None:
    """How often a layer sees everything, and two rotary bases instead of two sections."""
    sections = old["rope_parameters"]
    if all(section["rope_type"] == "default" for section in sections.values()):
        old["local_rope_theta"] = sections["sliding_attention"]["rope_theta"]
        old["global_rope_theta"] = sections["full_attention"]["rope_theta"]
        del old["rope_parameters"]
        old["global_attn_every_n_layers"] = 3
    else:
        old["layer_types"] = ["sliding_attention", "full_attention"]
    old |= {"reference_compile": False, "repad_logits_with_grad": False}
    old |= {"layer_norm_eps": 1e-5, "position_embedding_type": "absolute"}


def _nomic_bert(old: Config) -> None:
    """As its own code has it."""
    if old["head_dim"] * old["num_attention_heads"] != old["hidden_size"]:
        return  # which has no such models
    names = {"hidden_size": "n_embd", "num_attention_heads": "n_head"}
    names |= {"num_hidden_layers": "n_layer", "intermediate_size": "n_inner"}
    names |= {"max_position_embeddings": "n_positions", "layer_norm_eps": "layer_norm_epsilon"}
    for name, old_name in names.items():
        old[old_name] = old.pop(name)
    del old["head_dim"], old["hidden_act"]
    rope = old.pop("rope_parameters")
    old |= {"activation_function": "swiglu", "rotary_emb_base": rope["rope_theta"]}
    old |= {"rotary_scaling_factor": 2, "max_trained_positions": 37, "use_rms_norm": None}


def _deberta_v2(old: Config) -> None:
    """Terms in a string; fields of the pooler."""
    if isinstance(old.get("pos_att_type"), list):
        old["pos_att_type"] = "|".join(old["pos_att_type"])
    old |= {"pooler_dropout": 0, "pooler_hidden_act": "gelu", "pooler_hidden_size": 20}


def _distilbert(old: Config) -> None:
    old["tie_weights_"] = True


def _albert(old: Config) -> None:
    old |= {"down_scale_factor": 1, "gap_size": 0, "net_structure_type": 0, "num_memory_blocks": 0}
    old |= {"layers_to_keep": [], "position_embedding_type": "absolute"}


def _t5(old: Config) -> None:
    old |= {"n_positions": 512, "output_past": True}
    old |= {"task_specific_params": {"summarization": {"prefix": "summarize: "}}}
    if not old.pop("scale_decoder_outputs"):
        old["tie_word_embeddings"] = False
    del old["dense_act_fn"], old["is_gated_act"]


def _mt5(old: Config) -> None:
    """It never scales its output, and says that it is not tied."""
    old |= {"n_positions": 512, "output_past": True, "tie_word_embeddings": False}
    del old["dense_act_fn"], old["is_gated_act"]


def _umt5(old: Config) -> None:
    old |= {"output_past": True, "scalable_attention": True}
    del old["dense_act_fn"], old["is_gated_act"], old["tie_word_embeddings"]


def _mbart(old: Config) -> None:
    _bart(old)
    old |= {"normalize_before": True, "add_final_layer_norm": True}


def _m2m_100(old: Config) -> None:
    old |= {"num_hidden_layers": old["encoder_layers"], "gradient_checkpointing": False}
    old |= {"max_length": 200, "num_beams": 5, "tokenizer_class": "NllbTokenizer"}


def _pegasus(old: Config) -> None:
    old |= {"normalize_before": True, "normalize_embedding": False, "extra_pos_embeddings": 0}
    old |= {"static_position_embeddings": True, "force_bos_token_to_be_generated": False}
    _fairseq(old)
    old["add_final_layer_norm"] = True


def _bart(old: Config) -> None:
    old |= {"normalize_before": False, "normalize_embedding": True}
    old |= {"static_position_embeddings": False, "extra_pos_embeddings": 2}
    _fairseq(old)


def _marian(old: Config) -> None:
    old |= {"normalize_before": False, "normalize_embedding": False}
    old |= {"static_position_embeddings": True, "bad_words_ids": [[46]]}
    if old["share_encoder_decoder_embeddings"]:
        del old["share_encoder_decoder_embeddings"], old["decoder_vocab_size"]
    _fairseq(old)


def _fairseq(old: Config) -> None:
    old |= {"add_bias_logits": False, "add_final_layer_norm": False, "classif_dropout": 0.0}
    old |= {"num_hidden_layers": old["encoder_layers"], "num_beams": 4}
    del old["tie_word_embeddings"]


def _dinov2(old: Config) -> None:
    del old["use_mask_token"]


FIELDS: dict[str, Callable[[Config], None]] = {
    "llama": _llama,
    "qwen2": _qwen,
    "qwen3": _qwen,
    "qwen2_moe": _qwen,
    "qwen3_moe": _qwen,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "olmo3": _olmo3,
    "cohere2": _cohere2,
    "bloom": _bloom,
    "falcon": _falcon,
    "mpt": _mpt,
    "gemma": _gemma,
    "gpt_neo": _gpt_neo,
    "gptj": _gptj,
    "codegen": _gptj,
    "phi3": _phi3,
    "gpt2": _gpt2,
    "opt": _opt,
    "gpt_neox": _gpt_neox,
    "bert": _bert,
    "roberta": _bert,
    "xlm-roberta": _bert,
    "camembert": _bert,
    "electra": _bert,
    "modernbert": _modernbert,
    "deberta-v2": _deberta_v2,
    "nomic_bert": _nomic_bert,
    "distilbert": _distilbert,
    "albert": _albert,
    "t5": _t5,
    "mt5": _mt5,
    "umt5": _umt5,
    "bart": _bart,
    "mbart": _mbart,
    "m2m_100": _m2m_100,
    "marian": _marian,
    "pegasus": _pegasus,
    "dinov2": _dinov2,
}
"""What changes in the config of a family, besides `dtype`, `layer_types` and the rotary fields."""


def old_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The tensors as older programs wrote them."""
    family = config["model_type"]
    return TENSORS[family](config, dict(tensors)) if family in TENSORS else tensors


def _renamed(tensors: TensorsByName, *changes: tuple[str, str]) -> TensorsByName:
    """Every name with each `old` replaced by `new`; `^` stands for the name's beginning."""
    found = {}
    for name, tensor in tensors.items():
        marked = f"^{name}"
        for old, new in changes:
            marked = marked.replace(old, new)
        found[marked.removeprefix("^")] = tensor
    return found


def _with_inverse_frequencies(config: Config, tensors: TensorsByName) -> TensorsByName:
    """Each layer had the frequencies of the rotary positions."""
    frequencies = np.ones(3, np.float32)
    layers = range(config["num_hidden_layers"])
    names = (f"model.layers.{layer}.self_attn.rotary_emb.inv_freq" for layer in layers)
    return tensors | dict.fromkeys(names, frequencies)


def _fused(config: Config, tensors: TensorsByName) -> TensorsByName:
    """All experts of a layer in one tensor, as transformers 5 holds them."""
    found: TensorsByName = {}
    experts: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for name, tensor in tensors.items():
        new = name.replace(".block_sparse_moe.", ".mlp.")
        match = re.fullmatch(r"(.+\.experts)\.(\d+)\.(\w+)\.weight", new)
        if match is None:
            found[new] = tensor
        else:
            experts.setdefault((match[1], match[3]), {})[int(match[2])] = tensor
    stacked = {key: np.stack([each[i] for i in range(len(each))]) for key, each in experts.items()}
    for at in {at for at, _ in stacked}:
        gate, up, down = ("w1", "w3", "w2") if (at, "w1") in stacked else GATED
        found[f"{at}.gate_up_proj"] = np.concatenate([stacked[at, gate], stacked[at, up]], 1)
        found[f"{at}.down_proj"] = stacked[at, down]
    return found


def _gpt2_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """No prefix, and each layer's causal mask."""
    n = config["n_positions"]
    mask = np.tril(np.ones((1, 1, n, n), np.float32))
    layers = range(config["n_layer"])
    tensors |= {f"transformer.h.{layer}.attn.bias": mask for layer in layers}
    tensors |= {
        f"transformer.h.{layer}.attn.masked_bias": np.array(-1e4, np.float32) for layer in layers
    }
    return _renamed(tensors, ("^transformer.", ""))


def _opt_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """Written by OPTModel, not yet below `model.`, with the output beside it."""
    if config["architectures"] == ["OPTModel"]:
        return {f"model.{name}": tensor for name, tensor in tensors.items()}
    copy = {"lm_head.weight": tensors["model.decoder.embed_tokens.weight"]}
    return _renamed(copy | tensors, ("^model.", ""))


def _gpt_neox_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    n = config["max_position_embeddings"]
    for layer in range(config["num_hidden_layers"]):
        at = f"gpt_neox.layers.{layer}.attention"
        tensors[f"{at}.bias"] = np.tril(np.ones((1, 1, n, n), bool))
        tensors[f"{at}.masked_bias"] = np.array(-1e9, np.float32)
        tensors[f"{at}.rotary_emb.inv_freq"] = np.ones(2, np.float32)
    return tensors


def _bloom_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """Written by BloomModel, with the output beside it where that is not the embedding's table."""
    return _renamed(tensors, ("^transformer.", ""))


def _falcon_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """A copy of the shared table, and the frequencies of rotations."""
    for layer in range(config["num_hidden_layers"]):
        at = f"transformer.h.{layer}.self_attention.rotary_emb"
        tensors[f"{at}.inv_freq"] = np.ones(2, np.float32)
    return {"lm_head.weight": tensors["transformer.word_embeddings.weight"]} | tensors


def _with_mask(name: str) -> Callable[[Config, TensorsByName], TensorsByName]:
    """The causal mask as a tensor NAME of each layer's attention, and what hidden scores were."""

    def add(config: Config, tensors: TensorsByName) -> TensorsByName:
        n = config.get("n_positions", config.get("max_position_embeddings"))
        for layer in range(config.get("n_layer", config.get("num_layers"))):
            at = f"transformer.h.{layer}.attn.{name}"
            tensors[at] = np.tril(np.ones((1, 1, n, n), bool))
            if name.endswith("bias"):
                tensors[at.replace("bias", "masked_bias")] = np.array(-1e9, np.float32)
        return tensors

    return add


def _bert_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """TensorFlow's names of norms, both heads of the pretraining, the pooler."""
    d = config["hidden_size"]
    tensors |= _position_ids("bert", config)
    table = tensors["bert.embeddings.word_embeddings.weight"]
    tensors = {"cls.predictions.decoder.weight": table} | tensors
    tensors["cls.seq_relationship.weight"] = np.ones((2, d), np.float32)
    tensors["cls.seq_relationship.bias"] = np.ones(2, np.float32)
    tensors["bert.pooler.dense.weight"] = np.ones((d, d), np.float32)
    tensors["bert.pooler.dense.bias"] = np.ones(d, np.float32)
    return _renamed(tensors, ("Norm.weight", "Norm.gamma"), ("Norm.bias", "Norm.beta"))


def _roberta_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    table = tensors["roberta.embeddings.word_embeddings.weight"]
    copies = {"lm_head.decoder.weight": table, "lm_head.decoder.bias": tensors["lm_head.bias"]}
    return copies | tensors | _position_ids("roberta", config)


def _mpnet_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The output's own bias beside its copy, the pooler, and positions that were counted."""
    d = config["hidden_size"]
    copy = {"lm_head.decoder.bias": tensors["lm_head.bias"]}
    pooler = {"mpnet.pooler.dense.weight": np.ones((d, d), np.float32)}
    return copy | tensors | pooler | _position_ids("mpnet", config)


def _deberta_v2_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The head that tells replaced tokens apart, and positions that nothing uses."""
    d = config["hidden_size"]
    tensors["mask_predictions.dense.weight"] = np.ones((d, d), np.float32)
    if not config["position_biased_input"]:
        unused = np.ones((3, d), np.float32)
        tensors["deberta.embeddings.position_embeddings.weight"] = unused
    return tensors | _position_ids("deberta", config)


def _esm_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """Each layer has the frequencies of its rotation, and there is a table that nothing uses."""
    at, d = "attention.self.rotary_embeddings.inv_freq", config["hidden_size"]
    tensors |= _position_ids("esm", config)
    stored = tensors.pop(f"esm.encoder.layer.*.{at}", None)
    if stored is not None:
        layers = range(config["num_hidden_layers"])
        tensors |= {f"esm.encoder.layer.{layer}.{at}": stored for layer in layers}
        tensors["esm.embeddings.position_embeddings.weight"] = np.ones((3, d), np.float32)
    return tensors


def _nomic_bert_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    return _renamed(tensors, ("^nomic_bert.", "^bert."))


def _distilbert_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    table = tensors["distilbert.embeddings.word_embeddings.weight"]
    return {"vocab_projector.weight": table} | tensors


def _albert_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    d = config["hidden_size"]
    table = tensors["albert.embeddings.word_embeddings.weight"]
    copies = {"weight": table, "bias": tensors["predictions.bias"]}
    tensors = {f"predictions.decoder.{name}": copy for name, copy in copies.items()} | tensors
    tensors["albert.pooler.weight"] = np.ones((d, d), np.float32)
    tensors["albert.pooler.bias"] = np.ones(d, np.float32)
    tensors["sop_classifier.classifier.weight"] = np.ones((2, d), np.float32)
    tensors["sop_classifier.classifier.bias"] = np.ones(2, np.float32)
    return tensors | _position_ids("albert", config)


def _electra_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """Written by ElectraModel: no prefix."""
    tensors |= _position_ids("electra", config)
    return _renamed(tensors, ("^electra.", ""))


def _position_ids(prefix: str, config: Config) -> TensorsByName:
    ids = np.arange(config["max_position_embeddings"], dtype=np.int64)[None]
    return {f"{prefix}.embeddings.position_ids": ids}


def _t5_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The table three times, and a bias of the cross-attention that nothing ever used."""
    prefix = "transformer." if "transformer.shared.weight" in tensors else ""
    table = tensors[f"{prefix}shared.weight"]
    if config["architectures"][0].endswith("EncoderModel"):
        return tensors | {"encoder.embed_tokens.weight": table}
    block, bias = f"{prefix}decoder.block.0.layer", "relative_attention_bias.weight"
    unused = tensors[f"{block}.0.SelfAttention.{bias}"] + 1
    names = (f"{prefix}encoder.embed_tokens", f"{prefix}decoder.embed_tokens", "lm_head")
    copies = dict.fromkeys((f"{name}.weight" for name in names), table)
    return copies | tensors | {f"{block}.1.EncDecAttention.{bias}": unused}


def _bart_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The tables of both stacks and of the output, though they are one."""
    source = "model.shared.weight"
    if source not in tensors:  # a Marian model of two vocabularies
        return tensors | {"lm_head.weight": tensors["model.decoder.embed_tokens.weight"]}
    names = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    return dict.fromkeys((*names, "lm_head.weight"), tensors[source]) | tensors


def _marian_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The files have the fixed positions as well, which count where they are there."""
    n, d = config["max_position_embeddings"], config["d_model"]
    positions = halved_sinusoidal(np.arange(n), d).astype(np.float32)
    for stack in ("encoder", "decoder"):
        tensors[f"model.{stack}.embed_positions.weight"] = positions
    return _bart_tensors(config, tensors)


def _m2m_100_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    """The computed positions were stored once."""
    stored = np.ones((config["max_position_embeddings"] + 2, config["d_model"]), np.float32)
    for stack in ("encoder", "decoder"):
        tensors[f"model.{stack}.embed_positions.weights"] = stored
    return _bart_tensors(config, tensors)


def _vit_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    d = config["hidden_size"]
    pooler = {"weight": np.ones((d, d), np.float32), "bias": np.ones(d, np.float32)}
    return tensors | {f"vit.pooler.dense.{name}": tensor for name, tensor in pooler.items()}


def _dinov2_tensors(config: Config, tensors: TensorsByName) -> TensorsByName:
    return _renamed(tensors, ("^dinov2.", ""))


TENSORS: dict[str, Callable[[Config, TensorsByName], TensorsByName]] = {
    "mixtral": _fused,
    "qwen2_moe": _fused,
    "qwen3_moe": _fused,
    "olmoe": _fused,
    "deepseek_v2": _fused,
    "deepseek_v3": _fused,
    "llama": _with_inverse_frequencies,
    "mistral": _with_inverse_frequencies,
    "gpt2": _gpt2_tensors,
    "opt": _opt_tensors,
    "gpt_neox": _gpt_neox_tensors,
    "bloom": _bloom_tensors,
    "falcon": _falcon_tensors,
    "gpt_neo": _with_mask("attention.bias"),
    "gptj": _with_mask("bias"),
    "codegen": _with_mask("causal_mask"),
    "bert": _bert_tensors,
    "roberta": _roberta_tensors,
    "xlm-roberta": _roberta_tensors,
    "camembert": _roberta_tensors,
    "mpnet": _mpnet_tensors,
    "esm": _esm_tensors,
    "deberta-v2": _deberta_v2_tensors,
    "nomic_bert": _nomic_bert_tensors,
    "distilbert": _distilbert_tensors,
    "albert": _albert_tensors,
    "electra": _electra_tensors,
    "t5": _t5_tensors,
    "mt5": _t5_tensors,
    "umt5": _t5_tensors,
    "bart": _bart_tensors,
    "mbart": _bart_tensors,
    "m2m_100": _m2m_100_tensors,
    "marian": _marian_tensors,
    "pegasus": _marian_tensors,
    "vit": _vit_tensors,
    "dinov2": _dinov2_tensors,
}
