"""An image as a checkpoint was trained on it: resized, cropped, scaled, normalised, in whole
patches.

The numbers are those of transformers' image processors on Pillow. Those on torchvision resize in
another way, so that their pixels may differ a little.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.vision.images import (
    CLASS_TOKEN,
    MAX_PIXELS,
    Opened,
    Pixels,
    Window,
    explained,
    is_transparent,
    opaque,
    open_image,
    resize,
    resize_unrounded,
)
from attnviz.nn.types import Array

HINT = "take the preprocessor_config.json that came with the weights"
"""What to do about a wrong one."""

VALUE_BYTES = 14
"""Memory for a prepared value, measured: as a byte, as float32, as float64 for the eye."""


class VisionInput(NamedTuple):
    """What a vision transformer reads."""

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
    first: tuple[str, ...] = CLASS_TOKEN
    """The names of the tokens before the patches."""


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
    """The size, and Pillow's number of the filter."""

    size: Size | ShortestEdge
    resample: int
    rounds: bool = True
    """Whether what comes out is rounded to bytes again."""


class Normalization(NamedTuple):
    """(x - mean) / deviation of each channel, [channel] each."""

    mean: Array
    deviation: Array


class Preprocessor(NamedTuple):
    """Reads images as a checkpoint's processor does; a step that is None is left out."""

    model_input: VisionInput
    resize: Resize | None
    crop: Size | None
    """The middle that is kept; where an image is smaller, black is put around it."""
    factor: float | None
    """What the bytes are multiplied by."""
    normalization: Normalization | None
    notes: tuple[str, ...] = ()

    def read(self, image: str | Path | Array, check: Callable[[int], None] | None = None) -> Pixels:
        """See `ImageReader`. An array of floats [channel, height, width] is taken as it is."""
        if isinstance(image, np.ndarray) and self._is_prepared(image):
            _check_finite(image)
            return self._whole_patches(image, self._shown(image), ())
        opened = open_image(image, lambda height, width: self._check_size(height, width, check))
        raw, notes = self._raw(opened)
        values: Array = np.empty(raw.shape, np.float32)
        for channel in range(raw.shape[-1]):  # one at a time: float64 takes much memory
            one: Array = raw[..., channel]
            values[..., channel] = one if self.factor is None else one * np.float64(self.factor)
        if self.normalization is not None:
            values -= self.normalization.mean
            values /= self.normalization.deviation
        pixels = self._whole_patches(
            np.moveaxis(values, -1, 0), raw / 255, (*self.notes, *opened.notes, *notes)
        )
        original = opened.picture.height, opened.picture.width
        return pixels._replace(window=self._window(*original, *pixels.values.shape[1:]))

    def _window(self, height: int, width: int, used_height: int, used_width: int) -> Window:
        """Where patches of so many pixels in all are in an image of this height and width."""
        resized = (height, width) if self.resize is None else self.resize.size.of(height, width)
        kept = resized if self.crop is None else self.crop
        ends = []
        for old, new, length, used in zip(
            (height, width), resized, kept, (used_height, used_width), strict=True
        ):
            start = _crop_start(new, length)
            ends.append((start * old / new, (start + used) * old / new))
        (top, bottom), (left, right) = ends
        return Window(top, left, bottom, right, height, width)

    def _check_size(self, height: int, width: int, check: Callable[[int], None] | None) -> None:
        """Raise AttnvizError if the model cannot take what becomes of an image of this size, lying
        or standing, or if there is too little memory for it."""
        from attnviz.models.run.memory import Plan, check_memory

        if self.resize is not None:
            height, width = self.resize.size.of(height, width)
        if height * width > MAX_PIXELS:
            return  # resizing will refuse that
        if self.crop is not None:
            height, width = self.crop
        self._check_prepared(*min((height, width), (width, height), key=self._distance))
        n_byte = VALUE_BYTES * self.model_input.n_channel * height * width
        check_memory(Plan((), n_byte), "scale the image down first")
        if check is not None:
            patch_height, patch_width = self.model_input.patch
            check(len(self.model_input.first) + (height // patch_height) * (width // patch_width))

    def _distance(self, size: tuple[int, int]) -> int:
        return abs(size[0] - self.model_input.height) + abs(size[1] - self.model_input.width)

    def _check_prepared(self, height: int, width: int) -> None:
        """Raise AttnvizError if the model cannot take a prepared image of this size."""
        patch_height, patch_width = self.model_input.patch
        expected = (self.model_input.height, self.model_input.width)
        if not self.model_input.resizes and (height, width) != expected:
            raise AttnvizError(
                f"the prepared image is {width} × {height} pixels; the model takes "
                f"{expected[1]} × {expected[0]}",
                HINT,
            )
        if height < patch_height or width < patch_width:
            raise AttnvizError(
                f"the prepared image is {width} × {height} pixels; a patch has "
                f"{patch_width} × {patch_height}",
                "give a larger image",
            )

    def _is_prepared(self, image: Array) -> bool:
        leads = image.ndim == 3 and image.shape[0] == self.model_input.n_channel
        return leads and image.shape[-1] not in (1, 3) and image.dtype.kind == "f"

    def _raw(self, opened: Opened) -> tuple[Array, list[str]]:
        """[height, width, channel] after resizing and cropping, and what was done."""
        picture, name, _ = opened
        notes = []
        if is_transparent(picture):
            notes.append(to_say("transparent parts of {name} were drawn on white", name=name))
        with explained(name):
            picture = opaque(picture).convert("RGB" if self.model_input.n_channel == 3 else "L")
        original = picture
        if self.resize is not None:
            size = self.resize.size.of(picture.height, picture.width)
            if size != (picture.height, picture.width):
                picture, resized = resize(picture, size, self.resize.resample, name)
                notes.append(resized)
        array = np.asarray(picture).reshape(picture.height, picture.width, -1)
        if self.resize is not None and not self.resize.rounds and picture is not original:
            array = resize_unrounded(original, picture.size[::-1], self.resize.resample)
        if self.crop is not None and self.crop != array.shape[:2]:
            notes.append(
                to_say(
                    "only its central {width} × {height} pixels were kept",
                    width=self.crop.width,
                    height=self.crop.height,
                )
            )
            array = _crop_center(array, self.crop)
        return array, notes

    def _shown(self, values: Array) -> Array:
        """[channel, height, width] -> [height, width, channel], 0 to 1, as before the steps."""
        shown = np.moveaxis(values, 0, -1)
        if self.normalization is not None:
            shown = shown * self.normalization.deviation + self.normalization.mean
        return np.clip(shown / (255 * (self.factor or 1)), 0, 1)

    def _whole_patches(self, values: Array, shown: Array, notes: tuple[str, ...]) -> Pixels:
        """The image cut to whole patches.

        Raises:
            AttnvizError: a size that the model cannot take.
        """
        height, width = values.shape[1:]
        self._check_prepared(height, width)
        patch_height, patch_width = self.model_input.patch
        end = height - height % patch_height, width - width % patch_width
        if end != (height, width):
            note = to_say(
                "of {whole} pixels, {used} fill patches",
                whole=f"{width} × {height}",
                used=f"{end[1]} × {end[0]}",
            )
            notes = (*notes, note)
        shown = shown[: end[0], : end[1]]
        return Pixels(
            values[:, : end[0], : end[1]],
            shown[..., 0] if shown.shape[-1] == 1 else shown,
            self.model_input.patch,
            notes,
            self.model_input.first,
        )


def _crop_center(image: Array, size: Size) -> Array:
    """[height, width, channel] -> its middle in this size, with zeros where it is smaller."""
    for axis, length in enumerate(size):
        spare, start = image.shape[axis] - length, _crop_start(image.shape[axis], length)
        if spare >= 0:
            image = image.take(np.arange(length) + start, axis)
        else:
            padding = [(0, 0)] * image.ndim
            padding[axis] = (-start, -spare + start)
            image = np.pad(image, padding)
    return image


def _crop_start(old: int, new: int) -> int:
    """Where the middle of `new` pixels starts in `old` ones; below 0 where these are fewer."""
    spare = old - new
    return spare // 2 if spare >= 0 else -(-spare - (-spare) // 2)


def _check_finite(values: Array) -> None:
    if not values.size or not np.isfinite(values).all():
        raise AttnvizError("the image is empty or has NaN or infinity", "clean it first")
