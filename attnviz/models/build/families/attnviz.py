"""The configurable stack, trained: what `samples/training` writes and what ships with attnviz."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.families import Built, Config
from attnviz.models.model import Tokenizer
from attnviz.models.build.parts import build_scheme, build_stack, linear
from attnviz.models.build.stack import StackConfig, from_values
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.models.tokenizers.readers import NoText, Reader
from attnviz.models.vision.grey import GreyReader
from attnviz.nn.embedding import Embed, Embedding, PatchEmbedding
from attnviz.nn.patches import GridPositions
from attnviz.nn.schemes import Scheme
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array

LARGEST_SIDE = 4096

TASKS = ("tag", "classify", "continue")


def build(config: Config, file: TensorFile, dtype: np.dtype[Any]) -> Built:
    section = config.section("stack")
    stack = from_values(section.values(), section.where)
    task = config.get("task")
    config.require("task", *TASKS if stack.kind == "encoder" else TASKS[2:])
    source = config.section("source")
    target = config.section("target") if stack.kind == "encoder-decoder" else None
    labels = config.texts("labels") if task != "continue" else ()
    longest, trained = config.whole("max_tokens") or None, config.whole("trained_tokens") or None
    aligned = config.text("alignment_head")
    config.finish()

    tensors = Tensors(file, (), dtype)
    weights = _FileWeights(tensors)
    first = "decoder" if stack.kind == "decoder" else "encoder"
    scheme = build_scheme(stack, weights, first)
    stacks = {first: build_stack(stack, weights, first, scheme, cross=False)}
    image = _image(source) if source.get("reads", "") == "patches" else None
    reader: Tokenizer
    embed: Embed
    if image is None:
        reader = source_reader = Reader(source)
        embed = _embedding(stack, source_reader, tensors, scheme, "source")
    else:
        reader, embed = NoText(), _patches(stack, image, tensors, scheme, source.where)
    target_embed = target_reader = None
    if target is not None:
        scheme = build_scheme(stack, weights, "decoder")
        stacks["decoder"] = build_stack(stack, weights, "decoder", scheme, cross=True)
        target_reader = Reader(target)
        target_embed = _embedding(stack, target_reader, tensors, scheme, "target")
    n_output = len(labels) or (target_reader or reader).n_entry
    if not n_output or (task != "continue" and not labels):
        raise AttnvizError(f"{config.where}: it names no outputs", "labels: ['NOUN', …]")
    transformer = Transformer(
        encoder=stacks.get("encoder"),
        decoder=stacks.get("decoder"),
        source=embed,
        target=target_embed,
        unembed=linear(weights, "output", stack.d_model, n_output),
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
        tensors=tensors,
        max_tokens=longest,
        trained_tokens=trained,
        n_vocabulary=reader.n_entry,
        tokenizer=reader,
        target_tokenizer=target_reader,
        task=task,
        labels=labels,
        image=None if image is None else lambda preprocessor: image,
    )


class _FileWeights:
    """Arrays by name, out of the file."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        return self._tensors.take(name, *shape)

    def constant(self, name: str, size: int, value: float) -> Array:
        return self._tensors.take(name, size)


def _image(config: Config) -> GreyReader:
    config.require("reads", "patches")
    image = GreyReader(*(config.count(key) for key in ("height", "width", "patch")))
    config.require("n_pixel", image.patch**2)
    config.finish()
    if image.height % image.patch or image.width % image.patch:
        raise config.error(
            f"patches of {image.patch} do not fill an image of {image.height} × {image.width}"
        )
    if max(image) > LARGEST_SIDE:
        raise config.error(f"no side may be longer than {LARGEST_SIDE} pixels")
    return image


def _embedding(
    stack: StackConfig, reader: Reader, tensors: Tensors, scheme: Scheme, stream: str
) -> Embed:
    d, n_piece = stack.d_model, reader.n_piece
    table = tensors.take(f"{stream}.tokens", len(reader.entries), d)
    return Embedding(
        tokens=partial(np.take, table, axis=0),
        positions=scheme.add,
        pieces=tensors.take(f"{stream}.pieces", n_piece, d) if n_piece else None,
        scale=d**0.5 if stack.embedding_scale else 1.0,
    )


def _patches(
    stack: StackConfig, image: GreyReader, tensors: Tensors, scheme: Scheme, where: str
) -> Embed:
    if scheme.add is None:
        raise AttnvizError(f"{where}: patches need positions that are added", "learned")
    side, d = image.patch, stack.d_model
    rows, columns = image.height // side, image.width // side
    positions = scheme.add(np.arange(1 + rows * columns))
    return PatchEmbedding(
        patches=linear(_FileWeights(tensors), "source.patches", side * side, d),
        first=tensors.take("source.class", d),
        positions=GridPositions(positions[0], positions[1:].reshape(rows, columns, d)),
        patch=(side, side),
    )
