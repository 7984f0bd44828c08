"""One weight and every number behind it."""

from __future__ import annotations

import numpy as np

from attnviz.analysis.cell import Cell, largest_places
from attnviz.language import say
from attnviz.trace.record import Record, Trace
from attnviz.views.attention import header, matrix_numbers
from attnviz.views.kinds import Line, Table, Text, Value, View
from attnviz.views.steps import part_name, term_formula, term_name

MAX_PRODUCTS = 16


def cell_views(trace: Trace, record: Record, cell: Cell) -> list[View]:
    """The sum, the row it is normalised over, and what it moves."""
    query = trace.streams[record.queries].labels[cell.query]
    key = trace.streams[record.keys].labels[cell.key]
    head = f"{cell.id} H{cell.head}"
    if record.n_kv_head != record.n_head:
        head += " " + say("(key/value head {n})", n=cell.kv_head)
    title = say("{head}: query {query}, key {key}", head=head, query=f"{cell.query} {query}",
                key=f"{cell.key} {key}")  # fmt: skip
    weight = say("{query} gives {percent} of its weight to {key}", query=f"{cell.query} {query}",
                 key=f"{cell.key} {key}", percent=f"{cell.weight:.1%}")  # fmt: skip
    lines = (Line(title, say("cell"), "head"), Line(weight))
    views: list[View] = [header(trace), Text(lines)]
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
        rows.append((say("the other {n}", n=left), rest))
    rows.append((say("sum = q · k"), float(cell.products.sum())))
    title = (
        say("products q_i · k_i of unit vectors")
        if cell.score_name == "cosine"
        else say("products q_i · k_i")
    )
    return Table(title, (say("dimension"), say("product")), tuple(rows))


def _steps(cell: Cell) -> Table:
    row_exp = cell.row_exp
    n = cell.n_content
    where = {
        "content": say("dimensions below {n}: made of the key's latent", n=n),
        "rotary": say("dimensions from {n} on: rotated, one key for all heads", n=n),
    }
    rows: list[tuple[Value, ...]] = [
        *((part_name(part), x, where[part]) for part, x in cell.parts.items()),
        (
            say("similarity ({score})", score=cell.score_name),
            cell.product,
            say("the sum of these parts") if cell.parts else "",
        ),
        (say("scale"), cell.scale, ""),
        (_score_name(cell), cell.score, say("similarity × scale")),
    ]
    if cell.softcap is not None:
        rows.append(
            (say("capped"), cell.capped, f"{cell.softcap:g} · tanh(score / {cell.softcap:g})")
        )
    bias = cell.bias or 0.0
    rows += [(term_name(name), x, term_formula(name)) for name, x in cell.terms.items()]
    if cell.terms:
        rows.append((say("score"), cell.capped + bias, say("the sum of these terms")))
    else:
        rows.append((say("bias"), bias, say("none is added") if cell.bias is None else ""))
    hidden = say("visible") if cell.reason is None else say("masked by {mask}", mask=cell.reason)
    largest = say("subtracted before exp, so that exp cannot overflow")
    over = (
        say("over {n} visible keys", n=cell.n_visible)
        if cell.sink is None
        else say("over {n} visible keys and the sink", n=cell.n_visible)
    )
    how = say("exp / sum") if cell.row_sum else say("the query sees no key")
    rows += [
        (say("mask"), hidden, ""),
        (say("logit"), cell.logit, say("what enters the softmax")),
        (say("largest logit of the row"), cell.row_max, largest),
        (say("exp(logit - largest)"), float(row_exp[cell.key]), ""),
        *_sink(cell),
        (say("sum over the row"), cell.row_sum, over),
        (say("weight"), cell.weight, how),
    ]
    columns = (say("step"), say("value"), say("how"))
    return Table(say("from similarity to weight"), columns, tuple(rows))


def _score_name(cell: Cell) -> str:
    """Where positions have terms of their own, the product of query and key is the first one."""
    return say("content · content") if cell.terms else say("score")


def _sink(cell: Cell) -> list[tuple[Value, ...]]:
    """The term of the sum that is of no key."""
    if cell.sink_exp is None or cell.sink is None:
        return []
    logit = f"{cell.sink:.4g}"
    how = say("the head's sink, a learned logit of {logit} that is no key", logit=logit)
    return [(say("exp(sink - largest)"), cell.sink_exp, how)]


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
    if cell.sink is not None:
        rows = (*rows, ("", say("sink"), cell.sink, cell.sink_exp, cell.sink_weight))
    left = len(cell.row_weights) - len(chosen)
    rest = float(cell.row_weights.sum() - cell.row_weights[order].sum())
    notes = (say("the {n} keys left out share {rest:.4g}", n=left, rest=rest),) if left else ()
    return Table(
        say("the whole row of query {n}", n=cell.query),
        (say("key"), say("token"), say("logit"), say("exp(logit - largest)"), say("weight")),
        rows,
        notes,
    )


def _moved(cell: Cell) -> Text:
    norm, part = (float(np.linalg.norm(x)) for x in (cell.context, cell.moved))
    return Text(
        (
            Line(matrix_numbers(cell.value), say("v of the key")),
            Line(matrix_numbers(cell.moved), say("weight × v")),
            Line(matrix_numbers(cell.context), say("context")),
            Line(
                say(
                    "this key adds a vector of length {part:.4g}; the context, the sum over all "
                    "keys, has length {norm:.4g}",
                    part=part,
                    norm=norm,
                )
            ),
        )
    )
