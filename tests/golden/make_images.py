"""Make the golden files of `images/` with Pillow, PyTorch and transformers.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/make_images.py

Small images of every kind, what transformers' image processors (those on Pillow) make of them under
several configs, and grids that PyTorch has resized.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    DeiTImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)
from transformers.image_transforms import convert_to_rgb

HERE = Path(__file__).parent / "images"
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": 11, "width": 7}},
    "vit-old": {"feature_extractor_type": "ViTFeatureExtractor", "size": 9, "resample": 1},
    "bit": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 13},
        "crop_size": {"height": 8, "width": 11},
        **IMAGENET,
    },
    "bit-small": {
        "image_processor_type": "BitImageProcessorFast",
        "size": 6,
        "crop_size": 9,
        "resample": 2,
    },
    "no-resize": {
        "image_processor_type": "BitImageProcessor",
        "do_resize": False,
        "crop_size": [14, 13],
        "rescale_factor": 0.01,
        "do_normalize": False,
    },
    "deit": {
        "image_processor_type": "DeiTImageProcessor",
        "size": {"height": 14, "width": 13},
        "crop_size": {"height": 11, "width": 8},
        **IMAGENET,
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessorFast",
        "size": {"shortest_edge": 13},
        "crop_size": {"height": 12, "width": 12},
    },
    "clip-old": {
        "feature_extractor_type": "CLIPFeatureExtractor",
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "size": 11,
        "crop_size": 11,
        "resample": 3,
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "size": {"height": 12, "width": 9},
        "rescale_factor": 0.00392156862745098,
    },
    "siglip-defaults": {"image_processor_type": "SiglipImageProcessor", "size": 10},
    "dinov3": {
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "size": {"height": 9, "width": 12},
        **IMAGENET,
    },
    "bytes": {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 7, "width": 11},
        "resample": 3,
        "do_rescale": False,
        "image_mean": [100, 110, 120],
        "image_std": [50, 60, 70],
    },
}


PROCESSORS = {
    "ViT": ViTImageProcessorPil,
    "Bit": BitImageProcessorPil,
    "DeiT": DeiTImageProcessorPil,
    "CLIP": CLIPImageProcessorPil,
    "Siglip": SiglipImageProcessorPil,
}
"""By what the name of a processor begins with."""


def pictures() -> dict[str, Image.Image]:
    """One of each kind, 17 × 23 pixels and the like: waves, so that resizing has something to do,
    and noise."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:23, :17]
    waves = np.stack([np.sin(rows / 3), np.cos(columns / 2), np.sin((rows + columns) / 4)], -1)
    colours = (127 + 90 * waves + generator.normal(0, 12, waves.shape)).clip(0, 255)
    rgb = Image.fromarray(colours.astype(np.uint8))
    alpha = Image.fromarray(((rows * 11 + columns * 5) % 256).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    palette = rgb.quantize(13)
    palette.info["transparency"] = 4
    return {
        "rgb.png": rgb,
        "wide.png": rgb.rotate(90, expand=True),
        "grey.png": rgb.convert("L"),
        "rgba.png": rgba,
        "palette.png": palette,
        "cmyk.tiff": rgb.convert("CMYK"),
        "turned.png": rgb,
    }


def save(name: str, picture: Image.Image) -> None:
    if name != "turned.png":
        picture.save(HERE / name)
        return
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    picture.save(HERE / name, exif=exif)


def processed(name: str, config: dict[str, Any]) -> np.ndarray:
    """[channel, height, width], as `load_image` opens a file and a processor prepares it."""
    kind = "".join(
        config.get(key, "") for key in ("image_processor_type", "feature_extractor_type")
    )
    if kind.startswith("DINOv3"):
        return dinov3(name, config)
    processor = next(PROCESSORS[name] for name in PROCESSORS if kind.startswith(name))
    made = processor.from_dict(config)
    picture = ImageOps.exif_transpose(Image.open(HERE / name))
    return made(picture, do_convert_rgb=True, return_tensors="np")["pixel_values"][0]


def dinov3(name: str, config: dict[str, Any]) -> np.ndarray:
    """The steps of DINOv3ViTImageProcessor, of which there is none on Pillow: bytes to floats, then
    resized as torchvision resizes floats, then normalised."""
    picture = ImageOps.exif_transpose(Image.open(HERE / name))
    pixels = torch.from_numpy(convert_to_rgb(picture, return_numpy=True)).permute(2, 0, 1)[None] * (
        1 / 255
    )
    size = config["size"]["height"], config["size"]["width"]
    resized = torch.nn.functional.interpolate(
        pixels, size=size, mode="bilinear", align_corners=False, antialias=True
    )
    mean, deviation = (np.array(config[key])[:, None, None] for key in ("image_mean", "image_std"))
    return ((resized[0].numpy() - mean) / deviation).astype(np.float32)


def resized(grid: np.ndarray, rows: int, columns: int, smooth: bool = False) -> np.ndarray:
    """[row, column, d] -> [rows, columns, d]."""
    channels_first = torch.tensor(grid).permute(2, 0, 1)[None]
    found = torch.nn.functional.interpolate(
        channels_first, size=(rows, columns), mode="bicubic", align_corners=False, antialias=smooth
    )
    return found[0].permute(1, 2, 0).numpy()


def main() -> None:
    HERE.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        save(name, picture)
    (HERE / "configs.json").write_text(json.dumps(CONFIGS, indent=1) + "\n")
    np.savez_compressed(
        HERE / "pixels.npz",
        **{
            f"{config}/{name}": processed(name, values)
            for config, values in CONFIGS.items()
            for name in pictures()
        },
    )
    generator = np.random.default_rng(1)
    grids = {}
    for shape, to in (((5, 5), (7, 3)), ((5, 5), (2, 2)), ((3, 7), (11, 5)), ((37, 37), (16, 23))):
        grid = generator.normal(0, 0.3, (*shape, 2)).astype(np.float32)
        name = "-".join(map(str, (*shape, *to)))
        grids |= {f"{name}/grid": grid, f"{name}/resized": resized(grid, *to)}
        grids |= {f"{name}/smooth": resized(grid, *to, smooth=True)}
    np.savez_compressed(HERE / "grids.npz", **grids)


if __name__ == "__main__":
    main()
