"""The tiny checkpoints: one file a family, with every spelling of it that changes the numbers.

Sizes are small and no two axes of a model have the same length, so that a swapped axis cannot fit.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from .shared import Variant

_MODULES = {
    module.name: import_module(f".{module.name}", __package__)
    for module in pkgutil.iter_modules(__path__)
    if module.name != "shared"
}

VARIANTS: dict[str, Variant] = {
    name: variant for module in _MODULES.values() for name, variant in module.VARIANTS.items()
}
"""By the name of a folder of this directory's parent."""

ENCODERS = {name for name, module in _MODULES.items() if getattr(module, "ENCODER", False)}
"""Families, as files are named, whose models of one stack see both sides."""
