"""`preprocessor_config.json`: how an image becomes what a checkpoint was trained on.

The numbers are those of transformers' image processors on Pillow. Those on torchvision resize in
another way, so that their pixels may differ a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.vision.images import (
    MOST_PIXELS,
    Opened,
    Pixels,
    is_transparent,
    opaque,
    open_image,
    resize,
)
from attnviz.nn.types import Array

BILINEAR, BICUBIC = 2, 3
"""Pillow's numbers of its filters, as the files have them."""
FILTERS = range(6)

RIGHT = "take the preprocessor_config.json that came with the weights"
"""What to do about a wrong one."""

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

DEFAULTS = {"ViT": VIT, "Bit": CLIP, "CLIP": CLIP}
"""By processor: what holds for the fields that a file leaves out."""

ENDINGS = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")

INERT = ("processor_class", "use_fast", "return_tensors", "input_data_format", "device",
         "disable_grouping", "_valid_processor_keys", "image_seq_length")  # fmt: skip


class Takes(NamedTuple):
    """What a vision transformer takes."""

    n_channel: int
    """3 for colours, 1 for grey."""
    height: int
    width: int
    """Those that its positions were trained for."""
    patch: tuple[int, int]
    """The height and width of a patch."""
    resizes: bool
    """Whether it resizes its positions to images of another size."""
    processor: str
    """The processor of a checkpoint that names none: `ViT`, `Bit`."""


class Size(NamedTuple):
    """The size that images are resized to, whatever their shape."""

    height: int
    width: int

    def of(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width


class ShortestEdge(NamedTuple):
    """The length of the shorter side after resizing; the shape stays."""

    length: int

    def of(self, height: int, width: int) -> tuple[int, int]:
        longer = int(self.length * max(height, width) / min(height, width))
        return (longer, self.length) if width <= height else (self.length, longer)


class Resize(NamedTuple):
    size: Size | ShortestEdge
    resample: int


class Normal(NamedTuple):
    """(x - mean) / deviation of each channel, [channel] each."""

    mean: Array
    deviation: Array


class Preprocessor(NamedTuple):
    """Reads images as a checkpoint's processor does; a step that is None is left out."""

    takes: Takes
    resize: Resize | None
    crop: Size | None
    """The middle that is kept; where an image is smaller, black is put around it."""
    factor: float | None
    """What the bytes are multiplied by."""
    normal: Normal | None
    notes: tuple[str, ...] = ()

    def read(self, image: str | Path | Array) -> Pixels:
        """See `ImageReader`. An array of floats [channel, height, width] is taken as it is."""
        if isinstance(image, np.ndarray) and self._is_prepared(image):
            _check_finite(image)
            return self._whole_patches(image, self._undone(image), ())
        opened = open_image(image)
        raw, notes = self._raw(opened)
        values: Array = raw.astype(np.float32)
        if self.factor is not None:
            values = (raw * np.float64(self.factor)).astype(np.float32)
        if self.normal is not None:
            values = (values - self.normal.mean) / self.normal.deviation
        return self._whole_patches(
            np.moveaxis(values, -1, 0), raw / 255, (*self.notes, *opened.notes, *notes)
        )

    def _is_prepared(self, image: Array) -> bool:
        leads = image.ndim == 3 and image.shape[0] == self.takes.n_channel
        return leads and image.shape[-1] not in (1, 3) and image.dtype.kind == "f"

    def _raw(self, opened: Opened) -> tuple[Array, list[str]]:
        """[height, width, channel] after resizing and cropping, and what was done."""
        picture, name, _ = opened
        notes = []
        if is_transparent(picture):
            notes.append(f"what is transparent in {name} was laid on white")
        picture = opaque(picture).convert("RGB" if self.takes.n_channel == 3 else "L")
        if self.resize is not None:
            size = self.resize.size.of(picture.height, picture.width)
            if size != (picture.height, picture.width):
                picture, resized = resize(picture, size, self.resize.resample, name)
                notes.append(resized)
        array = np.asarray(picture).reshape(picture.height, picture.width, -1)
        if self.crop is not None and self.crop != array.shape[:2]:
            notes.append(f"its middle {self.crop.width} × {self.crop.height} pixels were kept")
            array = _middle(array, self.crop)
        return array, notes

    def _undone(self, values: Array) -> Array:
        """[channel, height, width] -> [height, width, channel], 0 to 1, as before the steps."""
        shown = np.moveaxis(values, 0, -1)
        if self.normal is not None:
            shown = shown * self.normal.deviation + self.normal.mean
        return np.clip(shown / (255 * (self.factor or 1)), 0, 1)

    def _whole_patches(self, values: Array, shown: Array, notes: tuple[str, ...]) -> Pixels:
        """The image as it fills patches, refused if it has a size that the model cannot take."""
        height, width = values.shape[1:]
        down, across = self.takes.patch
        right = (self.takes.height, self.takes.width)
        if not self.takes.resizes and (height, width) != right:
            raise AttnvizError(
                f"the prepared image is {width} × {height} pixels; the model takes "
                f"{right[1]} × {right[0]}",
                RIGHT,
            )
        if height < down or width < across:
            raise AttnvizError(
                f"the prepared image is {width} × {height} pixels; a patch has {across} × {down}",
                "give a larger image",
            )
        end = height - height % down, width - width % across
        if end != (height, width):
            notes = (*notes, f"of {width} × {height} pixels, {end[1]} × {end[0]} fill patches")
        shown = shown[: end[0], : end[1]]
        return Pixels(
            values[:, : end[0], : end[1]],
            shown[..., 0] if shown.shape[-1] == 1 else shown,
            self.takes.patch,
            notes,
        )


def read_preprocessor(takes: Takes, config: Config | None) -> Preprocessor:
    """What the file asks for; without one, what the architecture's own processor does."""
    if config is not None:
        return _read(takes, config, _defaults(config, takes))
    size = {} if takes.resizes else {"size": [takes.height, takes.width]}
    told = (
        "there is no preprocessor_config.json: the image is prepared as by default for its "
        "architecture, which may not be how the model was trained"
    )
    preprocessor = _read(takes, Config(size, "the default"), DEFAULTS[takes.processor])
    return preprocessor._replace(notes=(told,))


def _read(takes: Takes, config: Config, defaults: Mapping[str, Any]) -> Preprocessor:
    preprocessor = Preprocessor(
        takes,
        _resize(config, defaults),
        _crop(config, defaults),
        _factor(config),
        _normal(config, defaults, takes.n_channel),
    )
    config.switch("do_convert_rgb")  # an image gets the model's channels in any case
    config.require("do_pad", False)
    config.require("data_format", "channels_first")
    config.inert(*INERT)
    config.finish()
    return preprocessor


def _defaults(config: Config, takes: Takes) -> Mapping[str, Any]:
    """Those of the processor that the file names."""
    known = {name + ending: DEFAULTS[name] for name in DEFAULTS for ending in ENDINGS}
    key = "image_processor_type"
    if not config.has(key) and config.has("feature_extractor_type"):
        key = "feature_extractor_type"
    config.inert("feature_extractor_type")
    return known[config.choice(key, f"{takes.processor}ImageProcessor", *known)]


def _resize(config: Config, defaults: Mapping[str, Any]) -> Resize | None:
    size = _size(config, "size", defaults["size"])
    resample = config.choice("resample", defaults["resample"], *FILTERS)
    return Resize(size, resample) if config.switch("do_resize", True) else None


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


def _normal(config: Config, defaults: Mapping[str, Any], n_channel: int) -> Normal | None:
    mean, deviation = (
        _by_channel(config, key, defaults[key], n_channel) for key in ("image_mean", "image_std")
    )
    if not (deviation > 0).all():
        raise config.error("image_std has to be above 0")
    return Normal(mean, deviation) if config.switch("do_normalize", True) else None


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
    if size[0] * size[-1] > MOST_PIXELS:
        raise config.error(
            f"{key} {str(value)[:40]} is more than {MOST_PIXELS // 10**6} million pixels"
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


def _middle(image: Array, size: Size) -> Array:
    """[height, width, channel] -> the middle of that size, with zeros where there is none."""
    for axis, length in enumerate(size):
        spare = image.shape[axis] - length
        if spare >= 0:
            image = image.take(np.arange(length) + spare // 2, axis)
        else:
            around = [(0, 0)] * image.ndim
            around[axis] = (-spare - (-spare) // 2, -spare // 2)
            image = np.pad(image, around)
    return image


def _check_finite(values: Array) -> None:
    if not values.size or not np.isfinite(values).all():
        raise AttnvizError("the image is empty or has NaN or infinity", "clean it first")
