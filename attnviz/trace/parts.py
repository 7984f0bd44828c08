"""Every matrix of weights of a file: of all layers and all items of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn import masks
from attnviz.nn.types import Array, Bool
from attnviz.registry import nearest
from attnviz.tokens import label
from attnviz.trace.dtypes import guessed_bits, reinterpreted, type_name
from attnviz.trace.names import by_group, parse_name
from attnviz.trace.projections import MAX_NAMES, precision
from attnviz.trace.record import Record

SAVE = "np.savez('weights.npz', weights=weights), [..., n_head, n_q, n_k]"


@dataclass(frozen=True, eq=False)
class Part:
    """The weights of one attention and one item of a batch."""

    record: str
    """`encoder.0.self` of a trace; of plain arrays the name with its leading indices,
    `attentions[2]`; safe to show."""
    weights: Array
    """[n_head, n_q, n_k]"""
    visible: Bool | None = None
    """Broadcasts to the weights; None where no mask is stated."""
    mask: str = ""
    """What states it."""
    by_head: bool = True
    """Whether the array has an axis of heads."""
    sinks: bool = False
    """Whether a sink outside the keys takes some of each row."""
    logits: Array | None = None
    """[n_head, n_q, n_k]: what enters the softmax, where the file has it."""
    eps: float = float(np.finfo(np.float32).eps)
    """The relative precision of the weights."""


@dataclass(frozen=True)
class Stated:
    """What the user says of the weights."""

    mask: masks.Mask | None = None
    """None: the file's own."""
    alignment: str = "lower_right"
    array: str | None = None
    nan: str = "broken"
    """`masked`: NaN stands for a cell that is masked."""
    sinks: bool = False


def parts_of_records(records: Sequence[Record], stated: Stated) -> Iterator[Part]:
    """The weights of a trace's records."""
    for record in records:
        if record.weights is None:
            continue
        n_q, n_k = record.weights.shape[-2:]
        visible, mask = record.mask, record.site.mask_name if record.mask is not None else ""
        if stated.mask is not None:
            visible, mask = _by_rules(stated, n_q, n_k), stated.mask.name
        part = Part(
            record=record.id,
            weights=record.weights,
            visible=visible,
            mask=mask,
            sinks=bool(record.site.sinks) or stated.sinks,
            logits=record.logits,
            eps=precision(record.weights),
        )
        yield _without_nan(part, stated)


def parts_of_arrays(path: Path, arrays: Mapping[str, Array], stated: Stated) -> Iterator[Part]:
    """The weights among anybody's arrays, [..., n_head, n_q, n_k], [n_q, n_k] or [n_k] each.

    Raises:
        AttnvizError: there are none, or their shapes and that of the mask do not fit.
    """
    groups = by_group(arrays)
    for name in _chosen(path, arrays, stated.array):
        given = _beside(name, groups)
        x = _numbers(path, name, arrays[name])
        n_axis = x.ndim
        x = x.reshape((1,) * (3 - n_axis) + x.shape)
        visible, mask = _stated(path, arrays, given, x.shape, stated)
        logits = arrays.get(given.get("logits", ""))
        if logits is not None and logits.shape != arrays[name].shape:
            logits = None
        seen = None if visible is None else np.broadcast_to(visible, x.shape)
        for index in np.ndindex(x.shape[:-3]):
            which = f"[{', '.join(map(str, index))}]" if index else ""
            part = Part(
                record=label(name) + which,
                weights=x[index],
                visible=None if seen is None else seen[index],
                mask=mask,
                by_head=n_axis > 2,
                sinks=stated.sinks,
                logits=None if logits is None else logits.reshape(x.shape)[index],
                eps=precision(x[index]),
            )
            yield _without_nan(part, stated)


def with_masks(arrays: Mapping[str, Array], true_is: str = "visible") -> dict[str, Array]:
    """The arrays with their masks as the rest reads them: True = visible, and padding by items of
    the batch, [n_batch, n_k], as [n_batch, 1, 1, n_k]."""
    roles = {name: parsed.role for name in arrays if (parsed := parse_name(name)) is not None}
    shapes = [arrays[name].shape for name, role in roles.items() if role == "weights"]
    made = dict(arrays)
    for name in (name for name, role in roles.items() if role in ("mask", "padding")):
        x = arrays[name]
        if x.dtype == bool and true_is == "hidden" and roles[name] == "mask":
            x = ~x
        by_item = [len(shape) > 3 and x.shape == (shape[-4], shape[-1]) for shape in shapes]
        if any(by_item) and x.shape not in [shape[-2:] for shape in shapes]:
            x = x[:, None, None]
        made[name] = x
    return made


def _without_nan(part: Part, stated: Stated) -> Part:
    """With NaN as cells that are masked, where the user says so."""
    if stated.nan != "masked" or not (hidden := np.isnan(part.weights)).any():
        return part
    visible = ~hidden if part.visible is None else part.visible & ~hidden
    return replace(
        part,
        weights=np.where(hidden, part.weights.dtype.type(0), part.weights),
        visible=visible,
        mask="+".join(filter(None, (part.mask, "nan"))),
    )


def _chosen(path: Path, arrays: Mapping[str, Array], wanted: str | None) -> list[str]:
    """The names of the arrays that hold weights."""
    if wanted is not None:
        if wanted not in arrays:
            raise AttnvizError(f"{path} has no array {wanted!r}", nearest(wanted, arrays))
        return [wanted]
    roles = {name: parsed.role for name in arrays if (parsed := parse_name(name)) is not None}
    for meant in ("weights", "w"):
        if named := [name for name, role in roles.items() if role == meant]:
            return named
    if roles or not arrays:
        listed = ", ".join([*arrays][:MAX_NAMES]) or "nothing"
        raise AttnvizError(
            f"{path} holds no weights: {listed}",
            f"--array NAME if one of them is; q, k, v and an output: attnviz diagnose {path}"
            if arrays
            else SAVE,
        )
    return [*arrays]


def _beside(name: str, groups: Mapping[tuple[str, ...], Mapping[str, str]]) -> dict[str, str]:
    """Role -> name of what belongs to the same layer, or to all."""
    parsed = parse_name(name)
    own = groups.get(parsed.group, {}) if parsed is not None else {}
    return {**groups.get((), {}), **own}


def _numbers(path: Path, name: str, x: Array) -> Array:
    if x.dtype.kind == "V" and (dtype := guessed_bits(x)) is not None:
        x = reinterpreted(name, x, dtype)
    if x.dtype.kind not in "fiub":
        raise AttnvizError(
            f"{path}: {name} holds {type_name(x)}; expected numbers",
            "save them as numbers: np.save(FILE, weights.astype(np.float32))",
        )
    if x.ndim == 0 or x.size == 0:
        raise AttnvizError(
            f"{path}: {name} has the shape {list(x.shape)}; expected at least one weight, "
            "[..., n_head, n_q, n_k]",
            SAVE,
        )
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _by_rules(stated: Stated, n_q: int, n_k: int) -> Bool | None:
    """[..., n_q, n_k] of the rules that the user states; a rule that hides nothing is one too."""
    assert stated.mask is not None
    offset = n_k - n_q if stated.alignment == "lower_right" else 0
    visible = stated.mask.visible(np.arange(n_q) + offset, np.arange(n_k))
    return np.ones((n_q, n_k), bool) if visible is None else visible


def _stated(
    path: Path,
    arrays: Mapping[str, Array],
    given: Mapping[str, str],
    shape: tuple[int, ...],
    stated: Stated,
) -> tuple[Bool | None, str]:
    """What broadcasts to weights of this shape, and what states it; None if nothing does."""
    n_q, n_k = shape[-2:]
    if stated.mask is not None:
        visible = _by_rules(stated, n_q, n_k)
        return _fitting(path, stated.mask.name, visible, shape), stated.mask.name
    found: Bool | None = None
    names = []
    for role in ("mask", "padding"):
        if role not in given:
            continue
        name = given[role]
        mask = _fitting(path, name, _visible(name, role, arrays[name]), shape)
        found = mask if found is None else np.asarray(found & mask)
        names.append(name)
    return found, "+".join(names)


def _visible(name: str, role: str, x: Array) -> Bool:
    """A mask of the file, True = visible. PyTorch's key_padding_mask is True where a key is
    padding; of numbers, 1 is visible."""
    visible = masks.as_visible(name, x)
    return ~visible if role == "padding" and x.dtype == bool else visible


def _fitting(path: Path, name: str, mask: Bool | None, shape: tuple[int, ...]) -> Bool:
    """A mask as it broadcasts to [..., n_head, n_q, n_k]: [n_q, n_k], [n_head, n_q, n_k],
    [n_batch, n_q, n_k], or with all axes."""
    assert mask is not None
    *lead, n_head, _, _ = shape
    n_batch = lead[-1] if lead else 1
    own = mask.shape
    if len(own) == 3 and len(own) < len(shape) and own[0] == n_batch != n_head:
        mask = mask[:, None]
    while mask.ndim > len(shape) and len(mask) == 1:
        mask = mask[0]
    pairs = zip(mask.shape[::-1], shape[::-1], strict=False)
    if mask.ndim > len(shape) or any(a not in (1, b) for a, b in pairs):
        raise AttnvizError(
            f"{path}: the mask {name} has the shape {list(own)}, which does not fit weights "
            f"{list(shape)}",
            "expected [n_q, n_k], [n_batch, n_k] or what broadcasts to the weights",
        )
    return mask
