"""Matplotlib's settings of a figure: what a sheet may change, and what nothing does."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

from attnviz.errors import AttnvizError
from attnviz.render import render
from attnviz.render.figure.settings import FIXED, font_family, own_map, settings, sheet_settings
from attnviz.render.style import FigureStyle
from tests.render.figure.drawing import square


def test_nothing_outlives_the_figure():
    before = dict(matplotlib.rcParams)
    with settings(FigureStyle(font_size=20, cmap="magma")):
        assert matplotlib.rcParams["font.size"] == 20
        assert own_map("sequential").name == "magma"
        assert own_map("diverging") is None
    assert dict(matplotlib.rcParams) == before
    assert own_map("sequential") is None


def test_a_sheet_is_followed_but_where_labels_would_break(tmp_path):
    sheet = tmp_path / "s.mplstyle"
    sheet.write_text(
        "font.size: 11\ntext.usetex: True\ntext.parse_math: True\nsvg.fonttype: path\n"
        "backend: pdf\nimage.cmap: RdBu\nfont.family: serif\n"
    )
    assert "backend" not in sheet_settings(sheet)
    with settings(FigureStyle(sheet=sheet)):
        assert matplotlib.rcParams["font.size"] == 11
        assert matplotlib.rcParams["svg.fonttype"] == "path"
        assert matplotlib.rcParams["font.family"] == ["serif"]
        assert own_map("diverging").name == "RdBu"
        assert {name: matplotlib.rcParams[name] for name in FIXED} == FIXED


@pytest.mark.parametrize(
    ("text", "said"), [("font.size: big\n", "font.size"), ("no.such: 1\n", "no.such"), ("x\n", "x")]
)
def test_a_sheet_that_is_none(tmp_path, text, said):
    sheet = tmp_path / "s.mplstyle"
    sheet.write_text(text)
    with pytest.raises(AttnvizError, match="--style") as error:
        sheet_settings(sheet)
    assert said in error.value.message
    assert "\n" not in error.value.message.strip()


def test_styles_by_name():
    assert sheet_settings(Path("ggplot"))


@pytest.mark.parametrize("name", ["serif", "DejaVu Serif", "dejavu sans"])
def test_fonts(name):
    assert font_family(name).casefold() == name.casefold()


def test_a_dark_page_has_light_letters(tmp_path):
    sheet = tmp_path / "s.mplstyle"
    sheet.write_text("figure.facecolor: black\n")
    content, _ = render([square()], ".svg", FigureStyle(sheet=sheet, title="t"))
    dark = content.decode()
    title = next(line for line in dark.splitlines() if ">t<" in line)
    assert "fill: #ffffff" in title
