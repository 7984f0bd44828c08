"""BERT. Source: Devlin et al. 2019; tensor names as in Hugging Face's checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model
from attnviz.models.build.layers import (
    activation,
    attention,
    feed_forward,
    head_width,
    layer_norm,
)
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.content_positions import ContentPositions, EachDistance, PositionTable
from attnviz.nn.embedding import Embedding
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.weights import Weight, rows

TOKENIZER = "BertTokenizer"
HEAD = LanguageModelHead(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions.decoder",
)
PROJECTIONS = ("self.query", "self.key", "self.value", "output.dense")

IGNORED = (
    r"(\w+\.)?(embeddings\.position_ids|pooler\..*)"
    r"|cls\.(seq_relationship\..*|predictions\.(decoder\.)?bias)"
    r"|(classifier|qa_outputs|dropout)\..*"
)
"""Tensors that no attention and no hidden state depends on."""


UNUSED_TABLE = r"|(\w+\.)?embeddings\.position_embeddings\.weight"
"""Where positions enter the scores instead."""


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("bert."), checkpoint.config
    sizes = read_sizes(config)
    kind = config.choice(
        "position_embedding_type", "absolute", "relative_key", "relative_key_query"
    )
    if kind == "absolute":
        source = embedding(config, tensors, sizes.d_model)
        return bert_model(checkpoint, tensors, sizes, source, HEAD, IGNORED)
    of_keys = kind == "relative_key_query"
    terms = "content → position" + (" and position → content" if of_keys else "")
    return bert_model(
        checkpoint,
        tensors,
        sizes,
        embedding(config, tensors, sizes.d_model, has_positions=False),
        HEAD,
        IGNORED + UNUSED_TABLE,
        positions=f"{terms}, to a distance of {sizes.n_position - 1}",
        relative=partial(_relative, config, tensors, sizes, of_keys),
    )


def _relative(
    config: Config, tensors: Tensors, sizes: Sizes, of_keys: bool, layer: int
) -> ContentPositions:
    """A vector of each distance, for queries and perhaps keys. Source: Shaw et al. 2018; Huang et
    al. 2020, methods 3 and 4; transformers had it before version 5."""
    n, d_head = sizes.n_position, head_width(config, sizes.d_model, sizes.n_head)
    name = f"encoder.layer.{layer}.attention.self.distance_embedding.weight"
    table = PositionTable(tensors.take(name, 2 * n - 1, d_head))
    return ContentPositions(EachDistance(n), table, table if of_keys else None, scale=d_head**-0.5)


def read_sizes(config: Config, default_activation: str = "gelu", *, eps: float = 1e-12) -> Sizes:
    return Sizes(
        n_layer=config.count("num_hidden_layers"),
        n_head=config.count("num_attention_heads"),
        d_model=config.count("hidden_size"),
        d_ff=config.count("intermediate_size"),
        n_vocabulary=config.count("vocab_size"),
        n_position=config.count("max_position_embeddings"),
        eps=config.above(0, "layer_norm_eps", eps),
        activation=activation(config, "hidden_act", default_activation),
    )


def embedding(
    config: Config,
    tensors: Tensors,
    d: int,
    *,
    has_positions: bool = True,
    has_segments: bool = True,
) -> Embedding:
    """Tokens, positions and segments, [n_token, d], with a norm over their sum."""
    at, eps = "embeddings", config.above(0, "layer_norm_eps", 1e-12)
    words = tensors.table(f"{at}.word_embeddings.weight", config.count("vocab_size"), d)
    positions = segments = None
    if has_positions:
        config.require("position_embedding_type", "absolute")
        n_position = config.count("max_position_embeddings")
        table = tensors.take(f"{at}.position_embeddings.weight", n_position, d)
        positions = LearnedPositions(table)
    if has_segments:
        n_segment = config.whole("type_vocab_size")
        segments = tensors.take(f"{at}.token_type_embeddings.weight", n_segment, d)
    return Embedding(
        tokens=partial(rows, words),
        positions=positions,
        segments=segments,
        norm=layer_norm(tensors, f"{at}.LayerNorm", d, eps),
    )


def token_table(embedding: Embedding) -> Weight:
    """[n_vocabulary, d]: what the tokens of an embedding are looked up in."""
    assert isinstance(embedding.tokens, partial)
    table: Weight = embedding.tokens.args[0]
    return table


def bert_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    source: Embedding,
    head: LanguageModelHead,
    ignored: str,
    *,
    projections: tuple[str, str, str, str] = PROJECTIONS,
    norm: str = "attention.output.LayerNorm",
    positions: str = "",
    relative: Callable[[int], ContentPositions] | None = None,
    answering: HeadOptions = BERT_LIKE,
    **fields: Any,
) -> Model:
    """The blocks of BERT and of its descendants behind an embedding, and their output.

    Args:
        projections: the names of query, key, value and output below a layer's `attention`.
        norm: the name of the norm behind attention, below a layer.
        positions: what the screen says of positions, if they are not learned vectors alone.
        relative: further terms of a layer's scores.
        answering: what the heads of the family do differently.
        fields: of the attention.
    """
    checkpoint.config.finish()
    d_model, eps = sizes.d_model, sizes.eps

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        heads = attention(tensors, f"{at}.attention", projections, d_model, sizes.n_head)
        if relative is not None:
            heads = heads._replace(relative=relative(layer))
        names = (f"{at}.intermediate.dense", f"{at}.output.dense")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, sizes.activation)
        return (
            Sublayer(
                heads._replace(**fields), after=layer_norm(tensors, f"{at}.{norm}", d_model, eps)
            ),
            Sublayer(net, after=layer_norm(tensors, f"{at}.output.LayerNorm", d_model, eps)),
        )

    return masked_language_model(
        checkpoint,
        tensors,
        sizes,
        [block(layer) for layer in range(sizes.n_layer)],
        source,
        token_table(source),
        head,
        ignored=ignored,
        positions=positions,
        answering=answering,
    )
