"""The inputs of a specification's operator among the arrays of a dump."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from attnviz.analysis.diagnose.noise import DTYPES
from attnviz.analysis.diagnose.reading.texts import Text, misfit
from attnviz.errors import AttnvizError
from attnviz.nn.types import Array

LISTED = 8
"""Numbers, or names of arrays, that an error shows."""


class Named(Protocol):
    """A dump: its arrays by what they are."""

    @property
    def where(self) -> str:
        """The file, as errors name it."""

    @property
    def arrays(self) -> Mapping[str, Array]:
        """Role of `attnviz.trace.names.ROLES` -> array."""

    @property
    def names(self) -> Mapping[str, str]:
        """Role -> its name in the file."""

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Role -> the type that its numbers were computed in."""


class _Dump(NamedTuple):
    where: str
    arrays: Mapping[str, Array]
    names: Mapping[str, str]
    dtypes: Mapping[str, str]


class Inputs:
    """What an operator takes, by the roles of a dump's arrays; errors use the names of the file,
    and where it has none, the operator's own."""

    def __init__(self, what: str, dump: Named, own_names: Mapping[str, str]) -> None:
        self.what = what
        """The operator, in errors."""
        self.dump = dump
        self._own_names = own_names

    def with_arrays(self, arrays: Mapping[str, Array]) -> Inputs:
        """The same with other arrays, whose names are those of the operator where they are new."""
        names = {role: self.name(role) for role in arrays}
        dump = _Dump(self.dump.where, arrays, names, self.dump.dtypes)
        return Inputs(self.what, dump, self._own_names)

    def has(self, *roles: str) -> bool:
        return all(role in self.dump.arrays for role in roles)

    def get(self, *roles: str) -> Array | None:
        """The array of the first of these roles that there is."""
        return next((self.dump.arrays[role] for role in roles if self.has(role)), None)

    def name(self, *roles: str) -> str:
        """What the file calls the first of these that there is; else what the operator does."""
        there = next((self.dump.names[role] for role in roles if self.has(role)), None)
        return there or self._own_names.get(roles[0], roles[0])

    def need(self, axes: str, *roles: str) -> Array:
        """What has to be there.

        Raises:
            AttnvizError: it is not.
        """
        found = self.get(*roles)
        if found is None:
            names = [self.dump.names[role] for role in self.dump.arrays]
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            own = self.name(*roles)
            raise AttnvizError(
                f"{self.dump.where}: {self.what} needs {own} {axes}; "
                f"there are {', '.join(names[:LISTED])}{more}",
                f"save it, too, as {own}",
            )
        return found

    def whole(self, axes: str, *roles: str) -> Array:
        """Whole numbers: lengths, numbers of blocks."""
        found = self.need(axes, *roles)
        if found.dtype.kind not in "iu" and not (found == np.floor(found)).all():
            raise self.error(f"holds {found.dtype}; expected whole numbers {axes}", *roles)
        return found.astype(np.int64)

    def lengths(self, axes: str, *roles: str) -> Array:
        """Numbers of tokens; none is negative."""
        found = self.whole(axes, *roles)
        if found.ndim == 0 or (found < 0).any():
            raise self.error(f"is {brief(found)}; expected numbers of tokens {axes}", *roles)
        return found

    def error(self, what: str, *roles: str, hint: str = "") -> AttnvizError:
        return AttnvizError(f"{self.dump.where}: {self.name(*roles)} {what}", hint)

    def check(self, texts: Sequence[Text]) -> None:
        """Raise AttnvizError where the arrays of the texts do not fit together."""
        found = misfit(texts) if texts else "no text has a query"
        if found is not None:
            there = ", ".join(
                f"{self.dump.names[role]} {list(self.dump.arrays[role].shape)}"
                for role in ("q", "k", "v", "k_cache", "v_cache", "kv_cache", "context")
                if self.has(role)
            )
            raise AttnvizError(f"{self.dump.where}: {self.what}: {found}", f"the dump has {there}")

    def coarsest(self, roles: Iterable[str]) -> str:
        """The type of `noise.DTYPES` that bounds how exact results of these can be."""
        there = {self.dump.dtypes[role] for role in roles if role in self.dump.dtypes}
        return max(there & {*DTYPES}, key=DTYPES.index, default="float32")


def brief(x: Array) -> str:
    """A few numbers, or the shape of many.

    x [...].
    """
    return str(x.tolist()) if x.size <= LISTED else f"of the shape {list(x.shape)}"
