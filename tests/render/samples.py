"""Views with exact values, and tokens that try to break a layout."""

from __future__ import annotations

import numpy as np

from attnviz.tokens import Tokens, label
from attnviz.views.kinds import (
    Axis,
    Curves,
    Grid,
    Heatmap,
    Line,
    Links,
    Picture,
    Scale,
    Table,
    Text,
    View,
    around_zero,
    indices,
)

HOSTILE = [
    "[/INST]", "[red]", "[mask]", "\\", "</s>", "a<b", "$x$", "\n", "\t", "", "</script>",
    "\x1b[31mred", "\u202eabc", "地", "👩\u200d👧", "e" + "\u0301" * 5, "שלום", "مرحبا", "🇫🇷",
    "\udc80", "|", "`", "_", "*", "&amp;", '"', "=1+1", "a" * 300, "नमस्ते", "\u200b", "\r\n", "\x07",
]  # fmt: skip


def axis(name: str, tokens: list[str]) -> Axis:
    return Axis(name, tuple(label(token) for token in tokens))


def causal(n: int) -> np.ndarray:
    """Weights 1/(i + 1) below the diagonal."""
    return np.tri(n) / np.arange(1, n + 1)[:, None]


def heatmap(n: int = 4, tokens: list[str] | None = None, **given: object) -> Heatmap:
    """A causal head that spreads evenly."""
    names = tokens or ["I", "saw", "a", "saw"] * (n // 4 + 1)
    values = {
        "title": "encoder.0.self L0.H0 · weights",
        "values": causal(n),
        "rows": axis("query", names[:n]),
        "columns": axis("key", names[:n]),
        "masked": (1 - np.tri(n)).astype(np.uint8),
        "reasons": ("causal",),
        "pooling": "mass",
    }
    return Heatmap(**{**values, **given})


def two_reasons() -> Heatmap:
    masked = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [2, 0, 0, 1], [2, 2, 0, 0]], np.uint8)
    values = np.where(masked == 0, 0.5, 0.0)
    return heatmap(values=values, masked=masked, reasons=("causal", "window:size=2"))


def differences() -> Heatmap:
    values = np.array([[-1.0, 0.0, 0.25], [0.5, 1.0, -0.25]])
    return Heatmap("b - a · weights", values, axis("query", ["x", "y"]), axis("key", list("abc")),
                   around_zero(values))  # fmt: skip


def broken() -> Heatmap:
    values = np.array([[np.nan, 0.5], [np.inf, 0.0]])
    return Heatmap("broken", values, axis("query", ["x", "y"]), axis("key", ["x", "y"]))


def links(right: list[str] | None = None) -> Links:
    """Two words written, four characters read; one weight is too small for a line."""
    values = np.array([[0.9, 0.06, 0.04, 0.0], [0.0, 0.2, 0.5, 0.3]])
    return Links("alignment", values, axis("written", right or ["Good", "morning"]),
                 axis("source", list("早上好！")))  # fmt: skip


def picture() -> Picture:
    """A bar of light on black, and two maps."""
    image = np.zeros((8, 8))
    image[1:7, 3:5] = 1
    maps = (np.arange(16).reshape(4, 4) / 16, np.eye(4))
    return Picture(
        "where it looks", image, (maps,), ("L0",), ("H0", "H1"), Scale(0, 1), ("a note",)
    )


def every_kind() -> list[View]:
    """One of each, with everything in it."""
    return [
        Text((Line("random, encoder", "model", "head"), Line("random weights", "", "note"),
              Line("0 I  1 saw", "tokens"), Line("a row sums to 2", "warning", "warning"))),
        Grid("all heads", ((heatmap(), heatmap()), (heatmap(), None)), ("L0", "L1"), ("H0", "H1")),
        heatmap(),
        differences(),
        Table("numbers", ("name", "value", "note"), (("a", 0.25, "some words"),
              ("b", 12345.678, ""), ("c", None, "x")), ("a note below",)),
        Curves("curves", np.arange(8), "position", (("up", np.arange(8.0)),
               ("down", -np.arange(8.0))), "y"),
        links(),
        picture(),
    ]  # fmt: skip


def hostile_views() -> list[View]:
    """Every kind of view with hostile tokens wherever a user's text can stand."""
    n = len(HOSTILE)
    labels = Tokens.of(HOSTILE).labels
    return [
        Text((Line("  ".join(labels), "tokens"),)),
        heatmap(n, HOSTILE),
        heatmap(3, HOSTILE[-3:]),
        Grid("grid", ((heatmap(n, HOSTILE),),), ("L0",), ("H0",)),
        Table("tokens", ("position", "token"), tuple((i, label) for i, label in enumerate(labels))),
        Heatmap("wide", np.ones((1, n)), axis("query", ["[/INST]"]), axis("key", HOSTILE)),
        links(HOSTILE[:2]),
        Links("hostile", np.eye(n), axis("a", HOSTILE), axis("b", HOSTILE)),
        Heatmap("tall", np.ones((n, 1)), axis("query", HOSTILE), indices("dimension", 1)),
    ]


def log_scale() -> Heatmap:
    values = np.array([[1.0, 0.1], [0.001, 0.0]])
    return Heatmap("log", values, axis("query", list("ab")), axis("key", list("ab")),
                   Scale(0, 1, by="log"))  # fmt: skip
