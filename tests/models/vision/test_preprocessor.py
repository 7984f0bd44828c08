"""Pixel values as transformers' processors make them, and files that say what nobody can do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.vision.images import Window
from attnviz.models.vision.preprocessor import ShortestEdge, VisionInput
from attnviz.models.vision.preprocessor_config import read_preprocessor
from tests.conftest import GOLDEN
from tests.models.vision.test_images import png_header

IMAGES = GOLDEN / "images"
CONFIGS = json.loads((IMAGES / "configs.json").read_text())
NAMES = sorted(path.name for path in IMAGES.iterdir() if path.suffix in (".png", ".tiff"))
MODEL_INPUT = VisionInput(3, 11, 7, (1, 1), resizes=True, processor="ViT")


def reader(values, model_input=MODEL_INPUT):
    return read_preprocessor(model_input, Config(values, "preprocessor_config.json"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", CONFIGS)
def test_the_pixel_values_of_transformers(config, name):
    with np.load(IMAGES / "pixels.npz") as file:
        expected = file[f"{config}/{name}"]
    found = reader(CONFIGS[config]).read(IMAGES / name)
    np.testing.assert_allclose(found.values, expected, atol=2e-6)


def test_what_was_done_is_said():
    told = " ".join(reader(CONFIGS["bit"]).read(IMAGES / "rgba.png").notes)
    assert "transparent parts of" in told
    assert "resized from 17 × 23 to 13 × 17" in told
    assert "its central 11 × 8" in told
    assert any("EXIF" in n for n in reader(CONFIGS["bit"]).read(IMAGES / "turned.png").notes)
    with Image.open(IMAGES / "rgb.png") as picture:
        same = {"size": {"height": picture.height, "width": picture.width}}
    assert reader(same).read(IMAGES / "rgb.png").notes == ()


@pytest.mark.parametrize("config", CONFIGS)
def test_a_prepared_array_is_taken_as_it_is_and_shown_as_it_was(config):
    """The image for the eye is the one before the numbers were changed."""
    preprocessor = reader(CONFIGS[config])
    pixels = preprocessor.read(IMAGES / "rgb.png")
    again = preprocessor.read(pixels.values)
    np.testing.assert_array_equal(again.values, pixels.values)
    np.testing.assert_allclose(again.shown, pixels.shown, atol=1e-6)
    assert again.notes == ()


def test_the_image_that_is_shown_is_the_resized_one():
    with Image.open(IMAGES / "rgb.png") as picture:
        expected = np.asarray(picture.resize((7, 11), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_array_equal(reader(CONFIGS["vit"]).read(IMAGES / "rgb.png").shown, expected)


def test_bytes_are_prepared_whatever_their_axes(generator):
    image = generator.integers(0, 256, (9, 8, 3), np.uint8)
    one = reader(CONFIGS["vit"]).read(image).values
    np.testing.assert_array_equal(
        reader(CONFIGS["vit"]).read(np.moveaxis(image, -1, 0)).values, one
    )
    np.testing.assert_allclose(reader(CONFIGS["vit"]).read(image / 255).values, one, atol=1e-6)


def test_grey_models_read_grey():
    model_input = MODEL_INPUT._replace(n_channel=1)
    values = {"size": [11, 7], "image_mean": [0.25], "image_std": 0.5}
    found = reader(values, model_input).read(IMAGES / "rgb.png")
    with Image.open(IMAGES / "rgb.png") as picture:
        grey = np.asarray(picture.convert("L").resize((7, 11), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(found.values[0], (grey - 0.25) / 0.5, atol=1e-6)
    assert found.shown.shape == (11, 7)


def test_without_a_file_it_is_the_default_and_it_is_said():
    fixed = read_preprocessor(MODEL_INPUT._replace(resizes=False), None).read(IMAGES / "rgb.png")
    said = reader({"size": [11, 7]}).read(IMAGES / "rgb.png")
    np.testing.assert_array_equal(fixed.values, said.values)
    assert "no preprocessor_config.json" in fixed.notes[0]
    bit = read_preprocessor(MODEL_INPUT._replace(processor="Bit"), None).read(IMAGES / "rgb.png")
    assert bit.values.shape == (3, 224, 224)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 100))
def test_the_shortest_edge(height, width, length):
    """One side gets the length, the other keeps the shape, cut to whole pixels."""
    new = ShortestEdge(length).of(height, width)
    assert min(new) == length
    assert (new[0] >= new[1]) == (height >= width) or min(new) == max(new)
    exact = length * max(height, width) / min(height, width)
    assert exact - 1 < max(new) <= exact


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"do_flip": True}, "'do_flip'"),
        ({"do_pad": True}, "do_pad = True"),
        ({"size": {"shortest_edge": 9, "longest_edge": 12}}, "'longest_edge'"),
        ({"size": {"height": 9}}, "width"),
        ({"size": 0}, "at least 1"),
        ({"size": 1 << 40}, "more than 64 million pixels"),
        ({"crop_size": {"shortest_edge": 10**9}}, "more than 64 million pixels"),
        ({"size": "large"}, "a height and a width"),
        ({"resample": 9}, "resample = 9"),
        ({"image_mean": [0.5, 0.5]}, "3 channels"),
        ({"image_std": [0.5, 0, 0.5]}, "above 0"),
        ({"image_std": [0.5, "a", 0.5]}, "image_std"),
        ({"rescale_factor": float("nan")}, "rescale_factor"),
        ({"data_format": "channels_last"}, "data_format"),
        ({"do_resize": 1}, "do_resize"),
        ({"image_processor_type": "SamImageProcessor"}, "SamImageProcessor"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(values, message):
    with pytest.raises(AttnvizError, match=message):
        reader(values)


def test_the_size_that_a_model_takes():
    fixed = reader({"size": [11, 8]}, MODEL_INPUT._replace(resizes=False))
    with pytest.raises(AttnvizError, match="8 × 11 pixels; the model takes 7 × 11"):
        fixed.read(IMAGES / "rgb.png")
    with pytest.raises(AttnvizError, match="7 × 12 pixels; the model takes"):
        fixed.read(np.zeros((3, 12, 7)))
    with pytest.raises(AttnvizError, match="a patch has 8 × 8"):
        reader({"size": [11, 7]}, MODEL_INPUT._replace(patch=(8, 8))).read(IMAGES / "rgb.png")
    uneven = reader({"size": [11, 9]}, MODEL_INPUT._replace(patch=(4, 3))).read(IMAGES / "rgb.png")
    assert (uneven.values.shape, uneven.shown.shape) == ((3, 8, 9), (8, 9, 3))
    assert (uneven.grid, len(uneven.tokens)) == ((2, 3), 7)
    assert "of 9 × 11 pixels, 9 × 8 fill patches" in uneven.notes


def test_arrays_and_images_that_make_no_sense(tmp_path):
    with pytest.raises(AttnvizError, match="NaN"):
        reader({}).read(np.full((3, 11, 7), np.nan))
    with pytest.raises(AttnvizError, match="axes"):
        reader({}).read(np.zeros((2, 3, 11, 7)))
    Image.new("L", (20_000, 4)).save(tmp_path / "wide.png")
    with pytest.raises(AttnvizError, match="would be resized to"):
        reader({"size": {"shortest_edge": 224}, "image_processor_type": "BitImageProcessor"}).read(
            tmp_path / "wide.png"
        )


@pytest.mark.parametrize(
    ("kind", "fields", "shape"),
    [
        ("ViT", {}, (8, 8)),
        ("ViT", {"default_to_square": True}, (8, 8)),
        ("ViT", {"default_to_square": False}, (8, 16)),
        ("Bit", {}, (8, 16)),
        ("Bit", {"default_to_square": True}, (8, 8)),
        ("Bit", {"default_to_square": False}, (8, 16)),
        ("Bit", {"default_to_square": True, "size": {"shortest_edge": 8}}, (8, 16)),
    ],
)
def test_what_one_number_for_a_size_means(kind, fields, shape):
    """The shapes are transformers 5.23's, of an image of 12 × 24."""
    values = {"image_processor_type": f"{kind}ImageProcessor", "size": 8, "do_center_crop": False}
    model_input = VisionInput(3, 8, 8, (1, 1), resizes=True, processor=kind)
    found = reader(values | fields, model_input).read(np.zeros((12, 24, 3), np.uint8))
    assert found.values.shape[1:] == shape


RAW = {"do_resize": False, "do_center_crop": False}


def test_a_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(png_header(8000, 7999))
    with pytest.raises(AttnvizError, match="is 8000 × 7999 pixels; the model takes 7 × 11"):
        reader(RAW, MODEL_INPUT._replace(resizes=False)).read(path)
    monkeypatch.setattr("attnviz.models.run.memory.available_memory", lambda: 1 << 30)
    with pytest.raises(AttnvizError, match=r"needs about 2\.7 GB of memory; 1\.1 GB are free"):
        reader(RAW).read(path)
    monkeypatch.setattr("attnviz.models.run.memory.available_memory", lambda: 1 << 40)

    def check(n_token):
        raise AttnvizError(f"{n_token} tokens", "fewer")

    patches = MODEL_INPUT._replace(patch=(16, 10))
    with pytest.raises(AttnvizError, match=f"{1 + 499 * 800} tokens"):
        reader(RAW, patches).read(path, check)
    with pytest.raises(AttnvizError, match="cannot be read"):
        reader(RAW).read(path)  # only now is it found to be empty


def test_the_check_counts_the_tokens_that_come_out():
    for config in ({}, RAW, {"size": {"shortest_edge": 9}}, {"do_center_crop": True}):
        patches = MODEL_INPUT._replace(patch=(3, 2))
        for name in NAMES:
            counts = []
            pixels = reader(config, patches).read(IMAGES / name, counts.append)
            assert counts == [len(pixels.tokens)] or "turned" in name


@pytest.mark.parametrize("config", ["vit", "bit", "bit-small", "no-resize", "clip"])
def test_the_window_is_where_the_prepared_image_lies(config, tmp_path):
    """A ramp across the image says which of its pixels each prepared one comes from."""
    height, width = 40, 60
    ramp = np.broadcast_to(np.arange(width, dtype=np.uint8) * 4, (height, width))
    for axis, image in enumerate(
        (np.stack([ramp] * 3, -1), np.stack([ramp[:, :height].T] * 3, -1))
    ):
        pixels = reader(CONFIGS[config]).read(np.ascontiguousarray(image))
        window, shown = pixels.window, pixels.shown[..., 0] * 255 / 4
        assert (window.height, window.width) == image.shape[:2]
        start, end = (window.left, window.right) if axis == 0 else (window.top, window.bottom)
        line = shown.max(axis)
        places = start + (np.arange(len(line)) + 0.5) * (end - start) / len(line) - 0.5
        inside = slice(2, -2)
        if start >= 0:
            np.testing.assert_allclose(line[inside], places[inside], atol=0.8)


def test_the_window_of_a_patch():
    window = Window(10, 20, 50, 100, 60, 120)
    assert window.cell(1, 3, (2, 4)) == Window(30, 80, 50, 100, 60, 120)
    assert reader(CONFIGS["vit"]).read(np.zeros((3, 11, 7))).window is None
