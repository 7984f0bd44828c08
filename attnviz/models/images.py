"""Images as a vision transformer reads them: resized, in patches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

MOST_PIXELS = 64_000_000
BRIGHT = 0.5
"""A border brighter than this is paper: the ink is made light on dark."""


GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
"""Pillow's names of what has no colour."""


class Pixels(NamedTuple):
    """An image as the model sees it."""

    values: Array
    """[height, width], 0 to 1."""
    notes: tuple[str, ...]
    """What was done to the user's image, a sentence each."""


def read_image(image: str | Path | Array, spec: Mapping[str, Any]) -> Pixels:
    """Any image that Pillow reads, or an array, in the size that the model takes.

    Args:
        image: a path; or an array [height, width] or [height, width, channel] of bytes or of
            numbers from 0 to 1; or [channel, height, width], for one channel.
        spec: height and width, of a model.

    Raises:
        AttnvizError: no image, or one too large.
    """
    size = (spec["height"], spec["width"])
    if isinstance(image, np.ndarray):
        picture, n_picture, name = _from_array(image), 1, "the array"
    else:
        (picture, n_picture), name = _open(Path(image)), str(image)
    notes = []
    if n_picture > 1:
        notes.append(f"{name}: the first of {n_picture} pictures")
    picture, turned = _upright(picture)
    if turned:
        notes.append(f"{name} was turned upright, as its EXIF data say")
    width, height = picture.size
    if picture.mode != "L":
        if picture.mode not in GREY:
            notes.append(f"{name} was made grey")
        picture = _grey(picture)
    if (height, width) != size:
        squeezed = max(height * size[1], width * size[0]) >= 2 * min(
            height * size[1], width * size[0]
        )
        notes.append(
            f"{name} was resized from {width} × {height} to {size[1]} × {size[0]} pixels"
            + (", which squeezes it" if squeezed else "")
        )
        from PIL import Image

        picture = picture.resize((size[1], size[0]), Image.Resampling.BOX)
    values = np.asarray(picture, np.float64) / 255
    border = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    plain = float(np.ptp(values)) < 1 / 255
    if float(np.median(border)) > BRIGHT and not plain:
        values = 1 - values
        notes.append("dark on light was turned into light on dark, as the model was trained")
    if plain:
        notes.append("the image is of one brightness: there is nothing to see in it")
    return Pixels(values, tuple(notes))


def cut(values: Array, patch: int) -> Array:
    """Patches, row by row: [height, width] -> [n_patch, patch·patch]."""
    height, width = values.shape
    blocks = values.reshape(height // patch, patch, width // patch, patch)
    return blocks.swapaxes(1, 2).reshape(-1, patch * patch)


def patch_tokens(spec: Mapping[str, Any]) -> Tokens:
    """The class token, then the patches by row and column."""
    rows, columns = patch_grid(spec)
    names = ["[CLS]", *(f"{row},{column}" for row in range(rows) for column in range(columns))]
    return Tokens.of(names, special=[0])


def patch_grid(spec: Mapping[str, Any]) -> tuple[int, int]:
    """How many patches there are below and beside one another."""
    return spec["height"] // spec["patch"], spec["width"] // spec["patch"]


def _open(path: Path) -> tuple[Any, int]:
    """The picture, and how many the file holds."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AttnvizError(f"{path} {what}", "name an image: PNG, JPEG, GIF, …")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise AttnvizError(
                        f"{path} is {width} × {height} pixels; at most "
                        f"{MOST_PIXELS // 10**6} million are read",
                        "make it smaller first",
                    )
                picture.load()
                return picture.copy(), getattr(picture, "n_frames", 1)
    except UnidentifiedImageError as error:
        raise AttnvizError(f"{path} is no image", "name a PNG, JPEG, GIF, … file") from error
    except Image.DecompressionBombError as error:
        raise AttnvizError(f"{path} is too large an image", "make it smaller first") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise AttnvizError(f"{path} cannot be read: {error}", "is the file whole?") from error


def _from_array(array: Array) -> Any:
    from PIL import Image

    channels_last = array.ndim == 3 and array.shape[-1] in (1, 3)
    if array.ndim == 3 and not channels_last and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3)):
        raise AttnvizError(
            f"an image has the axes [height, width], [height, width, channel] or [channel, "
            f"height, width]; got {list(array.shape)}",
            "give one image, without a batch axis",
        )
    if array.dtype.kind not in "buif":
        raise AttnvizError(f"an image of {array.dtype}", "give bytes, or numbers from 0 to 1")
    if not array.size or not np.isfinite(array).all():
        raise AttnvizError("the image is empty or has NaN or infinity", "give numbers from 0 to 1")
    if array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 1:
            raise AttnvizError(
                f"the image's values go from {array.min():g} to {array.max():g}",
                "scale them to 0 to 1, or give bytes",
            )
        array = (array * 255).round().astype(np.uint8)
    return Image.fromarray(array[..., 0] if array.shape[-1:] == (1,) else array)


def _upright(picture: Any) -> tuple[Any, bool]:
    """The picture as its EXIF orientation wants it, and whether that turned it."""
    from PIL import ImageOps

    turned = picture.getexif().get(0x0112, 1) != 1
    return (ImageOps.exif_transpose(picture) if turned else picture), turned


def _grey(picture: Any) -> Any:
    """Brightness; what is transparent counts as white."""
    from PIL import Image

    if "A" in picture.mode or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("L") if picture.mode not in ("I;16", "I", "F") else _wide(picture)


def _wide(picture: Any) -> Any:
    """More than 8 bits a pixel, scaled by what the format or the image holds at most."""
    from PIL import Image

    values = np.asarray(picture, np.float64)
    if not np.isfinite(values).all():
        raise AttnvizError("the image has NaN or infinity", "clean it first")
    most = 65535.0 if picture.mode.startswith("I") else max(float(values.max()), 1e-9)
    return Image.fromarray((255 * np.clip(values / most, 0, 1)).round().astype(np.uint8))
