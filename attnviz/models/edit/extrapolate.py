"""A model that reads more than it was trained for, where its positions have values beyond."""

from __future__ import annotations

from attnviz.errors import AttnvizError
from attnviz.models.model import Model
from attnviz.nn.embedding import Embedding
from attnviz.nn.transformer import attentions


def extrapolate(model: Model) -> Model:
    """`model` without a limit of tokens; a run on more than it was trained for carries a note.

    Raises:
        AttnvizError: it looks positions up in a table, which has none beyond.
    """
    n = table_length(model)
    if n is not None:
        raise AttnvizError(
            f"{model.name} looks positions up in a table of {n} and has no vector for any "
            "beyond, so --extrapolate cannot make it read more",
            "leave it out; it is for rotary, ALiBi, T5's and sinusoidal positions",
        )
    if model.max_tokens is None or model.image is not None:
        return model
    trained = model.trained_tokens or model.max_tokens
    return model._replace(max_tokens=None, trained_tokens=trained)


def table_length(model: Model) -> int | None:
    """For how many positions there is a vector in a table; None for a scheme that has a value for
    any: sines, rotations, biases, or none at all."""
    embeddings = (model.transformer.source, model.transformer.target)
    tables = [each.positions for each in embeddings if isinstance(each, Embedding)]
    stacks = (model.transformer.encoder, model.transformer.decoder)
    blocks = (block for stack in stacks if stack is not None for block in stack.blocks)
    parts = (part for block in blocks for part in attentions(block))
    distances = [part.relative.place for part in parts if part.relative is not None]
    lengths = [getattr(table, "n_position", None) for table in (*tables, *distances)]
    return min((n for n in lengths if n is not None), default=None)
