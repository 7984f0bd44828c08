"""DeBERTa v2 and v3: content and positions are compared apart, in three terms of the score.

Source: He et al. 2021 (DeBERTa), section 3.1; He et al. 2023 (DeBERTaV3); tensor names as in
Hugging Face's checkpoints.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint
from attnviz.models.build.config import Config
from attnviz.models.build.encoder import LanguageModelHead, Sizes, masked_language_model
from attnviz.models.build.families.bert import HEAD, read_sizes
from attnviz.models.build.layers import (
    activation,
    attention,
    feed_forward,
    head_width,
    layer_norm,
    linear,
)
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.content_positions import ContentPositions, PositionTable
from attnviz.nn.convolution import Convolution
from attnviz.nn.embedding import Embedding
from attnviz.nn.linear import Projection
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.nn.norms import LayerNorm
from attnviz.nn.positions import log_buckets
from attnviz.nn.schemes import LearnedPositions
from attnviz.nn.transformer import Block, Sublayer
from attnviz.nn.types import Array
from attnviz.nn.weights import rows
from attnviz.nn.window import InputConvolution

TOKENIZER = "DebertaV2Tokenizer"
PROJECTIONS = ("self.query_proj", "self.key_proj", "self.value_proj", "output.dense")

OWN_HEAD = LanguageModelHead(
    "lm_predictions.lm_head.dense",
    "lm_predictions.lm_head.LayerNorm",
    "lm_predictions.lm_head",
    tied=True,
)
"""As DeBERTa's own code has it; what transformers added first is BERT's (`legacy`)."""

IGNORED = (
    r"(deberta\.)?(embeddings\.(position_ids|position_embeddings\.weight)|pooler\..*)"
    r"|(mask_predictions|pooler|classifier|qa_outputs)\..*"
)
LEGACY = r"|cls\.predictions\.(decoder\.)?bias|lm_predictions\..*"

NORM, NO_NORM = "layer_norm", "none"


class Relative(NamedTuple):
    """What the config says of relative positions."""

    terms: frozenset[str]
    """`c2p`: content→position, `p2c`: position→content."""
    reach: int
    """Rows of the table for distances to either side."""
    n_bucket: int
    """0 where each distance has a row."""
    max_distance: int
    is_shared: bool
    """Whether positions go through the same maps as content."""
    is_normalised: bool

    def place(self, distances: Array) -> Array:
        """q_pos - k_pos [n] -> rows of the table [n]."""
        if self.n_bucket:
            distances = log_buckets(distances, self.n_bucket, self.max_distance)
        return np.asarray(np.clip(distances + self.reach, 0, 2 * self.reach - 1))

    @property
    def description(self) -> str:
        """For the screen."""
        names = {"c2p": "content → position", "p2c": "position → content"}
        terms = " and ".join(name for term, name in names.items() if term in self.terms)
        buckets = f", {2 * self.n_bucket} buckets" if self.n_bucket else ""
        return terms and f"{terms}{buckets}, to a distance of {self.max_distance}"


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors("deberta."), checkpoint.config
    sizes = read_sizes(config, eps=1e-7)
    d_model, eps = sizes.d_model, sizes.eps
    terms = _terms(config)
    relative = _relative(config, sizes, terms)
    config.require("embedding_size", d_model)
    config.require("attention_head_size", head_width(config, d_model, sizes.n_head))
    width, act = _convolution(config)
    config.require("z_steps", 0)
    config.inert("pooler_hidden_act", "pooler_hidden_size", "cls_dropout")
    answering = BERT_LIKE
    if predicts_other(config):
        answering = HeadOptions(activation(config, "pooler_hidden_act", "gelu"))
    source = _embedding(config, tensors, sizes)
    is_legacy = config.switch("legacy", True)
    config.finish()
    scale = float((d_model // sizes.n_head) * (1 + len(terms))) ** -0.5
    table, norm = _table(tensors, sizes, relative)

    def block(layer: int) -> Block:
        at = f"encoder.layer.{layer}"
        heads = attention(tensors, f"{at}.attention", PROJECTIONS, d_model, sizes.n_head)
        heads = heads._replace(scale=scale)
        if relative is not None and relative.terms:
            vectors = PositionTable(table, sizes.n_head, norm)
            positions = _positions(tensors, f"{at}.attention.self", relative, vectors, heads)
            heads = heads._replace(relative=positions)
        names = (f"{at}.intermediate.dense", f"{at}.output.dense")
        net = feed_forward(tensors, names, d_model, sizes.d_ff, sizes.activation)
        parts = (
            Sublayer(
                heads, after=layer_norm(tensors, f"{at}.attention.output.LayerNorm", d_model, eps)
            ),
            Sublayer(net, after=layer_norm(tensors, f"{at}.output.LayerNorm", d_model, eps)),
        )
        return (*parts, _beside(tensors, sizes, width, act)) if width and not layer else parts

    assert isinstance(source.tokens, partial)
    absolute = "" if source.positions is None else f"learned, {sizes.n_position}"
    own = not is_legacy or tensors.outside.has(f"{OWN_HEAD.dense}.weight")
    return masked_language_model(
        checkpoint,
        tensors,
        sizes,
        [block(layer) for layer in range(sizes.n_layer)],
        source,
        source.tokens.args[0],
        OWN_HEAD if own else HEAD,
        ignored=IGNORED + (LEGACY if is_legacy or predicts_other(config) else ""),
        positions=", and ".join(
            filter(None, (absolute, "" if relative is None else relative.description))
        )
        or "none",
        answering=answering,
    )


def _terms(config: Config) -> frozenset[str]:
    """Of the score, besides content·content: a list, or a string with | between."""
    if not config.has("pos_att_type"):
        return frozenset()
    value = config.get("pos_att_type")
    names = [name.strip() for name in value.lower().split("|")] if isinstance(value, str) else value
    if not isinstance(names, list) or not {*map(str, names)} <= {"c2p", "p2c"}:
        raise config.error(f"pos_att_type: expected c2p and p2c, or none of them, got {value!r}")
    return frozenset(names)


def _relative(config: Config, sizes: Sizes, terms: frozenset[str]) -> Relative | None:
    norm = config.text("norm_rel_ebd", NO_NORM).lower()
    is_shared = config.switch("share_att_key")
    farthest, n_bucket = (
        config.get(key, -1) for key in ("max_relative_positions", "position_buckets")
    )
    for key, value in (("max_relative_positions", farthest), ("position_buckets", n_bucket)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise config.error(f"{key}: expected a whole number, got {value!r}")
    if not config.switch("relative_attention"):
        return None
    farthest = farthest if farthest > 0 else sizes.n_position
    is_normalised = NORM in [name.strip() for name in norm.split("|")]
    n_bucket = max(n_bucket, 0)
    if n_bucket and (n_bucket < 4 or farthest - 1 <= n_bucket // 2):
        raise config.error(
            f"position_buckets = {n_bucket} and max_relative_positions = {farthest} leave no "
            "distances to share a bucket"
        )
    return Relative(terms, n_bucket or farthest, n_bucket, farthest, is_shared, is_normalised)


def _convolution(config: Config) -> tuple[int, Activation]:
    """How many tokens the convolution behind the first block reads at once, 0 for none; and its
    activation."""
    width = config.whole("conv_kernel_size")
    config.require("conv_groups", 1)
    if width and width % 2 == 0:
        raise config.error(f"conv_kernel_size = {width}: expected an odd number of tokens")
    return width, activation(config, "conv_act", "tanh")


def _beside(tensors: Tensors, sizes: Sizes, width: int, act: Activation) -> Sublayer:
    at, d = "encoder.conv", sizes.d_model
    weight = tensors.take(f"{at}.conv.weight", d, d, width).transpose(2, 0, 1)
    part = InputConvolution(Convolution(weight, tensors.take(f"{at}.conv.bias", d)), act)
    return Sublayer(part, after=layer_norm(tensors, f"{at}.LayerNorm", d, sizes.eps))


def _embedding(config: Config, tensors: Tensors, sizes: Sizes) -> Embedding:
    at, d = "embeddings", sizes.d_model
    words = tensors.table(f"{at}.word_embeddings.weight", sizes.n_vocabulary, d)
    positions = segments = None
    if config.switch("position_biased_input", True):
        table = tensors.take(f"{at}.position_embeddings.weight", sizes.n_position, d)
        positions = LearnedPositions(table)
    n_segment = config.whole("type_vocab_size")
    if n_segment:
        segments = tensors.take(f"{at}.token_type_embeddings.weight", n_segment, d)
    return Embedding(
        tokens=partial(rows, words),
        positions=positions,
        segments=segments,
        norm=layer_norm(tensors, f"{at}.LayerNorm", d, sizes.eps),
    )


def _table(
    tensors: Tensors, sizes: Sizes, relative: Relative | None
) -> tuple[Array, LayerNorm | None]:
    """The vectors of relative positions [2·reach, d_model], which all layers share, and their
    norm."""
    if relative is None:
        return np.zeros((0, sizes.d_model)), None
    norm = None
    if relative.is_normalised:
        norm = layer_norm(tensors, "encoder.LayerNorm", sizes.d_model, sizes.eps)
    table = tensors.take("encoder.rel_embeddings.weight", 2 * relative.reach, sizes.d_model)
    return table, norm


def _positions(
    tensors: Tensors,
    at: str,
    relative: Relative,
    vectors: PositionTable,
    heads: MultiHeadAttention,
) -> ContentPositions:
    """The terms of a layer. A query meets positions that went through the map of keys, and a key
    those that went through the map of queries."""

    def table(term: str, name: str, content: Projection) -> PositionTable | None:
        if term not in relative.terms:
            return None
        if relative.is_shared:
            return vectors._replace(linear=content)
        d = len(content.weight)
        return vectors._replace(linear=linear(tensors, f"{at}.pos_{name}_proj", d, d))

    keys, queries = table("c2p", "key", heads.key), table("p2c", "query", heads.query)
    assert heads.scale is not None
    return ContentPositions(relative.place, keys, queries, heads.scale)
