"""How each dump of `tests/golden/misuse` is made: PyTorch's attention, used wrongly.

Importing this package fills `recipes.dump.MISUSES`.
"""

from __future__ import annotations

from importlib import import_module

for _name in (
    *("scale", "softmax", "masks", "causal", "heads"),
    *("position", "state", "rounding", "pairs"),
):
    import_module(f"{__name__}.{_name}")
