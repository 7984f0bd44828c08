"""Why a checkpoint of an architecture without a family is refused: one true sentence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.build.families import FAMILIES, INTERNAL, family_name
from attnviz.models.json_object import read_object
from attnviz.registry import nearest
from attnviz.tokens import label

TABLE = Path(__file__).parent / "model_types.json"
"""Written by `tests/golden/published/make_model_types.py`."""

ARRAYS = "attnviz show FILE and attnviz attend read arrays that its own code wrote"
PACKAGED = "attnviz models lists the models that come with attnviz"

REASONS = {
    "none": "it computes no attention weights: other things mix its tokens or pixels",
    "some": "beside attention it mixes tokens by a recurrence, a state space or a convolution, "
    "which attnviz does not compute yet",
    "streams": "its layers share keys and values and carry several residual streams, which attnviz "
    "does not compute yet",
    "text": "it is not held against transformers yet, and a wrong picture would look right",
    "several": "it is several models in one (texts with images, sound or video), which attnviz "
    "does not put together",
    "part": "it is a part of a larger model, which attnviz does not read by itself",
    "images": "of the models of images only plain vision transformers are read",
    "video": "attnviz does not read video",
    "sound": "of the models of sound only Whisper is read",
    "series": "attnviz reads texts, images and speech, not series of numbers",
    "other": "it is neither a model of texts nor one of images or speech that attnviz knows",
}
"""By the kinds of the table."""


def refusal(config: Config) -> AttnvizError:
    """The error for a config whose `model_type` has no family."""
    model_type = config.text("model_type", None)
    problem = f"{config.where}: the architecture {label(repr(model_type))} is not supported"
    kind = kinds().get(model_type)
    if kind is not None:
        hint = PACKAGED if kind == "none" else ARRAYS
        return AttnvizError(f"{problem}: {REASONS[kind]}", hint)
    if config.has("auto_map"):
        return AttnvizError(
            f"{problem}: its code is in the checkpoint (auto_map), which attnviz never runs", ARRAYS
        )
    known = [each for each in FAMILIES if each != INTERNAL]
    return AttnvizError(
        f"{problem}: neither attnviz nor transformers has it", nearest(model_type, known)
    )


def states() -> Mapping[str, str]:
    """By `model_type` of transformers: a kind of the table, or `verified`."""
    return {
        name: "verified" if family_name(name) in FAMILIES else kind
        for name, kind in kinds().items()
    }


def kinds() -> Mapping[str, str]:
    """The kind of every `model_type` of transformers."""
    return {name: kind for kind, names in _table()["kinds"].items() for name in names}


def version() -> str:
    """The version of transformers whose types are in the table."""
    return str(_table()["transformers"])


@cache
def _table() -> dict[str, Any]:
    return read_object(TABLE, "install attnviz again")
