"""The queries, keys and values of anybody's file, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product
from pathlib import Path
from typing import NamedTuple

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.nn.site import RecordId
from attnviz.nn.types import Array
from attnviz.trace.dtypes import EPS, bits_note, guessed_bits, reinterpreted, true_type, type_name
from attnviz.trace.layout import (
    Batch,
    Known,
    arranged,
    candidates,
    choose,
    parse_layout,
    sizes_of,
    spelled,
)
from attnviz.trace.names import PROJECTED, by_group, parse_name, place
from attnviz.trace.record import ARRAY

MAX_NAMES = 8

OWN_AXES = {
    "weights": 3,
    "scores": 3,
    "logits": 3,
    "context": 3,
    "mask": 2,
    "bias": 2,
    "padding": 1,
}
"""Axes of what the file may have beside q, k and v; before them layers and the batch."""

BFLOAT16 = EPS["bfloat16"]
"""The relative precision of bfloat16, as `np.finfo` has it of the other types."""

PYTORCH = (".pt", ".pth", ".bin", ".pkl")

SAVE = "np.savez('qkv.npz', q=q, k=k, v=v), each [head, n, d]; from PyTorch .detach().float().cpu()"


@dataclass(frozen=True)
class Axes:
    """What the user says of the arrays; None: it is found out."""

    layout: str | None = None
    """`bhnd`; see `attnviz.trace.layout`."""
    batch: str | None = None
    """`0`, or `0:3` for item 3."""
    n_head: int | None = None
    """Of q, where the heads lie side by side in the width."""
    arrays: tuple[str, ...] = ()
    """The names of q, k and v."""


class Projected(NamedTuple):
    """One attention's q [n_head, n_q, d_k], k [n_kv_head, n_k, d_k] and v [n_kv_head, n_k, d_v]."""

    id: RecordId
    q: Array
    k: Array
    v: Array
    given: Mapping[str, Array]
    """What else the file has of it, by role: `weights`, `context`, `mask`, …"""
    eps: float = 0.0
    """The relative precision of the coarsest of q, k and v as they stand in the file."""
    item: int | None = None
    """Of the batch, where every item is read."""


class Reading(NamedTuple):
    """How a file was read."""

    layers: tuple[Projected, ...]
    notes: tuple[str, ...]
    """What the reader has to know of it."""


@dataclass(frozen=True)
class _Group:
    """The arrays of one layer, or of several that lie in one array."""

    words: tuple[str, ...]
    q: Array
    k: Array
    v: Array
    names: tuple[str, ...]
    """Of q, k and v, or of the one array that holds all."""
    given: Mapping[str, Array] = field(default_factory=dict)


def read_arrays(path: Path) -> tuple[archive.Manifest | None, dict[str, Array]]:
    """The arrays of a file, or of all .npy files in a folder, by the names of these."""
    if path.suffix.lower() in PYTORCH:
        raise AttnvizError(f"{path} is of PyTorch's own format, which needs PyTorch", SAVE)
    if not path.is_dir():
        return archive.read(path)
    files = sorted(path.rglob("*.npy"))
    if not files:
        raise AttnvizError(f"{path} holds no .npy files", SAVE)
    named = {str(file.relative_to(path).with_suffix("")): archive.read(file)[1] for file in files}
    return None, {name: next(iter(arrays.values())) for name, arrays in named.items()}


def read_projections(
    path: Path,
    arrays: Mapping[str, Array],
    axes: Axes,
    *,
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    every_item: bool = False,
) -> Reading:
    """Every attention whose q, k and v are among the arrays; of a batch one item, or every one.
    The tokens of the `queries` and the `keys`, where they are known, help to tell the axes.

    Raises:
        AttnvizError: names that are missing, shapes that do not fit, axes that may be two things.
    """
    arrays, bits = _from_bits(arrays)
    for name, each in arrays.items():
        if parse_name(name) is not None and (each.dtype.kind not in "fiub" or not each.size):
            raise AttnvizError(
                f"{path}: {name} holds {type_name(each)} {list(each.shape)}; expected numbers", SAVE
            )
    groups, shared, notes = _groups(path, arrays, axes.arrays)
    notes = [*bits, *notes]
    sizes = [] if queries is None else [Known("n_q", len(queries))]
    if keys is not None:
        sizes.append(Known("n_k", len(keys)))
    batch = None if axes.batch is None else Batch.parse(axes.batch)
    layers: list[Projected] = []
    layouts: dict[str, str] = {}
    for group in groups:
        layout, sure = _layout(path, group, {**shared, **group.given}, axes, batch, sizes)
        layouts.setdefault(_layout_note(group, layout, axes, sure), layout)
        layers += _layers(path, group, shared, layout, axes, batch, every_item)
    return Reading(_numbered(layers), (*notes, *layouts, *_half(groups)))


def _from_bits(arrays: Mapping[str, Array]) -> tuple[Mapping[str, Array], list[str]]:
    """The arrays with those as numbers that can only be the bits of half precision."""
    dtypes = {
        name: dtype
        for name, x in arrays.items()
        if (parsed := parse_name(name)) is not None
        and parsed.role in (*PROJECTED, "qkv")
        and x.dtype.kind != "f"
        and (dtype := guessed_bits(x)) is not None
    }
    made = {name: reinterpreted(name, arrays[name], dtype) for name, dtype in dtypes.items()}
    return {**arrays, **made}, [bits_note(name, dtype) for name, dtype in dtypes.items()]


def _groups(
    path: Path, arrays: Mapping[str, Array], chosen: tuple[str, ...]
) -> tuple[list[_Group], dict[str, Array], list[str]]:
    """The layers' arrays, what belongs to all layers, and what is to be said."""
    named = by_group(arrays)
    shared = {role: arrays[name] for role, name in named.get((), {}).items()}
    if chosen:
        unknown = [name for name in chosen if name not in arrays]
        if len(chosen) != 3 or unknown:
            raise AttnvizError(
                f"--arrays: expected the names of q, k and v, got {', '.join(chosen)}",
                f"{path} holds {_listed(arrays)}",
            )
        q, k, v = (arrays[name] for name in chosen)
        rest = {role: x for role, x in shared.items() if role not in (*PROJECTED, "qkv")}
        return [_Group((), q, k, v, chosen, rest)], rest, []
    found = list(_named_groups(path, arrays, named))
    rest = {role: x for role, x in shared.items() if role not in (*PROJECTED, "qkv")}
    if found:
        return found, rest, []
    in_order = list(_unnamed(arrays))
    if not in_order:
        hint = f"say which: --arrays Q,K,V; or save them so: {SAVE}"
        if any(name.endswith(("self/weights", "cross/weights")) for name in arrays):
            hint = "a trace keeps them if it is asked to: attnviz run TEXT --keep all -o trace.npz"
        raise AttnvizError(
            f"{path}: there are no q, k and v among its arrays: {_listed(arrays)}", hint
        )
    first = in_order[0]
    what = ", ".join(first.names) if len(first.names) == 3 else f"{first.names[0]}[0], [1], [2]"
    return in_order, rest, [say("{names} are taken as q, k and v, in this order", names=what)]


def _named_groups(
    path: Path, arrays: Mapping[str, Array], named: Mapping[tuple[str, ...], Mapping[str, str]]
) -> Iterator[_Group]:
    for words, roles in named.items():
        given = {
            role: arrays[name] for role, name in roles.items() if role not in (*PROJECTED, "qkv")
        }
        have = [role for role in PROJECTED if role in roles]
        if len(have) == 3:
            names = tuple(roles[role] for role in PROJECTED)
            q, k, v = (arrays[name] for name in names)
            yield _Group(words, q, k, v, names, given)
        elif "qkv" in roles:
            q, k, v = _unpacked(path, roles["qkv"], arrays[roles["qkv"]])
            yield _Group(words, q, k, v, (roles["qkv"],), given)
        elif have:
            missing = [role for role in PROJECTED if role not in have]
            raise AttnvizError(
                f"{path}: beside {', '.join(roles[role] for role in have)} there is no "
                f"{' and no '.join(missing)}: it holds {_listed(arrays)}",
                f"attention needs q, k and v: {SAVE}",
            )


def _unpacked(path: Path, name: str, x: Array) -> Iterator[Array]:
    """q, k and v of one array: [3, …], [batch, n, 3, head, d] or [batch, n, 3·d]."""
    places = [axis for axis, size in enumerate(x.shape[:-1]) if size == 3]
    if len(places) == 1 or (places and places[0] == 0):
        return iter([x.take(number, places[0]) for number in range(3)])
    if not places and x.shape[-1] % 3 == 0:
        width = x.shape[-1] // 3
        return iter([x[..., width * number : width * (number + 1)] for number in range(3)])
    raise AttnvizError(
        f"{path}: {name} has the shape {list(x.shape)}; expected one axis of 3, for q, k and v",
        SAVE,
    )


def _unnamed(arrays: Mapping[str, Array]) -> Iterator[_Group]:
    """Arrays that are only numbered: three of a layer each, or one of three in its first axis."""
    numbered: dict[tuple[str, ...], dict[int, str]] = {}
    for name in arrays:
        stem = name.rstrip("0123456789")
        if stem != name:
            numbered.setdefault((stem,), {})[int(name[len(stem) :][:9])] = name
    for (stem,), members in numbered.items():
        names = [members[number] for number in sorted(members)]
        if sorted(members) == [0, 1, 2] and (
            stem.startswith("arr") or stem[:-1].endswith(tuple("0123456789"))
        ):
            q, k, v = (arrays[name] for name in names)
            yield _Group(tuple(filter(str.isdigit, stem)), q, k, v, tuple(names))
        elif all(arrays[name].ndim > 2 and len(arrays[name]) == 3 for name in names):
            for number, name in zip(sorted(members), names, strict=True):
                q, k, v = arrays[name]
                yield _Group((str(number),), q, k, v, (name,))
    if not numbered and len(arrays) == 1:
        ((name, x),) = arrays.items()
        if x.ndim > 2 and len(x) == 3:
            yield _Group((), x[0], x[1], x[2], (name,))


def _layout(
    path: Path,
    group: _Group,
    given: Mapping[str, Array],
    axes: Axes,
    batch: Batch | None,
    sizes: Sequence[Known],
) -> tuple[str, bool]:
    """The layout of a group, and whether it is the only one that can be meant."""
    n_axis = {x.ndim for x in (group.q, group.k, group.v)}
    shapes = dict(zip(PROJECTED, (x.shape for x in (group.q, group.k, group.v)), strict=True))
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    where = f"{path}: {'.'.join(group.words)}" if group.words else str(path)
    if axes.layout is not None:
        possible = [parse_layout(axes.layout)]
    else:
        possible = list(candidates(max(n_axis), axes.n_head is not None, batch))
    if len(n_axis) > 1 or not possible or len(possible[0]) not in n_axis:
        expected = spelled(possible[0]) if possible else "[head, n, d] or [batch, head, n, d]"
        raise AttnvizError(
            f"{where}: {listed}; expected of each {expected}", "--layout bhnd, a letter an axis"
        )
    heads = _heads(where, group, possible[0], axes.n_head)
    options = {
        each: [
            sizes_of(x, each, n) for x, n in zip((group.q, group.k, group.v), heads, strict=True)
        ]
        for each in possible
    }
    known = [*sizes, *_known(given)]
    return choose(where, shapes, options, known, "hook" in group.words)


def _heads(
    where: str, group: _Group, layout: str, n_head: int | None
) -> tuple[int | None, int | None, int | None]:
    """The heads of q, k and v that lie side by side in their widths; None where they do not."""
    if n_head is None:
        return None, None, None
    widths = [x.shape[layout.index("d")] for x in (group.q, group.k, group.v)]
    if "h" in layout:
        raise AttnvizError(f"{where}: its axes are {spelled(layout)}", "leave out --heads")
    if n_head < 1 or widths[0] % n_head:
        raise AttnvizError(
            f"{where}: --heads {n_head} does not divide the width {widths[0]} of q",
            "a number of heads that does",
        )
    d_k = widths[0] // n_head
    if widths[1] % d_k:
        raise AttnvizError(
            f"{where}: the width {widths[1]} of k is no multiple of the d_k = {d_k} of q",
            "--heads is the number of heads of q",
        )
    n_kv_head = max(1, widths[1] // d_k)
    if widths[2] % n_kv_head:
        raise AttnvizError(
            f"{where}: the {n_kv_head} heads of k do not divide the width {widths[2]} of v",
            "--heads is the number of heads of q",
        )
    return n_head, n_kv_head, n_kv_head


def _known(given: Mapping[str, Array]) -> Iterator[Known]:
    """The sizes that matrices of queries and keys say."""
    for role in ("weights", "scores", "logits", "mask", "bias"):
        if role in given and given[role].ndim > 1:
            n_q, n_k = given[role].shape[-2:]
            if role in ("mask", "bias") and 1 in (n_q, n_k):
                continue
            yield from (Known("n_q", n_q), Known("n_k", n_k))
            if given[role].ndim == 4 and role not in ("mask", "bias"):
                yield Known("n_head", given[role].shape[-3])


def _layers(
    path: Path,
    group: _Group,
    shared: Mapping[str, Array],
    layout: str,
    axes: Axes,
    batch: Batch | None,
    every_item: bool,
) -> Iterator[Projected]:
    """Each attention of a group: of every layer, and of the item of the batch or of all."""
    heads = _heads(str(path), group, layout, axes.n_head)
    q, k, v = (
        arranged(x, layout, n) for x, n in zip((group.q, group.k, group.v), heads, strict=True)
    )
    n_layer, n_batch = q.shape[:2]
    items = range(n_batch) if every_item else [_item(path, n_batch, layout, batch)]
    block, layer, kind = place(group.words)
    is_self = q.shape[-2] == k.shape[-2] if kind is None else kind == "self"
    eps = max(map(precision, (q, k, v)))
    for number, item in product(range(n_layer), items):
        given = {
            role: _part(role, x, (number, n_layer), (item, n_batch), q.shape[2])
            for role, x in {**shared, **group.given}.items()
        }
        id = RecordId(
            block or ARRAY, number if layer is None else layer, "self" if is_self else "cross"
        )
        which = item if every_item and n_batch > 1 else None
        yield Projected(id, q[number, item], k[number, item], v[number, item], given, eps, which)


def precision(x: Array) -> float:
    """The relative precision of the numbers of an array: of the narrowest type that they were
    rounded to."""
    return EPS[true_type(x)]


def _item(path: Path, n_batch: int, layout: str, batch: Batch | None) -> int:
    if batch is not None and batch.axis != layout.find("b"):
        raise AttnvizError(
            f"{path}: axis {batch.axis} of {spelled(layout)} is not the batch",
            f"--batch {max(0, layout.find('b'))}:0",
        )
    item = None if batch is None else batch.item
    if n_batch > 1 and item is None:
        axis = layout.index("b")
        layers = (
            ""
            if "l" in layout
            else (f"; if this axis counts layers: --layout {layout.replace('b', 'l')}")
        )
        raise AttnvizError(
            f"{path}: as {spelled(layout)}, the batch holds {n_batch} items; one is shown at "
            "a time",
            f"say which: --batch {axis}:0 to --batch {axis}:{n_batch - 1}{layers}",
        )
    if (item or 0) >= n_batch:
        raise AttnvizError(
            f"{path}: the batch has no item {item}: it holds {n_batch}", "items count from 0"
        )
    return item or 0


def _part(role: str, x: Array, layer: tuple[int, int], item: tuple[int, int], n_head: int) -> Array:
    """What belongs to one layer and one item, (number, how many) each, of an array that may have
    these axes."""
    if role not in OWN_AXES:
        return x
    for number, size in (layer, item):
        is_more = x.ndim > OWN_AXES[role] or (x.ndim == 3 and len(x) != n_head)
        if is_more and size > 1 and len(x) == size:
            x = x[number]
    while x.ndim > max(3, OWN_AXES[role]) and len(x) == 1:
        x = x[0]
    return x


def _numbered(layers: Sequence[Projected]) -> tuple[Projected, ...]:
    """With ids that are all different, but for the items of one batch."""
    if len({(layer.id, layer.item) for layer in layers}) == len(layers):
        return tuple(layers)
    numbers = accumulate(not layer.item for layer in layers)  # a new layer begins at item 0
    return tuple(
        layer._replace(id=RecordId(layer.id.block, number - 1, layer.id.kind))
        for number, layer in zip(numbers, layers, strict=True)
    )


def _layout_note(group: _Group, layout: str, axes: Axes, sure: bool) -> str:
    """How the axes were read; and where they may be others, how to say so."""
    lists = [list(x.shape) for x in (group.q, group.k, group.v)]
    q, k, v = lists
    shapes = (
        f"q, k, v {q}" if q == k == v else f"q {q}, k, v {k}" if k == v else f"q {q}, k {k}, v {v}"
    )
    if axes.n_head is not None:
        n = axes.n_head
        return say(
            "{shapes}: {axes}, {n} heads side by side", shapes=shapes, axes=spelled(layout), n=n
        )
    if sure or axes.layout is not None or len(layout) < 3:
        return say("{shapes}: {axes}", shapes=shapes, axes=spelled(layout))
    other = layout.replace("hn", "nh") if "hn" in layout else layout.replace("nh", "hn")
    return say(
        "{shapes}: {axes} (if not: --layout {other})",
        shapes=shapes, axes=spelled(layout), other=other,
    )  # fmt: skip


def _half(groups: Sequence[_Group]) -> list[str]:
    narrow = [
        x.dtype
        for g in groups
        for x in (g.q, g.k, g.v)
        if x.dtype.kind != "f" or x.dtype.itemsize < 4
    ]
    if not narrow:
        return []
    return [say("the arrays hold {dtype}; computed in float32", dtype=str(narrow[0]))]


def _listed(arrays: Mapping[str, Array]) -> str:
    names = [f"{name} {list(x.shape)}" for name, x in arrays.items()]
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "") or "nothing"
