"""Images on their way into a vision transformer: what all readers of images share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.files import shortened, why_unreachable
from attnviz.language import to_say
from attnviz.nn.types import Array
from attnviz.tokens import Tokens

MAX_PIXELS = 64_000_000

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "JPEG2000")
"""All that is opened, by Pillow's names. Of the others some start a program (EPS starts
Ghostscript), and few have pictures that a vision model reads."""
N_LOADED = 5
"""Of these, so many are known to Pillow before it has imported all of its formats."""

EXAMPLES = "name a PNG, JPEG, GIF, BMP, PPM, TIFF, WebP, AVIF or JPEG 2000 file"

WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's names of what has no colour and more than 8 bits a pixel."""

GREY = ("1", "L", "LA", *WIDE)
"""Of what has no colour."""

CheckSize = Callable[[int, int], None]
"""Raises AttnvizError if an image of this height and width is not to be decoded."""


CLASS_TOKEN = ("[CLS]",)


class Window(NamedTuple):
    """A part of an image, in its own pixels; where the image ends before, it is filled up."""

    top: float
    left: float
    bottom: float
    right: float
    height: int
    """Of the whole image, upright."""
    width: int

    def cell(self, row: int, column: int, grid: tuple[int, int]) -> Window:
        """What a patch of a grid of rows and columns covers."""
        down, across = (self.bottom - self.top) / grid[0], (self.right - self.left) / grid[1]
        return self._replace(
            top=self.top + row * down,
            bottom=self.top + (row + 1) * down,
            left=self.left + column * across,
            right=self.left + (column + 1) * across,
        )


class Pixels(NamedTuple):
    """An image as the model sees it."""

    values: Array
    """[channel, height, width]: what the model reads."""
    shown: Array
    """[height, width] or [height, width, 3], 0 to 1: the same, for the eye."""
    patch: tuple[int, int]
    """The height and width of a patch."""
    notes: tuple[str, ...]
    """What was done to the user's image, a sentence each."""
    first: tuple[str, ...] = CLASS_TOKEN
    """The names of the tokens before the patches."""
    window: Window | None = None
    """Where in the user's image that is; None where it was prepared already."""

    @property
    def grid(self) -> tuple[int, int]:
        """The numbers of rows and columns of patches."""
        return self.values.shape[-2] // self.patch[0], self.values.shape[-1] // self.patch[1]

    @property
    def tokens(self) -> Tokens:
        """A class token and the like, then the patches by row and column."""
        rows, columns = self.grid
        names = [f"{row},{column}" for row in range(rows) for column in range(columns)]
        return Tokens.of([*self.first, *names], special=range(len(self.first)))


class ImageReader(Protocol):
    """Makes of a user's image the one that the model sees."""

    def read(self, image: str | Path | Array, check: Callable[[int], None] | None = None) -> Pixels:
        """An image of one of `FORMATS`, or an array.

        Args:
            check: called with the number of tokens that come of a file, before it is decoded.

        Raises:
            AttnvizError: not an image, or one that is too large.
        """
        ...


class Opened(NamedTuple):
    """A picture as Pillow has it, upright."""

    picture: Any
    name: str
    notes: tuple[str, ...]


def open_image(image: str | Path | Array, check: CheckSize | None = None) -> Opened:
    """A picture from a path, or from an array [height, width], [height, width, channel] or
    [channel, height, width] of bytes or of numbers from 0 to 1.

    Args:
        check: sees the size that a file states, before it is decoded or turned upright.
    """
    if isinstance(image, np.ndarray):
        return Opened(_from_array(image), "the array", ())
    name = str(image)
    picture, n_picture, rotated = _open(Path(image), check)
    notes = []
    if n_picture > 1:
        notes.append(to_say("{name}: the first of {n} pictures", name=name, n=n_picture))
    if rotated:
        notes.append(to_say("{name} was turned upright, as its EXIF data say", name=name))
    return Opened(picture, name, tuple(notes))


def is_transparent(picture: Any) -> bool:
    """Whether pixels of the picture may be transparent."""
    return "A" in picture.getbands() or "transparency" in picture.info


def opaque(picture: Any) -> Any:
    """8 bits a channel; what is transparent counts as white."""
    from PIL import Image

    if picture.mode in WIDE:
        return _eight_bits(picture)
    if not is_transparent(picture):
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")


def resize(picture: Any, size: tuple[int, int], resample: int, name: str) -> tuple[Any, str]:
    """The picture in `size`, height and width, and a note of that."""
    (width, height), (new_height, new_width) = picture.size, size
    if new_height * new_width > MAX_PIXELS:
        raise AttnvizError(
            f"{name} would be resized to {new_width} × {new_height} pixels; at most "
            f"{MAX_PIXELS // 10**6} million are read",
            "cut it to a shape nearer to a square",
        )
    stretches = height * new_width, width * new_height
    sizes = {"old": f"{width} × {height}", "new": f"{new_width} × {new_height}"}
    note = to_say("{name} was resized from {old} to {new} pixels", name=name, **sizes)
    if max(stretches) >= 2 * min(stretches):
        note = to_say("{note}, which distorts it", note=note)
    return picture.resize((new_width, new_height), resample), note


def resize_unrounded(picture: Any, size: tuple[int, int], resample: int) -> Array:
    """[height, width, channel] of the picture in `size`, not rounded to bytes again."""
    from PIL import Image

    channels = [
        np.asarray(channel.convert("F").resize(size[::-1], Image.Resampling(resample)))
        for channel in picture.split()
    ]
    return np.stack(channels, -1)


@contextlib.contextmanager
def explained(name: object) -> Iterator[None]:
    """Whatever Pillow raises as an AttnvizError, and none of its warnings: its formats fail in as
    many ways as files can be broken."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AttnvizError:
        raise
    except UnidentifiedImageError as error:
        raise AttnvizError(
            f"{name} is not an image, or of a format that is not read", EXAMPLES
        ) from error
    except Image.DecompressionBombError as error:
        raise AttnvizError(f"{name} is too large an image", "scale it down first") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise AttnvizError(f"{name} cannot be read: {reason}", "is the file whole?") from error


def _open(path: Path, check: CheckSize | None) -> tuple[Any, int, bool]:
    """The picture upright, how many the file holds, and whether this one was turned."""
    if (reason := why_unreachable(path)) is not None:
        raise AttnvizError(f"cannot read {shortened(path)}: {reason}", EXAMPLES)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not a file"
        raise AttnvizError(f"{path} {what if path.exists() else 'does not exist'}", EXAMPLES)
    with explained(path), _identified(path) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise AttnvizError(
                f"{path} is {width} × {height} pixels; at most {MAX_PIXELS // 10**6} million are "
                "read",
                "scale it down first",
            )
        if check is not None:
            check(height, width)
        picture.load()
        n_picture = getattr(picture, "n_frames", 1)
        upright, rotated = _upright(picture.copy())
        return upright, n_picture, rotated


def _identified(path: Path) -> Any:
    """The file, opened by one of `FORMATS`."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path, formats=FORMATS[:N_LOADED])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])


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
    """The picture as its EXIF orientation wants it, and whether that changed it."""
    from PIL import ImageOps

    rotated = picture.getexif().get(0x0112, 1) != 1
    return (ImageOps.exif_transpose(picture) if rotated else picture), rotated


def _eight_bits(picture: Any) -> Any:
    """More than 8 bits a pixel, scaled by the maximum of the format or of the image."""
    from PIL import Image

    values = np.asarray(picture)
    if not np.isfinite(values).all():
        raise AttnvizError("the image has NaN or infinity", "clean it first")
    maximum = 65535.0 if picture.mode.startswith("I") else max(float(values.max()), 1e-9)
    scaled = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # as float64 the image would be eight times its size
        scaled[row] = (255 * np.clip(line.astype(np.float64) / maximum, 0, 1)).round()
    return Image.fromarray(scaled)
