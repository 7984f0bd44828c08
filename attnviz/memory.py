"""How much memory there is, and what must not take more of it."""

from __future__ import annotations

import os
from pathlib import Path

from attnviz.errors import AttnvizError

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""(limit, usage) of a container, in versions 2 and 1."""


def available_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not say."""
    free = [n for n in (_of_machine(), _of_container()) if n is not None]
    return min(free, default=None)


def check_available(n_byte: int, what: str, hint: str) -> None:
    """Raise AttnvizError if the machine clearly has too little memory for what is begun."""
    available = available_memory()
    if available is not None and n_byte > available:
        raise AttnvizError(
            f"{what} needs about {in_gib(n_byte)} of memory; {in_gib(available)} are free", hint
        )


def in_gib(n_byte: int) -> str:
    return f"{n_byte / 2**30:.1f} GiB"


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
