"""Which heads of two traces are compared with each other."""

from __future__ import annotations

from typing import NamedTuple

from attnviz.errors import AttnvizError
from attnviz.trace.record import Trace
from attnviz.trace.selection import Head, Selection


class Pair(NamedTuple):
    """A head of A and the one of B that it is compared with."""

    a: Head
    b: Head

    @property
    def name(self) -> str:
        """One name if both have the same."""
        return str(self.a) if self.a == self.b else f"{self.a} | {self.b}"


class Pairing(NamedTuple):
    """The heads that are compared, and those that only one side has."""

    pairs: tuple[Pair, ...]
    only_a: tuple[Head, ...] = ()
    only_b: tuple[Head, ...] = ()


def pair_heads(a: Trace, b: Trace, select_a: Selection, select_b: Selection) -> Pairing:
    """By their positions where both sides select the same, else in the order of the selections."""
    if select_a == select_b:
        return pair_by_place(a, b, select_a)
    return pair_in_order(a, b, select_a, select_b)


def pair_by_place(a: Trace, b: Trace, select: Selection) -> Pairing:
    """The selected heads of the records of one id; where a side is a plain file of weights,
    which knows no encoder or decoder, of one layer and kind.

    Raises:
        AttnvizError: no head of one side has a counterpart.
    """
    loose = a.model.is_array != b.model.is_array
    left, right = (_by_place(trace, _selected(trace, select), loose) for trace in (a, b))
    pairs = tuple(Pair(head, right[key]) for key, head in left.items() if key in right)
    if not pairs:
        raise AttnvizError(
            f"A and B have no head in common: A has {_some_names(left)}, B {_some_names(right)}",
            "name two that stand for each other: "
            f"-s {next(iter(left.values()))} --with select={next(iter(right.values()))}",
        )
    return Pairing(
        pairs,
        tuple(head for key, head in left.items() if key not in right),
        tuple(head for key, head in right.items() if key not in left),
    )


def pair_in_order(a: Trace, b: Trace, select_a: Selection, select_b: Selection) -> Pairing:
    """The selected heads of A with those of B, first with first.

    Raises:
        AttnvizError: they are not equally many.
    """
    left, right = _selected(a, select_a), _selected(b, select_b)
    if len(left) != len(right):
        raise AttnvizError(
            f"A has {len(left)} selected heads, B {len(right)}; expected equally many",
            "name one head on each side: -s L0.H1 --with select=L1.H2",
        )
    return Pairing(tuple(Pair(x, y) for x, y in zip(left, right, strict=True)))


def _selected(trace: Trace, select: Selection) -> list[Head]:
    if not trace.records:
        raise AttnvizError(f"{trace.model.name} has no attention", "try `-m tagger`")
    select.check(list(trace))
    return [Head(record.id, head) for record in trace for head in select.heads(record)]


def _by_place(trace: Trace, heads: list[Head], loose: bool) -> dict[tuple[object, ...], Head]:
    """By id and number; or, loosely, by layer, kind and number."""
    by_key: dict[tuple[object, ...], Head] = {}
    for head in heads:
        record = trace[head.id]
        key = (record.layer, record.kind) if loose else (record.id,)
        same = by_key.setdefault((*key, head.number), head)
        if same is not head:
            raise AttnvizError(
                f"a plain file of weights could be {same.id} or {head.id}",
                f"say which: -s {same.id} --with select=L{record.layer}",
            )
    return by_key


def _some_names(heads: dict[tuple[object, ...], Head]) -> str:
    names = list(dict.fromkeys(head.id for head in heads.values()))
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
