"""The names of a file's tensors without what training wraps around a model: `module.`,
`_orig_mod.`, `model.bert.`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnviz.models.build.tensors import Rows, TensorFile
    from attnviz.nn.types import Array

INSIDE = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and activation checkpointing put before the name of any part."""

OUTSIDE = re.compile(r"(module\.)+")
"""What DataParallel, DDP and DeepSpeed put before all names."""

MOST = 0.75
"""The share of a file's tensors that have a prefix in common, if it is one of the model."""


class Unwrapped:
    """A file of tensors by other names."""

    def __init__(self, file: TensorFile, names: Mapping[str, str]) -> None:
        """`names`: new name -> the one in the file."""
        self._file, self._names = file, names
        self.path = file.path
        self.shapes = {new: file.shapes[old] for new, old in names.items()}

    def copies(self, name: str) -> bool:
        return self._file.copies(self._names[name])

    def read(self, name: str, rows: Rows | None = None) -> Array:
        return self._file.read(self._names[name], rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def unwrap(file: TensorFile, prefixes: Sequence[str]) -> tuple[TensorFile, str]:
    """The file with the names that the model itself gives its tensors, and what was left out of
    them, empty for nothing.

    Args:
        prefixes: what the names of the model's body may begin with.
    """
    names, left_out = _without_wrappers(file.shapes)
    outer = _outer(names, [prefix for prefix in prefixes if prefix])
    if outer:
        names = {new.removeprefix(outer): old for new, old in names.items()}
        left_out.append(outer)
    if not left_out or len(names) < len(file.shapes):  # two would have the same name
        return file, ""
    return Unwrapped(file, names), ", ".join(dict.fromkeys(left_out))


def _without_wrappers(stored: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Names without wrappers, to the stored ones; and the wrappers."""
    names, found = {}, []
    for old in stored:
        new = INSIDE.sub("", old)
        if new != old:
            found += [match + "." for match in INSIDE.findall(old)]
        names[new] = old
    if names and all(map(OUTSIDE.match, names)):
        found.append("module.")
        names = {OUTSIDE.sub("", new, count=1): old for new, old in names.items()}
    return names, found


def _outer(names: Mapping[str, str], prefixes: Sequence[str]) -> str:
    """What most names have before a prefix that the family knows."""
    for prefix in prefixes:
        before: Counter[str] = Counter()
        for name in names:
            at = f".{name}".rfind(f".{prefix}")
            if at >= 0:
                before[name[:at]] += 1
        if before:
            outer, _ = before.most_common(1)[0]
            inside = sum(name.startswith(outer) for name in names)
            return outer if inside >= MOST * len(names) else ""
    return ""
