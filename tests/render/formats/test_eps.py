"""EPS: the box of a font, which Matplotlib finds by drawing all of its letters."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont
from matplotlib.backends import backend_ps

from attnviz.render.formats import eps

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


@pytest.mark.parametrize("name", ["cmr10", "DejaVuSansDisplay", "STIXSizOneSymReg"])
def test_the_box_in_the_header_is_that_of_all_letters(name: str) -> None:
    with TTFont(FONTS / f"{name}.ttf") as font:
        assert eps._box_in_header(font) == pytest.approx(backend_ps._bounds(font), abs=1)
