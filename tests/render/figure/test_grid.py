"""Many panels in one picture: each cell has the colour that it has alone, nothing stands between."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from attnviz.render.figure.canvas import Canvas
from attnviz.render.figure.colours import pixels
from attnviz.render.figure.grid import GAP, draw_grid, grid_notes, plan_grid
from attnviz.render.style import PLAIN, FigureStyle
from attnviz.views.kinds import Axis, Grid, Heatmap, indices


def test_cells_of_panels_of_several_sizes(generator):
    """The middle of every cell, and of every gap, as drawn."""
    sizes = [[(5, 3), (2, 3), (5, 2)], [(3, 3), None, (5, 3)]]
    heatmaps = [
        [
            size
            and Heatmap("", generator.random(size), indices("q", size[0]), indices("k", size[1]))
            for size in line
        ]
        for line in sizes
    ]
    grid = Grid("", tuple(map(tuple, heatmaps)), ("", ""), ("", "", ""))
    plan = plan_grid(grid, PLAIN)
    figure = Figure((plan.width, plan.height), dpi=100)
    canvas = Canvas(figure)
    draw_grid(figure.add_axes((0, 0, 1, 1)), plan)
    canvas.draw()
    seen = np.asarray(canvas.buffer_rgba())[..., :3]
    across, down = plan.cell[0] * 100, plan.cell[1] * 100
    for panel in plan.panels:
        x, y = (100 * place for place in plan.corner(panel.row, panel.column))
        expected = pixels(panel.heatmap)
        for (i, j), _ in np.ndenumerate(panel.heatmap.values):
            cell = seen[int(y + (i + 0.5) * down), int(x + (j + 0.5) * across)]
            assert np.abs(cell.astype(int) - expected[i, j, :3]).max() <= 1
    missing = plan.corner(1, 1)
    assert (seen[int(100 * missing[1]) + 5, int(100 * missing[0]) + 5] == 255).all()
    assert (seen[20, int(100 * (plan.panel[0] + GAP / 2))] == 255).all()


def test_cells_that_stand_for_several_are_said():
    axis = Axis("key", ("a", "b", "c"), step=256, end=700)
    panel = Heatmap("", np.zeros((3, 3)), axis, axis, notes=("of one head",), pooling="mass")
    grid = Grid("", ((panel, panel),), ("L0",), ("H0", "H1"))
    note = "each cell: 256 × 256 of 700 × 700, summed over keys, averaged over queries"
    for style in (PLAIN, FigureStyle(bare=True)):
        notes = grid_notes(plan_grid(grid, style), grid, style)
        assert note in notes
        assert "of one head" not in notes
