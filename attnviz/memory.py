"""How much memory there is, and how much of it may be taken."""

from __future__ import annotations

import os
import re
from pathlib import Path

from attnviz.errors import AttnvizError

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""(limit, usage) of a container, in versions 2 and 1."""

BUDGET = 10**9
"""Bytes that the record of a run may take, where nobody says otherwise."""

SIZE = re.compile(
    r"\s*([\d.]+(?:e[+]?\d{1,2})?)\s*(?:([kmgt]?)(i?)b?)\s*", re.ASCII | re.IGNORECASE
)
LARGEST_SIZE = 1 << 60


def parse_size(text: str | int, option: str = "--memory") -> int:
    """Bytes of `1GB`, `500MB`, `2GiB`, `1e9`, `1000000000`.

    Raises:
        AttnvizError: it is no size, or not of a byte at least; it names the option.
    """
    found = SIZE.fullmatch(str(text))
    try:
        number = float(found[1]) if found else None
    except ValueError:  # 1.2.3
        number = None
    example = f"{option} 1GB, 500MB, 2GiB or 1e9"
    if found is None or number is None:
        raise AttnvizError(f"{option}: expected a size in bytes, got {str(text)!r}", example)
    unit = (1024 if found[3] else 1000) ** " kmgt".index(found[2].lower() or " ")
    if not 1 <= number * unit <= LARGEST_SIZE:
        which = "at least one byte" if number * unit < 1 else "less"
        raise AttnvizError(f"{option}: expected {which}, got {str(text)!r}", example)
    return int(number * unit)


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not say."""
    free = [n for n in (_of_machine(), _of_container()) if n is not None]
    return min(free, default=None)


def check_available(n_byte: int, what: str, hint: str) -> None:
    """Raise AttnvizError if the machine clearly has too little memory for what is begun."""
    available = available_memory()
    if available is not None and n_byte > available:
        raise AttnvizError(
            f"{what} needs about {in_bytes(n_byte)} of memory; {in_bytes(available)} are free", hint
        )


def in_bytes(n_byte: int) -> str:
    """`0.3 MB`, `430 MB`, `1.8 GB`: in the units of `--memory`."""
    if n_byte >= 10**9:
        return f"{n_byte / 10**9:.1f} GB"
    return f"{n_byte / 10**6:.{0 if n_byte >= 10**7 else 1}f} MB"


def _of_machine() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def _of_container() -> int | None:
    for limit, usage in CGROUPS:
        try:
            return max(0, int(Path(limit).read_text()) - int(Path(usage).read_text()))
        except (OSError, ValueError):  # no such file, or no limit: "max"
            continue
    return None
