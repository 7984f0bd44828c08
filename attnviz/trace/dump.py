"""Anybody's dump of an attention: q, k, v, the mask, the output, whatever else helps, by role."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attnviz import archive
from attnviz.errors import AttnvizError
from attnviz.files import shortened
from attnviz.language import say
from attnviz.nn.types import Array
from attnviz.tokens import label
from attnviz.trace.dtypes import (
    bits_note,
    canonical,
    guessed_bits,
    reinterpreted,
    sample,
    true_type,
    type_name,
)
from attnviz.trace.names import parse_name
from attnviz.trace.projections import PYTORCH, _listed

SAVE = "np.savez('dump.npz', q=q, k=k, v=v, mask=mask, out=out)"
FROM_TORCH = (
    "save it as numbers: np.savez('dump.npz', **{name: x.detach().float().cpu().numpy() for "
    "name, x in torch.load(FILE, weights_only=True).items()})"
)

NUMBERS = (
    *("q", "k", "v", "qkv", "kv", "weights", "context", "scores", "logits", "k_cache", "v_cache"),
    *("capped", "qk_output", "kv_cache", "log_n"),
    *("past_k", "past_v", "q_pre", "k_pre", "q_raw", "k_raw", "x", "w_qkv", "sinks", "slopes"),
)
"""Roles whose arrays hold activations: whole numbers in them are bits."""

TEXTS = (".txt", ".log", ".csv")
TEXT_BYTES = 1 << 16
"""Of a file of text, that are looked at."""

LARGE = 1 << 28
"""Bytes of an array of which only a sample is looked at to count NaN."""

IN_ORDER = ("q", "k", "v", "context")
"""What arrays are that are only numbered: arr_0 … arr_3."""


class Census(NamedTuple):
    """Numbers of an array that are none."""

    nan: int
    infinite: int
    size: int
    """Numbers that were looked at."""
    first: tuple[int, ...]
    """The place of the first that is none, in the axes of the file; () where all are."""


@dataclass(frozen=True, eq=False)
class Dump:
    """The arrays of one attention, with the axes that they have in the file."""

    where: str
    """The file, as errors name it."""
    arrays: Mapping[str, Array]
    """Role of `attnviz.trace.names.ROLES` -> array. bfloat16 is widened to float32, unless an
    array of it is large, which then holds the bits, uint16; all other types are as they stand. A
    second array of a role is `mask.2`."""
    names: Mapping[str, str]
    """Role -> its name in the file, as a label that is safe to show."""
    dtypes: Mapping[str, str]
    """Role -> the type that its numbers were computed in, of `float64 float32 float16 bfloat16`,
    for the arrays that hold activations."""
    unread: tuple[str, ...] = ()
    """The names of arrays whose names say nothing."""
    notes: tuple[str, ...] = ()
    """What the reader has to know of how it was read, in sentences."""
    layer: tuple[str, ...] = field(default=())
    """The words that name the layer, where the file holds several."""

    @functools.cached_property
    def census(self) -> Mapping[str, Census]:
        """Role -> how many of its numbers are NaN or infinite, for arrays where some are."""
        found = {
            role: _census(x, self.dtypes.get(role))
            for role, x in self.arrays.items()
            if x.dtype.kind == "f" or role in self.dtypes
        }
        return {role: each for role, each in found.items() if each.nan or each.infinite}

    def described(self, *roles: str) -> str:
        """`q [2, 8, 5, 64], k [2, 8, 7, 64]`: the names and shapes of those that are there."""
        return ", ".join(
            f"{self.names[role]} {list(self.arrays[role].shape)}"
            for role in roles or self.arrays
            if role in self.arrays
        )


def read_dump(paths: Sequence[Path], dtypes: Mapping[str, str] | None = None) -> Dump:
    """The one attention of a file, a folder of .npy, or several files (each array is named by its
    file). `dtypes` says whose bits whole numbers are: {"*": "bfloat16"} or {"q": "bfloat16"}.

    Raises:
        AttnvizError: it cannot be read; or it holds none, or several.
    """
    return _only(read_dumps(paths, dtypes))


def _only(dumps: list[Dump]) -> Dump:
    if len(dumps) > 1:
        names = [".".join(dump.layer) for dump in dumps]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        raise AttnvizError(
            f"{dumps[0].where} holds {len(dumps)} layers: {', '.join(names[:4])}{more}",
            "one attention is looked at a time: save one layer's arrays in a file",
        )
    return dumps[0]


def dump_of(
    arrays: Mapping[str, Array],
    dtypes: Mapping[str, str] | None = None,
    where: str = "the arrays",
) -> Dump:
    """The same of arrays by their names."""
    return _only(_dumps(where, arrays, dtypes))


def read_dumps(paths: Sequence[Path], dtypes: Mapping[str, str] | None = None) -> list[Dump]:
    """As `read_dump`, one for each layer whose queries are there; one without a layer else."""
    where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    found: dict[str, Array] = {}
    declared: set[str] = set()
    for path in paths:
        stored = _read(path)
        for name, x in stored.arrays.items():
            alone = len(paths) > 1 and (name.startswith("arr_") or name in found)
            key = path.stem if alone else name
            if key in found:
                raise AttnvizError(f"{path}: another file has an array {key}, too", "rename one")
            found[key] = x
            declared |= {key} if name in stored.bfloat16 else set()
    return _dumps(where, found, dtypes, declared)


def _dumps(
    where: str,
    found: Mapping[str, Array],
    dtypes: Mapping[str, str] | None,
    declared: Collection[str] = (),
) -> list[Dump]:
    if not found:
        raise AttnvizError(f"{where} holds no arrays", SAVE)
    said = {name: canonical(text) for name, text in (dtypes or {}).items()}
    types = _Types(said, declared, found)
    return [
        _dump(where, layer, roles, found, types) for layer, roles in _layers(where, found).items()
    ]


def _read(path: Path) -> archive.Stored:
    suffix = path.suffix.lower()
    if not os.path.lexists(path):
        raise AttnvizError(f"no such file: {shortened(path)}", "attnviz probe NAME saves one")
    if suffix in PYTORCH and path.is_file():
        raise AttnvizError(f"{path} is a pickle of PyTorch's, which is never loaded", FROM_TORCH)
    if suffix in TEXTS and path.is_file():
        raise AttnvizError(f"{path} {_what_text(path)}", f"save the numbers themselves: {SAVE}")
    if not path.is_dir():
        stored = archive.read_stored(path)
        return stored._replace(arrays={**stored.arrays, **_wanted_of(stored.manifest or {})})
    files = sorted(path.rglob("*.npy"))
    if files:
        named = {str(file.relative_to(path).with_suffix("")): file for file in files}
        arrays = {
            name: next(iter(archive.read_stored(file).arrays.values()))
            for name, file in named.items()
        }
        return archive.Stored(arrays)
    others = sorted(file for file in path.iterdir() if file.suffix in (".npz", ".safetensors"))
    if len(others) == 1:
        return archive.read_stored(others[0])
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in PYTORCH)
    if pickles:
        raise AttnvizError(
            f"{path} holds pickles of PyTorch's, {pickles[0]} for example, which are never loaded",
            FROM_TORCH,
        )
    several = f", but {len(others)} other files of arrays" if others else ""
    raise AttnvizError(f"{path} holds no .npy files{several}", "name a file" if others else SAVE)


def _wanted_of(manifest: archive.Manifest) -> dict[str, Array]:
    """The numbers that a trace of attnviz says of its attentions, by names as those of arrays."""
    records = manifest.get("records") if manifest.get("format") == "attnviz-trace" else None
    return {
        f"{record['id']}/{name}": np.asarray(record[name])
        for record in records or ()
        for name in ("scale", "softcap")
        if isinstance(record.get(name), int | float)
    }


def _what_text(path: Path) -> str:
    """What a file of text holds instead of numbers."""
    with path.open("rb") as file:
        start = file.read(TEXT_BYTES)
    if b"tensor(" in start or b"..." in start:
        return "is printed text, which leaves out most numbers and rounds the others"
    return "is text; expected arrays of numbers"


def _layers(where: str, found: Mapping[str, Array]) -> dict[tuple[str, ...], dict[str, str]]:
    """Layer -> role -> name. What names no layer, or only a part of a layer's words, belongs to
    all of these."""
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for name in found:
        parsed = parse_name(name)
        if parsed is not None:
            roles = groups.setdefault(parsed.group, {})
            roles[_free(roles, parsed.role)] = name
    heads = [words for words, roles in groups.items() if roles.keys() & {"q", "qkv", "q_pre", "x"}]
    if any(groups[words].keys() & {"q", "qkv", "q_pre"} for words in heads):
        heads = [words for words in heads if groups[words].keys() & {"q", "qkv", "q_pre"}]
    if not groups:
        return {(): _in_order(where, found)}
    layers = {}
    for words in sorted(heads, key=lambda words: _in_file(words, groups)) or [()]:
        layers[words] = dict(groups.get(words, {}))
        for others, roles in groups.items():
            if others != words and (len(heads) < 2 or set(others) <= set(words)):
                for role, name in roles.items():
                    layers[words][_free(layers[words], role)] = name
    return layers


def _in_file(group: tuple[str, ...], groups: Iterable[tuple[str, ...]]) -> list[tuple[int, int]]:
    """By which layers are sorted: numbers by their size, words as they come first in the file."""
    seen = list(dict.fromkeys(word for words in groups for word in words))
    return [(0, int(word)) if word.isdigit() else (1, seen.index(word)) for word in group]


def _free(roles: Mapping[str, str], role: str) -> str:
    """`mask`, or `mask.2` where there is one already."""
    role = role.partition(".")[0]
    number = 1 + sum(each.partition(".")[0] == role for each in roles)
    return role if number == 1 else f"{role}.{number}"


def _in_order(where: str, found: Mapping[str, Array]) -> dict[str, str]:
    names = [f"arr_{number}" for number in range(len(IN_ORDER))]
    if sorted(found) != names:
        raise AttnvizError(
            f"{where}: no array is named as q, k, v or the output: {_listed(found)}",
            f"give them their names: {SAVE}",
        )
    return dict(zip(IN_ORDER, names, strict=True))


class _Types:
    """The types that the user and the files name, and those that are found out."""

    def __init__(
        self, said: Mapping[str, str], declared: Collection[str], found: Mapping[str, Array]
    ) -> None:
        for name in said:
            if name != "*" and name not in found and all(_role(each) != name for each in found):
                raise AttnvizError(
                    f"--dtype {name}: there is no such array", f"there are {_listed(found)}"
                )
        self._said, self._declared = said, declared

    def numbers(self, where: str, name: str, role: str, x: Array) -> tuple[Array, str, str]:
        """An array as numbers, their true type, and what is to be said of it."""
        if x.dtype.kind == "f":
            said = self._named(name, role) or self._said.get("*")
            return x, said or true_type(x), ""
        said, note = self.bits(name, role, x), ""
        if said is None:
            said = guessed_bits(x)
            note = "" if said is None else bits_note(name, said)
        if said is None:
            self._check_whole(where, name, x)
            return x, true_type(x), ""
        if x.nbytes > LARGE and said == "bfloat16":
            return x.view(np.uint16), said, note  # widened where it is looked at
        return reinterpreted(f"{where}: {name}", x, said), said, note

    def bits(self, name: str, role: str, x: Array) -> str | None:
        """The type whose bits whole numbers are, if the user or the file says so."""
        if name in self._declared:
            return "bfloat16"
        are_bits = x.dtype.kind in "uiV" and x.dtype.itemsize == 2
        return self._named(name, role) or (self._said.get("*") if are_bits else None)

    def _named(self, name: str, role: str) -> str | None:
        return next((self._said[key] for key in (name, role) if key in self._said), None)

    @staticmethod
    def _check_whole(where: str, name: str, x: Array) -> None:
        if x.dtype.kind not in "iub":
            raise AttnvizError(
                f"{where}: {name} holds {type_name(x)} {list(x.shape)}; expected numbers", SAVE
            )
        if x.dtype == np.uint16:
            raise AttnvizError(
                f"{where}: {name} holds {type_name(x)}, which are bits of some other type",
                f"say of which: --dtype {name}=bf16, or --dtype {name}=fp16",
            )


def _role(name: str) -> str | None:
    parsed = parse_name(name)
    return None if parsed is None else parsed.role


def _dump(
    where: str,
    layer: tuple[str, ...],
    roles: Mapping[str, str],
    found: Mapping[str, Array],
    types: _Types,
) -> Dump:
    arrays, dtypes, notes = {}, {}, []
    for role, name in roles.items():
        x = found[name]
        if role.partition(".")[0] in NUMBERS:
            x, dtypes[role], note = types.numbers(where, name, role, x)
            notes += [note] if note else []
        elif (said := types.bits(name, role, x)) is not None and x.dtype.kind != "f":
            x = reinterpreted(f"{where}: {name}", x, said)
        elif x.dtype.kind not in "fiub":
            raise AttnvizError(
                f"{where}: {name} holds {type_name(x)} {list(x.shape)}; expected numbers", SAVE
            )
        if not x.size:
            raise AttnvizError(f"{where}: {name} is empty, {list(x.shape)}", "save what it held")
        arrays[role] = x
    unread = tuple(
        name for name in found if parse_name(name) is None and name not in roles.values()
    )
    if unread:
        notes.append(
            say(
                "not read, as their names say nothing: {names}", names=", ".join(map(label, unread))
            )
        )
    names = {role: label(name) for role, name in roles.items()}
    return Dump(where, arrays, names, dtypes, unread, tuple(notes), layer)


def widened(x: Array, dtype: str | None) -> Array:
    """An array as numbers, where it holds the bits of bfloat16."""
    return reinterpreted("", x, "bfloat16") if dtype == "bfloat16" and x.dtype == np.uint16 else x


def _census(x: Array, dtype: str | None) -> Census:
    whole = x.nbytes <= LARGE
    looked = widened(x if whole else sample(x), dtype)
    bad = ~np.isfinite(looked)
    if not bad.any():
        return Census(0, 0, bad.size, ())
    n_nan = int(np.isnan(looked).sum())
    first = tuple(map(int, np.unravel_index(int(bad.argmax()), bad.shape))) if whole else ()
    return Census(n_nan, int(bad.sum()) - n_nan, bad.size, first)


__all__ = ["Census", "Dump", "dump_of", "read_dump", "read_dumps", "widened"]
