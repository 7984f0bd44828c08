"""Encoders that fill in masked tokens: what BERT's families share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attnviz.language import to_say
from attnviz.models.build.answers import BERT_LIKE, HeadOptions
from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.layers import OLD_NORM, layer_norm, linear
from attnviz.models.build.outputs import predicts_other
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.nn.activations import Activation
from attnviz.nn.embedding import Embedding, Transform, Unembedding
from attnviz.nn.linear import Linear
from attnviz.nn.norms import Norm
from attnviz.nn.transformer import Block, Stack, Transformer
from attnviz.nn.weights import Weight


class LanguageModelHead(NamedTuple):
    """The names of the output's tensors in a file."""

    dense: str
    norm: str
    output: str
    activation: Activation | None = None
    """None for that of the model."""
    dense_bias: bool = True
    norm_bias: bool = True
    output_bias: bool = True
    tied: bool = False
    """Whether the output is the table of the tokens, whatever the config says."""


class Sizes(NamedTuple):
    """What the config of every encoder says."""

    n_layer: int
    n_head: int
    d_model: int
    d_ff: int
    n_vocabulary: int
    n_position: int
    eps: float
    activation: Activation


def masked_language_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    sizes: Sizes,
    blocks: Sequence[Block],
    source: Embedding,
    table: Weight,
    head: LanguageModelHead,
    *,
    ignored: str,
    shared: str = "",
    positions: str = "",
    norm: Norm | None = None,
    answering: HeadOptions = BERT_LIKE,
) -> Model:
    """An encoder behind an embedding, with an output where the file has one.

    Args:
        table: [n_vocabulary, d]: the vectors of the tokens.
        shared: what the screen says of blocks that share their weights.
        positions: what it says of positions, if they are not learned vectors alone.
        norm: what follows the last block.
        answering: what the heads of the family do differently.
    """
    config, notes = checkpoint.config, {}
    unembed = _unembedding(config, tensors, sizes, table, head)
    if unembed is None and not predicts_other(config):
        there = _parts(head, tensors)
        ignored += "".join(f"|{re.escape(name)}" for name in there if name)
        if note := _lacking(there, head):
            notes = {"notes": (note,)}
    encoder = Stack("encoder", tuple(blocks), norm)
    return trained_model(
        checkpoint,
        tensors,
        Transformer(encoder=encoder, source=source, unembed=unembed),
        {
            "n_layer": len(blocks),
            "n_head": sizes.n_head,
            "d_model": sizes.d_model,
            "positions": positions or f"learned, {sizes.n_position}",
            **({"shared": shared} if shared else {}),
        },
        ignored=ignored,
        answering=answering,
        max_tokens=sizes.n_position,
        n_vocabulary=sizes.n_vocabulary,
        task="" if unembed is None else "fill",
        **notes,
    )


def _unembedding(
    config: Config, tensors: Tensors, sizes: Sizes, table: Weight, head: LanguageModelHead
) -> Unembedding | None:
    """The output; None if the file has none or not all of it, or the model's class another one."""
    n_vocabulary, d = table.shape
    there = _parts(head, tensors)
    tensors = tensors.outside
    weight, is_tied = f"{head.output}.weight", config.switch("tie_word_embeddings", True)
    if predicts_other(config) or not all(there):
        return None
    if not head.tied and (tensors.has(weight) or not is_tied):
        table = tensors.table(weight, n_vocabulary, d)
    before = transform(tensors, sizes, head, d)
    bias = tensors.take(there[-1], n_vocabulary) if head.output_bias else None
    return Unembedding(Linear(table, bias), before=before)


def transform(tensors: Tensors, sizes: Sizes, head: LanguageModelHead, d: int) -> Transform:
    """What precedes the output, [n_token, d_model] -> [n_token, d]."""
    return Transform(
        linear(tensors, head.dense, sizes.d_model, d, bias=head.dense_bias),
        head.activation or sizes.activation,
        layer_norm(tensors, head.norm, d, sizes.eps, bias=head.norm_bias),
    )


def _parts(head: LanguageModelHead, tensors: Tensors) -> list[str]:
    """The names of the output's tensors in the file, each empty where the file lacks it."""
    return [next(filter(tensors.outside.has, names), "") for names in _spellings(head)]


def _spellings(head: LanguageModelHead) -> list[tuple[str, ...]]:
    """How each of the output's tensors may be called; its bias is the last."""
    norms = {end: (f"{head.norm}{end}", f"{head.norm}{old}") for end, old in OLD_NORM.items()}
    names = [(f"{head.dense}.weight",), norms[".weight"]]
    if head.dense_bias:
        names.append((f"{head.dense}.bias",))
    if head.norm_bias:
        names.append(norms[".bias"])
    if head.output_bias:  # the map's own, and the one that it copies, or that stands for it
        names.append((f"{head.output}.bias", f"{head.output.removesuffix('.decoder')}.bias"))
    return names


def _lacking(there: Sequence[str], head: LanguageModelHead) -> str:
    """What there is to know of an output of which only parts are there; empty where none is."""
    if not any(there):
        return ""
    if head.output_bias and not any(there[:-1]):
        return to_say("the file has only the bias of the output, so there are no logits")
    found = zip(_spellings(head), there, strict=True)
    missing = next(names[0] for names, name in found if not name)
    return to_say("its file has no {name}, so there are no logits", name=missing)
