"""One weight and every number behind it."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.cell import Cell, largest_places
from attnviz.language import say
from attnviz.trace.record import Record, Trace
from attnviz.views.attention import header, matrix_numbers
from attnviz.views.kinds import Line, Table, Text, Value, View

MAX_PRODUCTS = 16


def cell_views(trace: Trace, record: Record, cell: Cell) -> list[View]:
    """The sum, the row it is normalised over, and what it moves."""
    query = trace.streams[record.queries].labels[cell.query]
    key = trace.streams[record.keys].labels[cell.key]
    grouped = f", key/value head {cell.kv_head}" if record.n_kv_head != record.n_head else ""
    title = f"{cell.id} H{cell.head}{grouped}: query {cell.query} {query}, key {cell.key} {key}"
    views: list[View] = [header(trace), Text((Line(title, "cell", "head"),))]
    if cell.products is not None:
        views.append(_products(cell))
    return [*views, _steps(cell), _row(trace, record, cell), _moved(cell)]


def choice_text(chose_head: bool, chose_cell: bool) -> Text:
    """What was chosen for the reader, and why."""
    if not chose_cell:
        text = say("the most informative head: its rows differ most; another: -s L0.H1")
    elif not chose_head:
        text = say("this head's largest weight between ordinary tokens; another: --cell 3,1")
    else:
        text = say(
            "the most informative head, and its largest weight between ordinary tokens; others: "
            "-s L0.H1, --cell 3,1"
        )
    return Text((Line(text, say("chosen"), "note"),))


def _products(cell: Cell) -> Table:
    assert cell.products is not None
    order = largest_places(cell.products, MAX_PRODUCTS)
    chosen = np.sort(order) if len(cell.products) <= MAX_PRODUCTS else order
    rows: list[tuple[Value, ...]] = [(int(i), float(cell.products[i])) for i in chosen]
    left = len(cell.products) - len(chosen)
    if left:
        rest = float(cell.products.sum() - cell.products[order].sum())
        rows.append((f"the other {left}", rest))
    rows.append(("sum = q · k", float(cell.products.sum())))
    unit = " of unit vectors" if cell.score_name == "cosine" else ""
    return Table(f"products q_i · k_i{unit}", ("dimension", "product"), tuple(rows))


def _steps(cell: Cell) -> Table:
    row_exp = cell.row_exp
    rows: list[tuple[Value, ...]] = [
        (f"similarity ({cell.score_name})", cell.product, ""),
        ("scale", cell.scale, ""),
        ("score", cell.score, "similarity × scale"),
    ]
    if cell.softcap is not None:
        rows.append(("capped", cell.capped, f"{cell.softcap:g} · tanh(score / {cell.softcap:g})"))
    rows.append(("bias", cell.bias, "" if cell.bias else "none is added"))
    hidden = "visible" if cell.reason is None else f"masked by {cell.reason}"
    rows += [
        ("mask", hidden, ""),
        ("logit", cell.logit, "what enters the softmax"),
        ("row's largest logit", cell.row_max, "taken away before exp, so that exp cannot overflow"),
        ("exp(logit - largest)", float(row_exp[cell.key]), ""),
        ("row's sum of these", cell.row_sum, f"over {cell.n_visible} visible keys"),
        ("weight", cell.weight, "exp / sum" if cell.row_sum else "the query sees no key"),
    ]
    return Table("from similarity to weight", ("step", "value", "how"), tuple(rows))


def _row(trace: Trace, record: Record, cell: Cell) -> Table:
    labels, row_exp = trace.streams[record.keys].labels, cell.row_exp
    order = largest_places(cell.row_weights, MAX_PRODUCTS)
    chosen = np.sort(order)
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            int(key),
            labels[key],
            float(cell.row_logits[key]),
            float(row_exp[key]),
            float(cell.row_weights[key]),
        )
        for key in chosen
    )
    left = len(cell.row_weights) - len(chosen)
    rest = float(cell.row_weights.sum() - cell.row_weights[order].sum())
    notes = (f"the {left} keys left out share {rest:.4g}",) if left else ()
    return Table(
        f"the whole row of query {cell.query}",
        ("key", "token", "logit", "exp(logit - largest)", "weight"),
        rows,
        notes,
    )


def _moved(cell: Cell) -> Text:
    norm, part = (float(np.linalg.norm(x)) for x in (cell.context, cell.moved))
    return Text(
        (
            Line(matrix_numbers(cell.value), "v of the key"),
            Line(matrix_numbers(cell.moved), "weight × v"),
            Line(matrix_numbers(cell.context), "context"),
            Line(
                f"of length {part:.4g}, in a context of length {norm:.4g}, the sum of what all "
                "keys move",
                "moved",
            ),
        )
    )
