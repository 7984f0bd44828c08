"""The canvas of our figures: Matplotlib's, with a PNG file of our own."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from attnviz.render.figure.png_file import png_file


class Canvas(FigureCanvasAgg):
    def print_png(self, filename_or_obj: Any, *, metadata: Any = None, **_: Any) -> None:
        """What `savefig` calls for PNG."""
        FigureCanvasAgg.draw(self)  # type: ignore[no-untyped-call]
        pixels = np.asarray(self.buffer_rgba())  # type: ignore[no-untyped-call]
        filename_or_obj.write(png_file(pixels, self.figure.dpi, metadata or {}))
