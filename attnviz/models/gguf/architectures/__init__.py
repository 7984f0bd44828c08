"""How the files of each `general.architecture` of GGUF are read: one file an architecture, named as
it is, with `_` for `-`. Each has `ARCHITECTURE`, an `Architecture`."""

from __future__ import annotations

from attnviz.registry import ModuleRegistry

ARCHITECTURES = ModuleRegistry("GGUF architecture", "attnviz.models.gguf.architectures")


def module_name(architecture: str) -> str:
    """The name among the architectures of one, as files spell it."""
    return architecture.replace("-", "_")
