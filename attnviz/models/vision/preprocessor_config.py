"""`preprocessor_config.json` -> how an image is prepared for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.build.config import Config
from attnviz.models.vision.images import MAX_PIXELS
from attnviz.models.vision.preprocessor import (
    Normalization,
    Preprocessor,
    Resize,
    ShortestEdge,
    Size,
    VisionInput,
)
from attnviz.nn.types import Array

BILINEAR, BICUBIC = 2, 3
"""Pillow's numbers of its filters, as the files have them."""
FILTERS = range(6)

VIT: Mapping[str, Any] = {
    "size": {"height": 224, "width": 224},
    "resample": BILINEAR,
    "do_center_crop": False,
    "image_mean": 0.5,
    "image_std": 0.5,
}
CLIP: Mapping[str, Any] = {
    "size": {"shortest_edge": 224},
    "resample": BICUBIC,
    "do_center_crop": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
DEIT: Mapping[str, Any] = {
    **VIT,
    "size": {"height": 256, "width": 256},
    "resample": BICUBIC,
    "do_center_crop": True,
}
SIGLIP: Mapping[str, Any] = {**VIT, "resample": BICUBIC, "default_to_square": False}

DINOV3: Mapping[str, Any] = {
    **VIT,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "unrounded": True,
}

DEFAULTS = {
    "ViT": VIT,
    "DeiT": DEIT,
    "DINOv3ViT": DINOV3,
    "Bit": CLIP,
    "CLIP": CLIP,
    "Siglip": SIGLIP,
}
"""By processor: what holds for the fields that a file leaves out."""

ENDINGS = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")

INERT = ("processor_class", "use_fast", "return_tensors", "input_data_format", "device",
         "disable_grouping", "_valid_processor_keys", "image_seq_length")  # fmt: skip


def read_preprocessor(model_input: VisionInput, config: Config | None) -> Preprocessor:
    """What the file asks for; without one, what the architecture's own processor does."""
    if config is not None:
        return _read(model_input, config, _defaults(config, model_input))
    size: dict[str, Any] = {}
    if not model_input.resizes:
        whole = [model_input.height, model_input.width]
        keeps_shape = "shortest_edge" in DEFAULTS[model_input.processor]["size"]
        size = {
            "size": {"shortest_edge": min(whole)} if keeps_shape else whole,
            "crop_size": whole,
        }
    note = to_say(
        "there is no preprocessor_config.json: the image is prepared as is the default for its "
        "architecture, which may not be how the model was trained"
    )
    preprocessor = _read(model_input, Config(size, "the default"), DEFAULTS[model_input.processor])
    return preprocessor._replace(notes=(note,))


def _read(model_input: VisionInput, config: Config, defaults: Mapping[str, Any]) -> Preprocessor:
    preprocessor = Preprocessor(
        model_input,
        _resize(config, defaults),
        _crop(config, defaults),
        _factor(config),
        _normalization(config, defaults, model_input.n_channel),
    )
    config.switch("do_convert_rgb")  # an image gets the model's channels in any case
    config.require("do_pad", False)
    config.require("data_format", "channels_first")
    config.inert(*INERT)
    config.finish()
    return preprocessor


def _defaults(config: Config, model_input: VisionInput) -> Mapping[str, Any]:
    """Those of the processor that the file names."""
    known = {name + ending: DEFAULTS[name] for name in DEFAULTS for ending in ENDINGS}
    key = "image_processor_type"
    if not config.has(key) and config.has("feature_extractor_type"):
        key = "feature_extractor_type"
    config.inert("feature_extractor_type")
    return known[config.choice(key, f"{model_input.processor}ImageProcessor", *known)]


def _resize(config: Config, defaults: Mapping[str, Any]) -> Resize | None:
    default = defaults["size"]
    if isinstance(config.get("size", default), int):  # otherwise it says what it means
        square = defaults.get("default_to_square", "height" in default)
        is_square = config.switch("default_to_square", square)
        default = {"height": 224, "width": 224} if is_square else {"shortest_edge": 224}
    config.inert("default_to_square")
    size = _size(config, "size", default)
    resample = config.choice("resample", defaults["resample"], *FILTERS)
    rounds = "unrounded" not in defaults
    return Resize(size, resample, rounds) if config.switch("do_resize", True) else None


def _crop(config: Config, defaults: Mapping[str, Any]) -> Size | None:
    size = _size(config, "crop_size", {"height": 224, "width": 224})
    if isinstance(size, ShortestEdge):
        size = Size(size.length, size.length)
    return size if config.switch("do_center_crop", defaults["do_center_crop"]) else None


def _factor(config: Config) -> float | None:
    factor = config.number("rescale_factor", 1 / 255)
    if not 0 < factor < np.inf:
        raise config.error("rescale_factor has to be above 0")
    return factor if config.switch("do_rescale", True) else None


def _normalization(
    config: Config, defaults: Mapping[str, Any], n_channel: int
) -> Normalization | None:
    mean, deviation = (
        _by_channel(config, key, defaults[key], n_channel) for key in ("image_mean", "image_std")
    )
    if not (deviation > 0).all():
        raise config.error("image_std has to be above 0")
    return Normalization(mean, deviation) if config.switch("do_normalize", True) else None


def _size(config: Config, key: str, default: Mapping[str, int]) -> Size | ShortestEdge:
    """{"height", "width"}, {"shortest_edge"}, [height, width], or one number for what `default`
    has."""
    value = config.get(key, default)
    if isinstance(value, int):
        value = dict.fromkeys(default, value)
    elif isinstance(value, list) and len(value) == 2:
        value = dict(zip(("height", "width"), value, strict=True))
    if not isinstance(value, Mapping):
        raise AttnvizError(
            f"{config.where}: {key}: expected a height and a width, got {str(value)[:40]}",
            '{"height": 224, "width": 224}',
        )
    fields = config.part(value, key)
    if fields.has("shortest_edge"):
        size: Size | ShortestEdge = ShortestEdge(fields.count("shortest_edge"))
    else:
        size = Size(fields.count("height"), fields.count("width"))
    fields.finish()
    if size[0] * size[-1] > MAX_PIXELS:
        raise config.error(
            f"{key} {str(value)[:40]} is more than {MAX_PIXELS // 10**6} million pixels"
        )
    return size


def _by_channel(config: Config, key: str, default: Any, n_channel: int) -> Array:
    """[channel], float32: a list, or one number for all."""
    value = config.get(key, default)
    if isinstance(value, list) and len(value) == n_channel and config.has(key):
        value = config.numbers(key, n_channel)
    elif not isinstance(value, list):
        value = [config.number(key, value)] * n_channel
    array = np.array(value, np.float32)
    if array.shape != (n_channel,):
        raise config.error(f"{key} has {len(array)} numbers; the model reads {n_channel} channels")
    return array
