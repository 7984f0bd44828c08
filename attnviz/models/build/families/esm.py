"""ESM-1b and ESM-2: BERT of proteins, with norms before each part; masked tokens count as dropped.

Source: Rives et al. 2021; Lin et al. 2023; tensor names as in Hugging Face's checkpoints.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model
from attnviz.models.build.families.bert import PROJECTIONS
from attnviz.models.build.families.roberta import after_padding
from attnviz.models.build.layers import attention, feed_forward, head_width, layer_norm
from attnviz.models.build.rope import read_rope_section
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import gelu
from attnviz.nn.embedding import Embedding, TokenDropout
from attnviz.nn.multi_head import Rotary
from attnviz.nn.norms import LayerNorm
from attnviz.nn.rotary import RotaryEmbedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import rows

TOKENIZER = "EsmTokenizer"
HEAD = LanguageModelHead("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", gelu)

CONTACTS = "contact_head.regression.weight"

FREQUENCIES = (
    "rotary_embeddings.inv_freq",
    "encoder.layer.*.attention.self.rotary_embeddings.inv_freq",  # as transformers 5 writes it
    "encoder.layer.0.attention.self.rotary_embeddings.inv_freq",
)
"""Where files have the frequencies of the rotation, which count: some are rounded."""

IGNORED = (
    r"(esm\.)?(embeddings\.position_ids|(pooler|contact_head)\..*"
    r"|(encoder\.layer\.[\d*]+\.attention\.self\.)?rotary_embeddings\.inv_freq)"
    r"|classifier\..*"
)
UNUSED_TABLE = r"|(esm\.)?embeddings\.position_embeddings\.weight"
"""ESM-2 has it, but rotates."""


class Positions(NamedTuple):
    """How positions enter."""

    embedding: dict[str, Any]
    """Fields of the embedding."""
    rotary: Rotary | None
    description: str
    """For the screen."""
    n_token: int
    """How many tokens the config has positions for."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("esm."), checkpoint.config
    config.require("is_folding_model", False)
    config.refuse("esmfold_config")
    config.inert("hidden_act", "vocab_list", "mask_token_id")
    sizes = _sizes(config)
    d_model = sizes.d_model
    if tensors.has(CONTACTS):  # not computed, but it tells a wrong number of heads
        tensors.take(CONTACTS, 1, sizes.n_layer * sizes.n_head)
    positions = _positions(config, tensors, sizes)
    dropout = None
    if config.switch("token_dropout"):
        dropout = TokenDropout(config.whole("mask_token_id", None))
    has_norm = config.switch("emb_layer_norm_before")
    config.finish()

    def norm(name: str) -> LayerNorm:
        return layer_norm(tensors, name, d_model, sizes.eps)

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        heads = attention(
            tensors,
            f"{at}.attention",
            PROJECTIONS,
            d_model,
            sizes.n_head,
            rotary=positions.rotary,
        )
        names = (f"{at}.intermediate.dense", f"{at}.output.dense")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, sizes.activation)
        return (
            Sublayer(heads, before=norm(f"{at}.attention.LayerNorm")),
            Sublayer(net, before=norm(f"{at}.LayerNorm")),
        )

    table = tensors.table("embeddings.word_embeddings.weight", sizes.n_vocabulary, d_model)
    source = Embedding(
        tokens=partial(rows, table),
        norm=norm("embeddings.layer_norm") if has_norm else None,
        dropout=dropout,
        **positions.embedding,
    )
    return masked_language_model(
        checkpoint,
        tensors,
        sizes._replace(n_position=positions.n_token),
        [block(layer) for layer in range(sizes.n_layer)],
        source,
        table,
        HEAD,
        ignored=IGNORED + (UNUSED_TABLE if positions.rotary else ""),
        positions=positions.description,
        norm=norm("encoder.emb_layer_norm_after"),
    )


def _sizes(config: Config) -> Sizes:
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=config.count("num_attention_heads"),
        d_model=config.count("hidden_size"),
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings", 1026),
        eps=config.above(0, "layer_norm_eps", 1e-12),
        activation=gelu,
    )


def _positions(config: Config, tensors: Tensors, sizes: Sizes) -> Positions:
    kind = config.choice("position_embedding_type", "absolute", "rotary")
    base = config.above(0, "rope_theta", 10000.0)
    if kind == "rotary":
        d_head = head_width(config, sizes.d_model, sizes.n_head)
        rope = read_rope_section(config, config.part({"rope_theta": base}), d_head)
        stored = next(filter(tensors.has, FREQUENCIES), None)
        if stored is None:
            return Positions({}, rope.rotary, rope.description, sizes.n_position)
        rotary = RotaryEmbedding(tensors.take(stored, d_head // 2))
        return Positions({}, rotary, rope.description, sizes.n_position)
    padding = config.whole("pad_token_id", None)
    n, d_model = sizes.n_position, sizes.d_model
    table = tensors.take("embeddings.position_embeddings.weight", n, d_model)
    place = partial(after_padding, padding=padding)
    fields = {"positions": LearnedPositions(table), "place": place}
    n_token = n - padding - 1  # the first rows of the table stand for no token
    return Positions(fields, None, f"learned, {n_token}", n_token)
