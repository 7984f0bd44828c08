"""`attnviz image`: an image, where the class token looks, what the answer depends on."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import attnviz
from attnviz.analysis.saliency import class_logit, gradient
from attnviz.models import load_model
from attnviz.models.run.inputs import read_image
from tests.conftest import GOLDEN, HERE

DIGITS = sorted((HERE.parent / "samples" / "digits").glob("*.png"))


@pytest.mark.parametrize("path", DIGITS, ids=lambda path: path.stem)
def test_the_samples(call, path):
    done = call("image", path)
    assert (done.code, done.err) == (0, "")
    assert f"label    {path.stem[0]} 0." in done.out
    assert "answer   " not in done.out
    assert "where the class token looks" in done.out
    assert f"what the answer {path.stem[0]} depends on" in done.out
    assert "not attention" in done.out


def test_json_and_python_say_the_same(call):
    content = json.loads(call("image", DIGITS[0], "--json").out)
    trace = attnviz.run(image=DIGITS[0], model="digits")
    np.testing.assert_allclose(
        content["arrays"]["encoder.1.self/weights"], trace["encoder.1.self"].weights, atol=1e-6
    )
    assert len(content["arrays"]["saliency"]) == 8
    assert sum(content["answer"]["probabilities"]) == pytest.approx(1)


def test_the_saliency_is_the_gradient():
    """Two step sizes agree, and the slope along a direction is the gradient times it."""
    model = load_model("digits", {"dtype": "float64"})
    values = read_image(model, DIGITS[0]).values
    label = int(attnviz.run(image=DIGITS[0], model=model, logits=True).logits[0].argmax())
    logit = class_logit(model.transformer, label)
    slopes = gradient(logit, values)
    np.testing.assert_allclose(slopes, gradient(logit, values, 1e-5), rtol=1e-4, atol=1e-7)
    way = np.random.default_rng(0).normal(size=values.shape)
    up, down = logit(np.stack([values + 1e-5 * way, values - 1e-5 * way]))
    assert (up - down) / 2e-5 == pytest.approx(float((slopes * way).sum()), rel=1e-5)


def test_a_batch_of_images_is_each_of_them():
    model = load_model("digits", {"dtype": "float64"})
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    logit = class_logit(model.transformer, 4)
    one_by_one = [logit(image[None])[0] for image in images]
    np.testing.assert_allclose(logit(images), one_by_one, atol=1e-12)


def test_files(call, tmp_path):
    for suffix in (".png", ".svg", ".md", ".csv", ".npz"):
        assert call("image", DIGITS[0], "-o", f"x{suffix}").code == 0
        assert (tmp_path / f"x{suffix}").stat().st_size > 500
    assert call("show", "x.npz", "-s", "L1.H0").code == 0


def test_a_choice_of_heads(call):
    out = call("image", DIGITS[0], "-s", "L1.H0,H2").out
    assert "   H0       H2" in out
    content = json.loads(call("image", DIGITS[0], "--json").out)
    call("image", DIGITS[0], "-s", "L0.H1", "-s", "L1.H0,H2", "-o", "x.csv")
    with open("x.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {row["view"] for row in rows} - {"image", "saliency"}
    assert {"L0 H1", "L1 H0", "L1 H2"} <= names
    assert not {"L0 H0", "L1 H1"} & names
    shown = [float(row["value"]) for row in rows if row["view"] == "L1 H2"]
    exact = content["arrays"]["encoder.1.self/weights"][2][0][1:]
    np.testing.assert_allclose(shown, exact, atol=1e-6)


def test_a_mask_of_ones_own():
    mask = np.eye(17, dtype=bool)
    trace = attnviz.run(image=DIGITS[0], model="digits", mask=mask)
    np.testing.assert_allclose(trace.records[0].weights[0], np.eye(17), atol=1e-6)
    dark = attnviz.run(image=DIGITS[0].with_name("4-dark-on-white.png"), model="digits").model
    assert any("dark on light" in note for note in dark.notes)
    with pytest.raises(attnviz.AttnvizError, match="not two of them"):
        attnviz.run(image=DIGITS[0], model="digits", pair="x")


def test_bad_input(call, tmp_path):
    (tmp_path / "no.png").write_text("no")
    Image.new("L", (1, 1)).save(tmp_path / "one.png")
    for arguments, message in (
        (("no.png",), "is not an image"),
        (("nothing.png",), "does not exist"),
        ((DIGITS[0], "-m", "tagger"), "reads text"),
        ((DIGITS[0], "-s", "L7"), "no such layer"),
        ((DIGITS[0], "--text", "a three"), "does not compare images with texts"),
    ):
        done = call("image", *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 2
    done = call("image", "one.png")
    assert done.code == 0
    assert "the same brightness" in " ".join(done.out.split())
    assert call("run", "hello", "-m", "digits").code == 2


@pytest.fixture
def vit(tmp_path):
    """A ViT for 12 × 12 pixels in colour, cut into 4 × 4 patches, and an image for it."""
    folder = tmp_path / "vit"
    shutil.copytree(GOLDEN / "families" / "vit", folder)
    (folder / "preprocessor_config.json").write_text('{"size": 12}')
    shutil.copy(GOLDEN / "images" / "rgb.png", tmp_path / "photo.png")
    return folder


def test_a_checkpoint_in_colour(call, vit):
    content = json.loads(call("image", "photo.png", "-m", "vit", "--json").out)
    trace = attnviz.run(image="photo.png", model="vit", logits=True)
    np.testing.assert_allclose(
        content["arrays"]["encoder.1.self/weights"], trace["encoder.1.self"].weights, atol=1e-6
    )
    assert np.shape(content["arrays"]["image"]) == (12, 12, 3)
    assert np.shape(content["arrays"]["saliency"]) == (4, 4)
    assert content["answer"]["label"] == f"LABEL_{int(trace.logits[0].argmax())}"
    assert any("resized from 17 × 23 to 12 × 12" in note for note in content["answer"]["notes"])
    done = call("image", "photo.png", "-m", "vit", "-o", "x.png")
    assert (done.code, done.err) == (0, "wrote x.png\n")


def test_the_saliency_is_the_drop_of_the_logit(call, vit):
    content = json.loads(call("image", "photo.png", "-m", "vit", "--json").out)
    model = load_model("vit")
    values = read_image(model, "photo.png").values
    label = model.labels.index(content["answer"]["label"])
    hidden = values.copy()
    hidden[:, 3:6, 9:12] = values.mean((1, 2))[:, None, None]
    whole, without = (
        attnviz.run(image=image, model=model, logits=True).logits[0, label]
        for image in (values, hidden)
    )
    assert content["arrays"]["saliency"][1][3] == pytest.approx(whole - without, abs=1e-5)


def test_what_costs_much_is_asked_for(call, vit, monkeypatch):
    monkeypatch.setattr("attnviz.cli.commands.image.AFFORDABLE", 1000)
    left_out = call("image", "photo.png", "-m", "vit").out
    assert "one pass for each of 16 patches" in " ".join(left_out.split())
    assert "depends on" not in left_out
    assert "depends on" in call("image", "photo.png", "-m", "vit", "--saliency").out
    assert "saliency" not in call("image", "photo.png", "-m", "vit", "--no-saliency").out


def test_where_a_patch_looks(call, vit):
    call("image", "photo.png", "-m", "vit", "--patch", "2,1", "-o", "x.csv")
    with open("x.csv", encoding="utf-8") as file:
        shown = [float(row["value"]) for row in csv.DictReader(file) if row["view"] == "L1 H2"]
    weights = attnviz.run(image="photo.png", model="vit")["encoder.1.self"].weights
    np.testing.assert_allclose(shown, weights[2, 1 + 2 * 4 + 1, 1:], atol=1e-6)
    assert "where patch 2,1 looks" in call("image", "photo.png", "-m", "vit", "--patch", "2,1").out
    for wrong in ("4,0", "0,-1", "3", "a,b"):
        done = call("image", "photo.png", "-m", "vit", "--patch", wrong)
        assert done.code == 2
        assert "--patch" in done.err


def test_a_backbone(call, vit):
    tensors = load_file(vit / "model.safetensors")
    kept = {name: array for name, array in tensors.items() if "classifier" not in name}
    save_file(kept, vit / "model.safetensors")
    done = call("image", "photo.png", "-m", "vit")
    assert "the model has no classifier" in done.out
    assert "depends on" not in done.out
    assert "saliency" not in json.loads(call("image", "photo.png", "-m", "vit", "--json").out)
    done = call("image", "photo.png", "-m", "vit", "--saliency")
    assert done.code == 2
    assert "no classifier" in done.err


@pytest.mark.parametrize("arguments", [(), ("--patch", "2,1"), ("-s", "L1.H2,H0")])
def test_where_matrices_are_too_large_the_picture_is_the_same(call, vit, arguments):
    whole = call("image", "photo.png", "-m", "vit", *arguments, "-o", "whole.csv")
    short = call("image", "photo.png", "-m", "vit", *arguments, "--memory", "1B", "-o", "short.csv")
    assert (whole.code, short.code) == (0, 0)
    with open("whole.csv", encoding="utf-8") as one, open("short.csv", encoding="utf-8") as other:
        tables = [list(csv.DictReader(file)) for file in (one, other)]
    values = [[float(row.pop("value")) for row in table] for table in tables]
    assert tables[0] == tables[1]
    np.testing.assert_allclose(*values, atol=1e-6)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits_the_screen(call, vit, width):
    for color in ("always", "never"):
        out = call("image", "photo.png", "-m", "vit", "--width", width, "--color", color).out
        plain = re.sub(r"\x1b\[[0-9;]*m", "", out)
        assert max(map(len, plain.splitlines())) <= width
