"""Dumps without a file."""

from __future__ import annotations

from types import SimpleNamespace


def dump_of(arrays, spelled, dtypes=None):
    """A dump of these arrays; `spelled` says which roles have other names in it."""
    roles = {name: role for role, name in spelled.items()}
    by_role = {roles.get(name, name): x for name, x in arrays.items()}
    return SimpleNamespace(
        where="dump.npz",
        arrays=by_role,
        names={role: spelled.get(role, role) for role in by_role},
        dtypes=dtypes or {},
    )
