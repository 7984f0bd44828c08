"""`attnviz image`: an image, where the class token looks, what the answer hangs on."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

import attnviz
from attnviz.analysis.saliency import gradient
from attnviz.models import load_model
from attnviz.models.images import read_image
from attnviz.models.vision import class_logit, see
from tests.conftest import HERE

DIGITS = sorted((HERE.parent / "samples" / "digits").glob("*.png"))


@pytest.mark.parametrize("path", DIGITS, ids=lambda path: path.stem)
def test_the_samples(call, path):
    done = call("image", path)
    assert (done.code, done.err) == (0, "")
    assert f"answer   {path.stem[0]}, with probability" in done.out
    assert "where the class token looks" in done.out
    assert f"what the answer {path.stem[0]} hangs on" in done.out
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
    values = read_image(DIGITS[0], model.image).values
    label = int(see(model, DIGITS[0]).probabilities.argmax())
    logit = class_logit(model, label)
    slopes = gradient(logit, values)
    np.testing.assert_allclose(slopes, gradient(logit, values, 1e-5), rtol=1e-4, atol=1e-7)
    way = np.random.default_rng(0).normal(size=values.shape)
    up, down = logit(np.stack([values + 1e-5 * way, values - 1e-5 * way]))
    assert (up - down) / 2e-5 == pytest.approx(float((slopes * way).sum()), rel=1e-5)


def test_a_batch_of_images_is_each_of_them():
    model = load_model("digits", {"dtype": "float64"})
    images = np.random.default_rng(0).random((3, 8, 8))
    logit = class_logit(model, 4)
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
    assert any("dark on light" in note for note in dark["notes"])
    with pytest.raises(attnviz.AttnvizError, match="not both"):
        attnviz.run(image=DIGITS[0], model="digits", pair="x")


def test_bad_input(call, tmp_path):
    (tmp_path / "no.png").write_text("no")
    Image.new("L", (1, 1)).save(tmp_path / "one.png")
    for arguments, message in (
        (("no.png",), "is no image"),
        (("nothing.png",), "does not exist"),
        ((DIGITS[0], "-m", "tagger"), "reads text"),
        ((DIGITS[0], "-s", "L7"), "no such layer"),
    ):
        done = call("image", *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 2
    done = call("image", "one.png")
    assert done.code == 0
    assert "one brightness" in " ".join(done.out.split())
    assert call("run", "hello", "-m", "digits").code == 2
