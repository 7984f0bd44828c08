"""The configurable stack, trained: what `samples/training` writes and what ships with attnviz."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.families import Built, Config
from attnviz.models.parts import build_scheme, build_stack, linear
from attnviz.models.readers import NoText, Reader
from attnviz.models.stack import StackConfig, from_values
from attnviz.models.tensors import TensorFile, Tensors
from attnviz.nn.embedding import Embed, Embedding, PatchEmbedding
from attnviz.nn.schemes import Scheme
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array

TASKS = ("tag", "classify", "continue")


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    stack = from_values(config.get("stack"), f"{config.where}: stack")
    config.require("task", *TASKS)
    task = config.get("task")
    source = config.get("source")
    target = config.get("target") if stack.kind == "encoder-decoder" else None
    labels = tuple(config.get("labels", ())) if task != "continue" else ()
    longest = config.get("max_tokens", 0) or None
    trained = config.get("trained_tokens", 0) or None
    aligned = config.get("alignment_head", "")
    config.finish()

    tensors = Tensors(file, (), dtype)
    weights = _FileWeights(tensors)
    first = "decoder" if stack.kind == "decoder" else "encoder"
    scheme = build_scheme(stack, weights, first)
    stacks = {first: build_stack(stack, weights, first, scheme, cross=False)}
    embeds = [_embed(stack, source, tensors, scheme, "source", config.where)]
    reader: Reader | NoText = NoText()
    if source.get("reads") != "patches":
        reader = Reader(source, f"{config.where}: source")
    target_reader = None
    if target is not None:
        scheme = build_scheme(stack, weights, "decoder")
        stacks["decoder"] = build_stack(stack, weights, "decoder", scheme, cross=True)
        embeds.append(_embed(stack, target, tensors, scheme, "target", config.where))
        target_reader = Reader(target, f"{config.where}: target")
    last = target_reader or reader
    n_output = len(labels) or len(getattr(last, "entries", ()))
    if not n_output:
        raise AttnvizError(f"{config.where}: it names no outputs", "labels: ['NOUN', …]")
    transformer = Transformer(
        encoder=stacks.get("encoder"),
        decoder=stacks.get("decoder"),
        source=embeds[0],
        target=embeds[1] if target is not None else None,
        unembed=linear(weights, "output", stack.d_model, n_output).__call__,
    )
    tensors.finish("")
    return Built(
        transformer=transformer,
        shape={
            "n_layer": stack.layers,
            "n_head": stack.heads if transformer.sites() else 0,
            "d_model": stack.d_model,
            "mix": stack.mix,
            "positions": stack.positions,
            **({"alignment_head": aligned} if aligned else {}),
        },
        n_parameter=tensors.n_parameter,
        max_tokens=longest,
        trained_tokens=trained,
        n_vocabulary=len(getattr(reader, "entries", ())) or None,
        tokenizer=reader,
        target_tokenizer=target_reader,
        task=task,
        labels=labels,
        image=dict(source) if source.get("reads") == "patches" else None,
    )


class _FileWeights:
    """Arrays by name, out of the file."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        return self._tensors.take(name, *shape)

    def constant(self, name: str, size: int, value: float) -> Array:
        return self._tensors.take(name, size)


def _embed(
    stack: StackConfig,
    reads: dict[str, Any],
    tensors: Tensors,
    scheme: Scheme,
    stream: str,
    where: str,
) -> Embed:
    d = stack.d_model
    if reads.get("reads") == "patches":
        if scheme.add is None:
            raise AttnvizError(f"{where}: patches need positions that are added", "learned")
        n_patch = (reads["height"] // reads["patch"]) * (reads["width"] // reads["patch"])
        return PatchEmbedding(
            patches=linear(_FileWeights(tensors), f"{stream}.patches", reads["n_patch"], d),
            first=tensors.take(f"{stream}.class", d),
            positions=scheme.add(np.arange(1 + n_patch)),
        )
    table = tensors.take(f"{stream}.tokens", len(reads[reads["reads"]]), d)
    n_piece = reads.get("n_piece", 0)
    return Embedding(
        tokens=partial(np.take, table, axis=0),
        positions=scheme.add,
        pieces=tensors.take(f"{stream}.pieces", n_piece, d) if n_piece else None,
        scale=d**0.5 if stack.embedding_scale else 1.0,
    )
