"""One HTML file that opens anywhere: no request, no framework, all numbers inside."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from attnviz.language import SOURCE, language, say
from attnviz.render.html.colours import page_colours
from attnviz.render.html.page_data import Described, describe
from attnviz.render.html.words import words
from attnviz.views.kinds import View

MODULES = (
    *("dom", "data", "paint", "matrix_data", "matrix_view", "links_view", "text_view"),
    *("long_text", "panel", "explorer", "static_views", "main"),
)
"""The scripts, each after those that it imports from."""

IMPORT = re.compile(r"^import\b[^;]*;\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=class|const|function|async)", re.MULTILINE)


def render(views: Sequence[View]) -> tuple[bytes, tuple[str, ...]]:
    """The page, and a word on what it leaves out.

    Raises:
        AttnvizError: it would be too large.
    """
    described = describe(views)
    script, style = _script(), _read("page.css")
    page = Template(_read("page.html")).substitute(
        language=language(),
        policy=_policy(script, style),
        title=html.escape(described.title),
        style=style,
        no_script=html.escape(
            say(
                "This page of attnviz shows attention: the weights that a model gave. It needs "
                "JavaScript, which is off; the picture is the first of its heads."
            )
        ),
        picture=_picture(views),
        blocks="".join(_block(name, *content) for name, content in described.blocks.items()),
        page=_json(_content(described)),
        script=script,
    )
    return page.encode("utf-8", "replace"), described.warnings


def _content(described: Described) -> dict[str, Any]:
    return {
        "title": described.title,
        "language": language(),
        "words": words() if language() != SOURCE else {},
        "colours": page_colours(),
        "axes": described.axes,
        "grids": described.grids,
        "views": described.views,
        "first": described.first,
        "about": described.about,
        "digits": described.digits,
    }


def _read(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")


def _script() -> str:
    """All modules as one, which needs no address to load the others from."""
    parts = [EXPORT.sub("", IMPORT.sub("", _read(f"{name}.js"))) for name in MODULES]
    return "\n" + "\n".join(part.strip() for part in parts) + "\n"


def _policy(script: str, style: str) -> str:
    """What the browser lets the page do: run this script and no other, and ask nobody."""
    script_hash, style_hash = map(_sha256, (script, style))
    return (
        f"default-src 'none'; script-src '{script_hash}'; style-src '{style_hash}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _block(name: str, kind: str, data: bytes) -> str:
    return f'<div id="{name}" data-type="{kind}">{base64.b64encode(data).decode()}</div>\n'


def _json(content: dict[str, Any]) -> str:
    """JSON that holds neither the end of a script nor the beginning of a comment."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _picture(views: Sequence[View]) -> str:
    """The first heatmap as an image, for readers without JavaScript."""
    from attnviz.render.html.page_data import first_heatmap

    heatmap = first_heatmap(views)
    if heatmap is None:
        return ""
    from attnviz.render import render as render_as

    content, _ = render_as([heatmap], ".png")
    name = html.escape(heatmap.title, quote=True)
    return f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
