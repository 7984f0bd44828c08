"""A trained model with its attention changed: the same weights, another mask or temperature."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.stack import from_values
from attnviz.models.model import Model
from attnviz.nn import masks, scores
from attnviz.nn.masks import Mask
from attnviz.nn.multi_head import MultiHeadAttention
from attnviz.registry import parse_spec

CHANGES = ("mask", "score", "temperature", "softcap")


def override(model: Model, changes: Mapping[str, Any]) -> Model:
    """`model` with the changes made in every attention (the mask: in the self-attention of its
    first stack).

    Raises:
        AttnvizError: a change that needs other weights, or that makes no sense.
    """
    for name in changes:
        if name not in CHANGES:
            raise AttnvizError(
                f"{model.name} is trained: its {name} cannot be changed",
                f"what can: {', '.join(CHANGES)}; any field: -m random",
            )
    if not model.transformer.sites():
        raise AttnvizError(
            f"{model.name} has no attention: there is nothing to change", "try `-m tagger`"
        )
    from_values(changes, "the flags")  # raises for values out of range
    first_stack = "decoder" if model.transformer.encoder is None else "encoder"

    def change(stack: str, attention: MultiHeadAttention) -> MultiHeadAttention:
        fields: dict[str, Any] = {}
        if attention.kind == "self" and stack == first_stack and changes.get("mask") is not None:
            fields["mask"] = masks.parse(changes["mask"])
        if changes.get("softcap") is not None:
            fields["softcap"] = changes["softcap"]
        scale = attention.scale
        if "score" in changes:
            fields |= _score(changes["score"])
            scale = None if changes["score"] != attention.score_name else scale
        if "temperature" in changes or scale is None:
            d_k = attention.query.weight.shape[0] // attention.n_head
            name = fields.get("score_name", attention.score_name).partition(":")[0]
            default = scores.SCORES[name].default_scale(d_k) if name in scores.SCORES else 1.0
            fields["scale"] = (scale or default) / changes.get("temperature", 1.0)
        return attention._replace(**fields)

    changed = ", ".join(f"{name} = {value}" for name, value in changes.items())
    return model._replace(
        transformer=model.transformer.change_attention(change),
        shape={**model.shape, "changed": dict(changes)},
        notes=(
            *model.notes,
            to_say("changed from what it was trained with: {changes}", changes=changed),
        ),
    )


def hide(model: Model, mask: Mask) -> Model:
    """`model` with a mask added to that of every self-attention of its first stack."""
    first_stack = "decoder" if model.transformer.encoder is None else "encoder"

    def change(stack: str, attention: MultiHeadAttention) -> MultiHeadAttention:
        if stack != first_stack or attention.kind != "self":
            return attention
        return attention._replace(mask=attention.mask + mask)

    return model._replace(transformer=model.transformer.change_attention(change))


def _score(spec: str) -> dict[str, Any]:
    name, options = parse_spec(spec)
    entry = scores.SCORES[name]
    if entry.arrays:
        without_arrays = [known for known in scores.SCORES if not scores.SCORES[known].arrays]
        raise AttnvizError(
            f"the score {name!r} has learned arrays, which this model lacks",
            f"use one of {', '.join(without_arrays)}; or -m random",
        )
    keywords = scores.SCORES.options(name, options)
    return {"score": partial(entry.function, **keywords), "score_name": spec}
