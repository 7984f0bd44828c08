"""A checkpoint -> a model: what every family starts from, and what every family returns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from attnviz.language import to_say
from attnviz.models.build.answers import (
    BERT_LIKE,
    Answers,
    HeadOptions,
    lacking_note,
    read_answers,
)
from attnviz.models.build.config import Config
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.build.outputs import added_parts, ignorable, predicts_other, unread_outputs
from attnviz.models.build.tensors import TensorFile, Tensors
from attnviz.models.model import Model
from attnviz.models.run.finite import check_tensors
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.transformer import Transformer


class Checkpoint(NamedTuple):
    """What files say of a model: config and tensor names as in Hugging Face's checkpoints."""

    name: str
    config: Config
    weights: TensorFile
    tokenizer: Tokenizer
    target_tokenizer: Tokenizer | None = None
    """Of the decoder of an encoder-decoder."""
    preprocessor: Config | None = None
    """How images or sounds are prepared, where a file says so."""
    generation: Mapping[str, Any] = MappingProxyType({})
    """What generation_config.json says."""
    dtype: str = "float32"
    """What the model computes in."""

    def tensors(self, *prefixes: str) -> Tensors:
        """The weights; all names of the model's body may begin with one of `prefixes`."""
        return Tensors(self.weights, prefixes, np.dtype(self.dtype))


def family_of(config: Config) -> str:
    """The name of the family that a config is for.

    Raises:
        AttnvizError: there is none, with the reason.
    """
    name = family_name(config.text("model_type", None))
    if name not in FAMILIES:
        from attnviz.models.build.refused import refusal

        raise refusal(config)
    return name


def build_model(checkpoint: Checkpoint) -> Model:
    """The model that the checkpoint's family makes of it."""
    model: Model = FAMILIES[family_of(checkpoint.config)].build(checkpoint)
    if model.tokenizer is not checkpoint.tokenizer:
        return model
    return model._replace(notes=(*model.notes, *_doubts(model)))


def trained_model(
    checkpoint: Checkpoint,
    tensors: Tensors,
    transformer: Transformer,
    shape: Mapping[str, Any],
    *,
    ignored: str = "",
    answering: HeadOptions = BERT_LIKE,
    **fields: Any,
) -> Model:
    """What a family returns.

    Args:
        tensors: those that the transformer was made of.
        shape: what the screen says of the model, besides its family.
        ignored: a pattern of the tensors that the model does not need.
        answering: what the family's heads do differently, where the class answers about texts.
        fields: of `Model`.

    Raises:
        AttnvizError: a tensor that was not taken and is not ignored.
    """
    config, answers = checkpoint.config, None
    if predicts_other(config) and "image" not in fields:
        d_model = int(shape["d_model"])
        answers = read_answers(config, tensors, d_model, transformer.kind, answering)
    if answers is not None and answers.head is not None:
        transformer = transformer._replace(unembed=answers.head)
        fields |= {"task": answers.task, "labels": answers.labels, "problem": answers.problem}
    tensors.finish(f"{ignored}|{ignorable(config)}" if ignored else ignorable(config))
    model = Model(
        name=checkpoint.name,
        transformer=transformer,
        tokenizer=checkpoint.tokenizer,
        target_tokenizer=checkpoint.target_tokenizer,
        trained=True,
        shape={"family": config.text("model_type"), **shape},
        n_parameter=tensors.n_parameter,
        dtype=checkpoint.dtype,
        n_disk=checkpoint.weights.n_byte,
        fingerprint=checkpoint.weights.sha256,
        keep_weights=tensors.keep,
        check_weights=partial(check_tensors, checkpoint.weights),
    )
    own = fields.pop("notes", None) or _output_notes(config, tensors, transformer, answers)
    notes = (*_wrapper_note(tensors), *own, *added_parts(tensors.unread))
    return model._replace(**fields, notes=notes)


def _output_notes(
    config: Config, tensors: Tensors, transformer: Transformer, answers: Answers | None
) -> tuple[str, ...]:
    """What there is to know of outputs that are not computed."""
    if answers is not None:
        return (lacking_note(answers.lacks),) if answers.lacks else ()
    is_one_read = transformer.unembed is not None
    return unread_outputs(config, tensors.unread, is_one_read=is_one_read)


def _wrapper_note(tensors: Tensors) -> tuple[str, ...]:
    """That the names of tensors were read without what training put before them."""
    if not tensors.wrapper:
        return ()
    return (to_say("the names of its tensors are read without {wrapper}", wrapper=tensors.wrapper),)


def _doubts(model: Model) -> tuple[str, ...]:
    """That the tokenizer may be another model's, whose ids happen to be low enough."""
    n_entry, n_vocabulary = model.tokenizer.n_entry, model.n_vocabulary
    if n_entry is None or n_vocabulary is None or n_entry <= n_vocabulary:
        return ()
    return (
        to_say(
            "its tokenizer has {n_entry} tokens, but its embedding {n_vocabulary}: they may belong "
            "to different models",
            n_entry=n_entry,
            n_vocabulary=n_vocabulary,
        ),
    )
