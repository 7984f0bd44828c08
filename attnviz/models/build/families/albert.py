"""ALBERT: layers that share their weights. Source: Lan et al. 2020, section 3.1."""

from __future__ import annotations

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.encoder import LanguageModelHead, masked_language_model
from attnviz.models.build.families.bert import embedding, read_sizes, token_table
from attnviz.models.build.layers import attention, feed_forward, layer_norm, linear
from attnviz.models.model import Model
from attnviz.nn.transformer import Block, Sublayer

TOKENIZER = "AlbertTokenizer"
HEAD = LanguageModelHead("predictions.dense", "predictions.LayerNorm", "predictions.decoder")
PROJECTIONS = ("query", "key", "value", "dense")

MAX_LAYERS = 1024
"""They share weights, so that the file would do for any number of them."""

IGNORED = (
    r"(albert\.)?(embeddings\.position_ids|pooler(_activation)?\..*)"
    r"|predictions\.(decoder\.)?bias|(sop_classifier|classifier|qa_outputs)\..*"
)


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("albert."), checkpoint.config
    n_layer = config.count("num_hidden_layers", maximum=MAX_LAYERS)
    sizes = read_sizes(config, "gelu_new")
    n_group, n_inner = config.count("num_hidden_groups", 1), config.count("inner_group_num", 1)
    d, d_model, eps = config.count("embedding_size", 128), sizes.d_model, sizes.eps
    config.inert("net_structure_type", "gap_size", "num_memory_blocks", "down_scale_factor")
    config.require("layers_to_keep", [])
    source = embedding(config, tensors, d)
    config.finish()
    widen = linear(tensors, "encoder.embedding_hidden_mapping_in", d, d_model)

    def block(group: int, number: int) -> Block:
        at = f"encoder.albert_layer_groups.{group}.albert_layers.{number}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, sizes.n_head)
        names = (f"{at}.ffn", f"{at}.ffn_output")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, sizes.activation)
        return (
            Sublayer(heads, after=layer_norm(tensors, f"{at}.attention.LayerNorm", d_model, eps)),
            Sublayer(net, after=layer_norm(tensors, f"{at}.full_layer_layer_norm", d_model, eps)),
        )

    groups = [[block(group, number) for number in range(n_inner)] for group in range(n_group)]
    blocks = [block for layer in range(n_layer) for block in groups[layer * n_group // n_layer]]
    return masked_language_model(
        checkpoint,
        tensors,
        sizes,
        blocks,
        source._replace(widen=widen),
        token_table(source),
        HEAD,
        ignored=IGNORED,
        shared=f"{n_group * n_inner} layers' weights",
    )
