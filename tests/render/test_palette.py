"""The palette measured from outside: OKLab and colour-blindness as their papers give them."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from attnviz.render.palette import (
    BACKGROUNDS,
    COLOURS,
    category,
    diverging,
    luminance,
    of_256,
    sequential,
    text_is_black,
    xterm,
)

LEVELS = np.linspace(0, 1, 51)
RAMPS = {
    "sequential": sequential,
    "above zero": diverging,
    "below zero": lambda level, background: diverging(-level, background),
}
# Machado, Oliveira and Fernandes 2009, severity 1, on linear sRGB
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
          [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
TO_LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
          [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip


def oklab(colours, blindness="none"):
    """sRGB [n, 3] of bytes as an eye sees them, in OKLab (Ottosson 2020)."""
    c = np.asarray(colours, float) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(BLINDNESS[blindness]), 0, 1)
    return np.cbrt(seen @ np.transpose(TO_LMS)) @ np.transpose(TO_LAB)


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", RAMPS)
def test_lightness_grows_linearly_with_the_level(name, background):
    lightness = oklab([RAMPS[name](level, background) for level in LEVELS])[:, 0]
    straight = lightness[0] + (lightness[-1] - lightness[0]) * LEVELS
    np.testing.assert_allclose(lightness, straight, atol=0.006)
    assert abs(lightness[-1] - lightness[0]) > 0.6


def test_level_zero_is_the_background_itself():
    assert sequential(0, "light") == diverging(0, "light") == (255, 255, 255)
    for background in BACKGROUNDS:
        assert of_256(0.04, background) is of_256(-0.04, background, signed=True) is None
        assert of_256(0.08, background) is not None
    for ramp in RAMPS.values():
        assert luminance(ramp(0, "dark")) < 0.012


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", RAMPS)
def test_the_256_colours_follow_the_ramp(name, background):
    """Distinct and in order, and none far from the colour that it stands for."""
    colours = COLOURS[background]
    numbers = {"sequential": colours.sequential, "above zero": colours.above,
               "below zero": colours.below}[name]  # fmt: skip
    exact = [RAMPS[name](step / len(numbers), background) for step in range(1, len(numbers) + 1)]
    wanted, taken = oklab(exact), oklab([xterm(number) for number in numbers])
    assert np.abs(wanted - taken)[:, 0].max() < 0.06
    assert np.linalg.norm(wanted - taken, axis=1).max() < 0.125
    steps = np.diff(taken[:, 0]) * (1 if background == "dark" else -1)
    assert steps.min() > 0.012


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_levels_stay_in_order_for_every_eye(blindness, background):
    way = 1 if background == "dark" else -1
    for ramp in RAMPS.values():
        colours = [ramp(level, background) for level in LEVELS[::5]]
        assert (np.diff(oklab(colours, blindness)[:, 0]) * way).min() > 0.02
    for ramp in (COLOURS[background].sequential, COLOURS[background].above,
                 COLOURS[background].below):  # fmt: skip
        seen = oklab([xterm(number) for number in ramp], blindness)
        assert (np.diff(seen[:, 0]) * way).min() > 0.03
        assert min(np.linalg.norm(a - b) for a, b in pairwise(seen)) > 0.03


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_above_and_below_zero_are_told_apart_by_every_eye(blindness, background):
    for level in (0.3, 0.5, 1.0):
        above, below = oklab(
            [diverging(level, background), diverging(-level, background)], blindness
        )
        assert np.linalg.norm(above - below) > 0.08


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_masked_broken_and_categories_are_told_apart_by_every_eye(blindness, background):
    colours = COLOURS[background]
    ramp = [xterm(n) for n in colours.sequential]
    own = [xterm(colours.masked), xterm(colours.broken)]
    for colour in own:
        distances = np.linalg.norm(oklab([colour], blindness) - oklab(ramp, blindness), axis=1)
        assert distances.min() > 0.03
    names = oklab([category(i, background) for i in range(len(colours.categories))], blindness)
    assert min(np.linalg.norm(a - b) for a, b in combinations(names, 2)) > 0.06


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_texts_can_be_read(background):
    """On every cell, and what has no cell on any background of its kind."""
    colours = COLOURS[background]
    cells = [ramp(level, background) for ramp in RAMPS.values() for level in LEVELS]
    numbers = (*colours.sequential, *colours.above, *colours.below, colours.broken)
    for colour in (*cells, *map(xterm, numbers)):
        text = (0, 0, 0) if text_is_black(colour) else (255, 255, 255)
        assert contrast(colour, text) >= 4.5
    grounds = {"dark": ((0, 0, 0), (40, 42, 54)), "light": ((255, 255, 255), (253, 246, 227))}
    for ground in grounds[background]:
        assert contrast(xterm(colours.faint), ground) >= 3
        for number in colours.categories:
            assert contrast(xterm(number), ground) >= 2.9
    assert contrast(xterm(colours.masked), xterm(colours.masked_sign)) >= 4.5


def test_faint_numbers_can_be_read_where_the_background_was_guessed_wrong():
    assert contrast(xterm(COLOURS["dark"].faint), (255, 255, 255)) >= 3
    assert contrast(xterm(COLOURS["light"].faint), (0, 0, 0)) >= 3
