"""--plot, folders of pictures, and the options of figures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz.cli.figure_options import read_size

RUN = ("run", "I saw a saw", "-m", "random:heads=2")


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((*RUN, "--plot"), "all-heads.png"),
        (("run", "--plot", "I saw a saw", "-s", "L1.H3"), "L1.H3-weights.png"),
        ((*RUN, "-s", "L0", "--stage", "scores", "--plot", "--bare"), "heads-scores.png"),
        (("decode", "早上", "-m", "phrases", "--plot"), "alignment.png"),
        (("decode", "早上", "-m", "phrases", "--plot", "-s", "decoder.0.self.H1"), "decoder.0.self.H1-weights.png"),
        (("encode", "positions", "--plot"), "positions-sinusoidal.png"),
        (("encode", "tokens", "hi", "--plot"), "tokens.png"),
        (("compare", "dot", "scaled_dot", "--plot"), "dot-scaled_dot.png"),
        (("flow", "I saw", "--plot"), "rollout.png"),
        (("heads", "I saw a saw", "--plot"), "encoder-self-entropy-by-layer-and-head.png"),
        (("explain", "I saw", "-s", "L0.H1", "--cell", "1,1", "--plot"), "L0.H1-weights.png"),
        (("diff", "I saw a", "I saw it", "-s", "L0.H1", "--plot"), "encoder.0.self.H1-difference.png"),
        (("run", "hi", "--plot", ".svg"), "all-heads.svg"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) else None,
)  # fmt: skip
def test_plot_writes_one_picture_here_and_prints_its_path_alone(call, tmp_path, arguments, name):
    done = call(*arguments)
    assert (done.code, done.err, done.out) == (0, "", f"{tmp_path / name}\n")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_plot_of_an_image_does_not_eat_the_image(call, tmp_path):
    digit = Path(__file__).parents[2] / "samples" / "digits" / "3.png"
    before = digit.read_bytes()
    done = call("image", "--plot", digit)
    assert (done.code, Path(done.out.strip()).parent) == (0, tmp_path)
    assert digit.read_bytes() == before


@pytest.mark.parametrize("place", range(2, 5))
def test_plot_takes_a_file_wherever_it_stands(call, tmp_path, place):
    arguments = ["run", "I saw", "-s", "L0.H0"]
    done = call(*arguments[:place], "--plot", "p.pdf", *arguments[place:])
    if place == 3:  # between an option and its value
        assert done.code == 2
        return
    assert (done.code, done.out, done.err) == (0, "", "wrote p.pdf\n")
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


def test_plot_with_json_keeps_stdout_json(call):
    done = call(*RUN, "--plot", "--json")
    assert done.out.startswith("{")
    assert done.err.startswith("wrote ")


def test_a_folder_gets_every_picture_by_name(call, tmp_path):
    done = call(*RUN, "-s", "L0", "-o", "new/")
    assert done.code == 0
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "L0.H0-weights.png", "L0.H1-weights.png", "heads.png"
    ]  # fmt: skip
    assert call("encode", "positions", "-o", tmp_path / "new" / ".eps").code == 0
    eps = [p.name for p in (tmp_path / "new").iterdir() if p.suffix == ".eps"]
    assert sorted(eps) == ["dimensions.eps", "encoding.eps", "similarity.eps"]


def test_several_texts_are_told_apart_by_what_they_say(call, tmp_path):
    assert call("run", "I saw", "a cat", "-s", "L0.H0", "-o", ".", "-o", "x.png").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "I-saw-L0.H0-weights.png", "a-cat-L0.H0-weights.png", "x-0-I-saw.png", "x-1-a-cat.png"
    ]  # fmt: skip
    done = call("run", "I saw", "I saw", "-s", "L0.H0", "--plot")
    assert [Path(line).name for line in done.out.splitlines()] == [
        "I-saw-L0.H0-weights.png", "I-saw-2-L0.H0-weights.png"
    ]  # fmt: skip


def test_a_folder_of_no_picture(call, tmp_path):
    done = call("heads", "I saw", "-o", "new/")
    assert done.code == 2
    assert "this output has no picture" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["3.5x2.5", "column", "89x60mm", "page"])
@pytest.mark.parametrize("selected", ["L0.H0", "L0"])
def test_the_size_is_the_size_that_is_asked_for(call, tmp_path, size, selected):
    assert call(*RUN, "-s", selected, "--plot", "p.png", "--size", size, "--dpi", "150").code == 0
    width, height = read_size(size)
    found = opened(tmp_path / "p.png")
    assert found.size[0] == pytest.approx(150 * width, abs=1)
    assert height is None or found.size[1] == pytest.approx(150 * height, abs=1)
    assert found.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_a_bare_picture_says_nothing(call, tmp_path):
    call(*RUN, "-s", "L0.H0", "--plot", "full.svg")
    call(*RUN, "-s", "L0.H0", "--plot", "bare.svg", "--bare")
    full, bare = ((tmp_path / name).read_text() for name in ("full.svg", "bare.svg"))
    assert ">encoder.0.self L0.H0 · weights<" in full
    assert "encoder.0.self" not in bare
    assert full.count("<image") == 2
    assert bare.count("<image") == 1
    assert ">saw<" in bare


def test_fonts_title_values_and_colours(call, tmp_path):
    arguments = ("--font", "dejavu serif", "--font-size", "11", "--title", "a_$b$", "--no-values")
    assert call(*RUN, "-s", "L0.H0", "--plot", "p.svg", *arguments, "--cmap", "magma").code == 0
    text = (tmp_path / "p.svg").read_text()
    assert ">a_$b$<" in text
    assert "11px" in text
    assert "'DejaVu Serif'" in text
    assert "colours: magma" in text
    assert not re.search(r">0\.\d\d<", text)


def test_transparent_and_style(call, tmp_path):
    (tmp_path / "s.mplstyle").write_text("font.size: 13\nfigure.facecolor: black\n")
    assert call(*RUN, "--plot", "t.webp", "--transparent").code == 0
    assert np.asarray(opened(tmp_path / "t.webp").convert("RGBA"))[0, 0, 3] == 0
    assert call(*RUN, "--plot", "s.png", "--style", "s.mplstyle").code == 0
    assert tuple(np.asarray(opened(tmp_path / "s.png").convert("RGB"))[0, 0]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bare",), "--bare is about figures, and none is written"),
        (("-o", "x.npz", "--dpi", "100"), "--dpi is about figures"),
        (("--plot", "--cmap", "virdis"), "did you mean `viridis`?"),
        (("--plot", "--cmap", "tab10"), "for categories"),
        (("--plot", "--cmap", "twilight"), "ends in the colour in which it begins"),
        (("--plot", "--size", "big"), "--size: cannot read 'big'"),
        (("--plot", "--size", "0x3"), "--size: expected 0.5 to 100 inches"),
        (("--plot", "--size", "1..2"), "--size: cannot read"),
        (("--plot", "--size", "0.9x0.5"), "no room for"),
        (("--plot", "--dpi", "0"), "--dpi: expected 20 to 2400"),
        (("--plot", "--font", "Comic Snas"), "is not installed"),
        (("--plot", "--font", "no.ttf"), "not a font"),
        (("--plot", "--font-size", "nan"), "--font-size: expected"),
        (("--plot", "--style", "no.mplstyle"), "there is no file no.mplstyle"),
        (("--plot", "--style", "ggplt"), "did you mean `ggplot`?"),
        (("--plot", "--grid", "4"), "--grid: expected ROWSxCOLUMNS"),
        (("--plot", "--grid", "1x1"), "no room for 4 panels"),
        (("--plot=x.csv",), "not a picture"),
        (("--plot=no/x.png",), "the folder no does not exist"),
        (("--plot", "x.jpg", "--transparent"), "a JPEG has a background"),
        (("-o", "new/", "--title", "t"), "a folder gets several"),
        (("-o", "no/no/",), "does not exist"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) else None,
)  # fmt: skip
def test_errors(call, tmp_path, arguments, said):
    done = call(*RUN, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-s", "L0.H0", "--grid", "2x2"), "--grid has no effect"),
        (("-s", "L0.H0", "--stage", "scores", "--cmap", "magma"), "--cmap magma has no effect"),
        (("-s", "L0.H0", "--cmap", "RdBu_r"), "--cmap RdBu_r has no effect"),
        (("--no-values",), "--no-values has no effect"),
    ],
)
def test_what_has_no_effect_says_so(call, arguments, said):
    stages = ("--keep", "scores")
    done = call(*RUN, *stages, "--plot", "p.png", *arguments)
    assert done.code == 0
    assert f"warning: {said}" in done.err


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".svg", ".pdf", ".eps"])
def test_the_same_bytes_twice(call, tmp_path, suffix):
    for name in ("a", "b"):
        assert (
            call(*RUN, "--plot", name + suffix, "--cmap", "viridis", "--size", "column").code == 0
        )
    a, b = ((tmp_path / (name + suffix)).read_bytes() for name in ("a", "b"))
    assert a == b


def test_fonts_in_files_for_print_are_true_type(call, tmp_path):
    call(*RUN, "-o", "p.pdf", "-o", "p.eps")
    pdf, eps = (tmp_path / "p.pdf").read_bytes(), (tmp_path / "p.eps").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"/FontType 42 def" in eps
    assert b"CreationDate" not in eps + pdf


def test_pictures_of_pixels_open(call, tmp_path):
    call(*RUN, "-o", "p.jpg", "-o", "p.webp")
    for name, kind in (("p.jpg", "JPEG"), ("p.webp", "WEBP")):
        found = opened(tmp_path / name)
        assert found.format == kind
        assert min(found.size) > 300
