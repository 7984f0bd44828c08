"""The configurable stack, trained: what `samples/training` writes and what ships with attnviz."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.checkpoint import Checkpoint, trained_model
from attnviz.models.build.config import Config
from attnviz.models.build.stack import StackConfig, from_values
from attnviz.models.build.stack_parts import build_stacks, linear
from attnviz.models.build.tensors import Tensors
from attnviz.models.model import Model
from attnviz.models.tokenizers.readers import NoText, Reader
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.embedding import Embed, Embedding, PatchEmbedding
from attnviz.nn.patches import GridPositions
from attnviz.nn.schemes import Scheme
from attnviz.nn.transformer import Transformer
from attnviz.nn.types import Array

if TYPE_CHECKING:
    from attnviz.models.vision.grey import GreyReader

MAX_SIDE = 4096

TASKS = ("tag", "classify", "continue")


class _Input(NamedTuple):
    """What reads the input of a stack."""

    tokenizer: Tokenizer
    embedding: Embed
    image: GreyReader | None = None


def build(checkpoint: Checkpoint) -> Model:
    tensors, config = checkpoint.tensors(), checkpoint.config
    section = config.section("stack")
    stack = from_values(section.values(), section.where)
    task = config.get("task")
    config.require("task", *TASKS if stack.kind == "encoder" else TASKS[2:])
    labels = config.texts("labels") if task != "continue" else ()
    source_config = config.section("source")
    target_config = config.section("target") if stack.kind == "encoder-decoder" else None
    max_tokens, trained_tokens = config.whole("max_tokens"), config.whole("trained_tokens")
    alignment_head = config.text("alignment_head")
    config.finish()

    weights = _FileWeights(tensors)
    stacks = build_stacks(stack, weights)
    source = _input(stack, tensors, stacks.source, "source", source_config)
    target = None
    if target_config is not None and stacks.target is not None:
        target = _input(stack, tensors, stacks.target, "target", target_config)
    n_output = len(labels) if task != "continue" else (target or source).tokenizer.n_entry
    if not n_output:
        raise AttnvizError(f"{config.where} names no outputs", "labels: ['NOUN', …]")
    transformer = Transformer(
        encoder=stacks.encoder,
        decoder=stacks.decoder,
        source=source.embedding,
        target=None if target is None else target.embedding,
        unembed=linear(weights, "output", stack.d_model, n_output),
    )
    return trained_model(
        checkpoint,
        tensors,
        transformer,
        _shape(stack, transformer, alignment_head),
        max_tokens=max_tokens or None,
        trained_tokens=trained_tokens or None,
        n_vocabulary=source.tokenizer.n_entry,
        tokenizer=source.tokenizer,
        target_tokenizer=None if target is None else target.tokenizer,
        task=task,
        labels=labels,
        image=source.image,
    )


def _shape(stack: StackConfig, transformer: Transformer, alignment_head: str) -> dict[str, object]:
    return {
        "n_layer": stack.layers,
        "n_head": stack.heads if transformer.sites() else 0,
        "d_model": stack.d_model,
        "mix": stack.mix,
        "positions": stack.positions,
        **({"alignment_head": alignment_head} if alignment_head else {}),
    }


def _input(
    stack: StackConfig, tensors: Tensors, scheme: Scheme, stream: str, config: Config
) -> _Input:
    if stream == "source" and config.get("reads", "") == "patches":
        image = _image(config)
        return _Input(NoText(), _patches(stack, image, tensors, scheme, config.where), image)
    reader = Reader(config)
    return _Input(reader, _embedding(stack, reader, tensors, scheme, stream))


class _FileWeights:
    """Arrays by name, read from the file."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def array(self, name: str, shape: tuple[int, ...], deviation: float = 1.0) -> Array:
        return self._tensors.take(name, *shape)

    def constant(self, name: str, size: int, value: float) -> Array:
        return self._tensors.take(name, size)


def _image(config: Config) -> GreyReader:
    from attnviz.models.vision.grey import GreyReader

    config.require("reads", "patches")
    image = GreyReader(*(config.count(key) for key in ("height", "width", "patch")))
    config.require("n_pixel", image.patch**2)
    config.finish()
    if image.height % image.patch or image.width % image.patch:
        raise config.error(
            f"patches of {image.patch} do not fill an image of {image.height} × {image.width}"
        )
    if max(image) > MAX_SIDE:
        raise config.error(f"no side may be longer than {MAX_SIDE} pixels")
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
        first=tensors.take("source.class", d)[None],
        positions=GridPositions(positions[1:].reshape(rows, columns, d)),
        patch=(side, side),
        first_positions=positions[:1],
    )
