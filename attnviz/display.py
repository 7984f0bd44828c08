"""A trace as a reader sees it, from Python: text, picture, page; and what a notebook shows of it.

Nothing below imports it but `Trace`, `Record`, `Attention`, `HeadTable` and `Diagnosis`, at the
moment when they are shown.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from attnviz.analysis.diagnose.diagnosis import Diagnosis
from attnviz.analysis.metrics.table import HeadTable
from attnviz.analysis.roles import roles
from attnviz.errors import AttnvizError
from attnviz.files import WholeFiles, check_writable
from attnviz.nn.attention import Attention
from attnviz.nn.site import RecordId, Site
from attnviz.render import FORMATS, render
from attnviz.tokens import Tokens
from attnviz.trace.record import ARRAY, ModelFacts, Record, Trace
from attnviz.trace.selection import parse_selection
from attnviz.views.attention import (
    attention_views,
    head_heatmap,
    stage_scale,
)
from attnviz.views.diagnosis import diagnosis_views
from attnviz.views.heads import head_table_view, usual_columns
from attnviz.views.kinds import View

Shown = Trace | Record | Attention | HeadTable | Diagnosis

FRAME_HEIGHT = 640
"""Pixels that a page has in a notebook; it scrolls."""


def views_of(
    shown: Shown, select: str | Sequence[str] = (), *, every_head: bool = False
) -> list[View]:
    """What `attnviz run` or `attnviz show` draw of it.

    Args:
        select: layers and heads, as for `-s`: `["L1.H3"]`.
    """
    if isinstance(shown, Diagnosis):
        return diagnosis_views(shown)
    if isinstance(shown, HeadTable):
        names = roles(shown)
        return [head_table_view(shown, names, usual_columns(shown, names))]
    trace = trace_of(shown)
    if isinstance(shown, Record) and shown.site.head is not None:
        scale = stage_scale(trace.records, "weights")
        heatmap = head_heatmap(trace, trace.records[0], 0, "weights", scale)
        return [heatmap._replace(title=f"{shown.id} L{shown.layer}.H{shown.site.head} · weights")]
    selection = parse_selection([select] if isinstance(select, str) else select)
    return attention_views(trace, selection, every_head=every_head)


def trace_of(shown: Trace | Record | Attention) -> Trace:
    """A trace; of a record, or of the stages of one attention, one without a model.

    Raises:
        AttnvizError: the stages have leading axes.
    """
    if isinstance(shown, Trace):
        return shown
    record = shown if isinstance(shown, Record) else _record(shown)
    if record.weights is None and record.summary is not None:
        n_q, n_k = record.summary.shape
    else:
        n_q, n_k = record.stage("weights").shape[-2:]
    streams = {record.queries: _indices(n_q), record.keys: _indices(n_k)}
    if len(streams) == 1 and n_q != n_k:
        streams = {"queries": _indices(n_q), "keys": _indices(n_k)}
        record = replace(record, site=replace(record.site, queries="queries", keys="keys"))
    return Trace(ModelFacts(str(record.id), ARRAY), streams, (record,))


def text(shown: Shown, select: str | Sequence[str] = (), *, width: int = 80) -> str:
    """What a terminal of so many columns shows, without colours."""
    from attnviz.render.terminal import render as draw
    from attnviz.render.terminal.screen import Screen

    return draw(views_of(shown, select), Screen(width)).decode()


def save(shown: Shown, path: Path, select: str | Sequence[str] = ()) -> None:
    """Write it in the format of the suffix: .png, .html, .svg, .md, … whole or not at all.

    Raises:
        AttnvizError: there is no such format, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise AttnvizError(
            f"{path}: unknown format {path.suffix or '(no suffix)'!r}",
            f"known: {', '.join(FORMATS)}",
        )
    check_writable(path)
    suffix = path.suffix.lower()
    content, _ = render(views_of(shown, select, every_head=suffix == ".html"), suffix)
    with WholeFiles() as files, files.open(path) as file:
        file.write(content)


def page(shown: Shown, select: str | Sequence[str] = ()) -> str:
    """The page, as HTML."""
    return render(views_of(shown, select, every_head=True), ".html")[0].decode()


def mime_bundle(
    shown: Shown, include: Collection[str] | None = None, exclude: Collection[str] | None = None
) -> dict[str, Any]:
    """What a notebook shows: the page in a frame of its own, so that several on one notebook do
    not meet; a picture where no script may run; a few lines of text where there is neither."""
    makers: dict[str, Callable[[], Any]] = {
        "text/plain": lambda: repr(shown),
        "image/png": lambda: render(views_of(shown), ".png")[0],
        "text/html": lambda: _frame(page(shown)),
    }
    bundle: dict[str, Any] = {}
    for kind in makers:
        if not _is_wanted(kind, include, exclude):
            continue
        try:
            bundle[kind] = makers[kind]()
        except AttnvizError as error:  # too large for a page, or nothing to draw
            if "text/plain" in bundle:
                bundle["text/plain"] = f"{shown!r}\n{error}"
    return bundle


def _is_wanted(kind: str, include: Collection[str] | None, exclude: Collection[str] | None) -> bool:
    return (not include or kind in include) and kind not in (exclude or ())


def _frame(page: str) -> str:
    """`sandbox` without `allow-same-origin`: the page can reach nothing of the notebook."""
    return (
        f'<iframe srcdoc="{html.escape(page, quote=True)}" sandbox="allow-scripts allow-downloads" '
        f'title="attnviz" style="width:100%;height:{FRAME_HEIGHT}px;border:0"></iframe>'
    )


def _record(stages: Attention) -> Record:
    if stages.weights.ndim != 3:
        shape = list(stages.weights.shape)
        raise AttnvizError(
            f"weights of the shape {shape} have leading axes; expected [n_head, n_q, n_k]",
            "show one of the batch: index q, k and v first",
        )
    n_head, n_kv_head = len(stages.weights), len(stages.k)
    site = Site(RecordId(ARRAY, 0, "self"), "queries", "queries", n_head, n_kv_head)
    mask = stages.mask if stages.mask.ndim in (2, 3) and not stages.mask.all() else None
    if mask is not None:
        site = replace(site, mask=("custom",))
    return Record(site, **{**stages._asdict(), "mask": mask})


def _indices(count: int) -> Tokens:
    return Tokens.of([f"#{i}" for i in range(count)])
