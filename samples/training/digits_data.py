"""The handwritten digits of scikit-learn, and the fifth of them that is held out.

    python samples/training/digits_data.py --heldout tests/models/packaged/digits-heldout.npz \\
        --pictures samples/digits

writes the held-out images as an array, and the first held-out image of some digits as PNG.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CITATION = (
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
    "Repository, 1998, https://doi.org/10.24432/C50P49"
)
LICENCE = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"

SIZE, PATCH, FULL = 8, 2, 16
"""Pixels of a side of an image and of a patch; the ink of a full pixel in the data."""
N_HELDOUT = 360
SPLIT_SEED = 0
PICTURES = {"3": (3, 1, False), "5": (5, 1, False), "7": (7, 1, False), "8": (8, 1, False)} | {
    "0-large": (0, 8, False),
    "4-dark-on-white": (4, 8, True),
}
"""Name of a file: the digit, how many times as large, whether dark on white."""

Images = NDArray[np.uint8]
"""[n_image, height, width] of 0 to 16, the more the more ink."""
Labels = NDArray[np.int64]


def load() -> tuple[Images, Labels]:
    """All 1797 images and what they show."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the digits come with scikit-learn: pip install scikit-learn") from None
    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def split(labels: Labels, n_apart: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the rest and of `n_apart` images with the same shares of the digits."""
    from sklearn.model_selection import train_test_split

    rest, apart = train_test_split(
        np.arange(len(labels)), test_size=n_apart, stratify=labels, random_state=SPLIT_SEED
    )
    return rest, apart


def patches(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images [n_image, height, width] -> [n_image, n_patch, pixels], row by row."""
    n, side = len(pixels), SIZE // PATCH
    cut = pixels.reshape(n, side, PATCH, side, PATCH).swapaxes(2, 3)
    return cut.reshape(n, side * side, PATCH * PATCH)


def as_input(images: Images) -> NDArray[np.float32]:
    """Ink from 0 to 1."""
    return images.astype(np.float32) / FULL


def save_pictures(folder: Path, images: Images, labels: Labels) -> None:
    """PNG files named by what they show: the first held-out image of some digits."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name, (digit, times, inverted) in PICTURES.items():
        grey = np.rint(images[labels == digit][0] * (255 / FULL)).astype(np.uint8)
        large = (255 - grey if inverted else grey).repeat(times, 0).repeat(times, 1)
        Image.fromarray(large).save(folder / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heldout", type=Path, help="file of the held-out images")
    parser.add_argument("--pictures", type=Path, help="folder of some held-out images as PNG")
    options = parser.parse_args()
    images, labels = load()
    _, apart = split(labels, N_HELDOUT)
    images, labels = images[apart], labels[apart]
    if options.heldout:
        options.heldout.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(options.heldout, images=images, labels=labels.astype(np.uint8))
    if options.pictures:
        save_pictures(options.pictures, images, labels)


if __name__ == "__main__":
    main()
