"""What a benchmark finds: rows of one table, and the machine they were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

HEADINGS = ("what", "ours", "theirs", "ratio", "bound", "")
WIDTHS = (50, 8, 26, 6, 5, 4)


class Missing(Exception):
    """What a benchmark needs is not here; the message says how to get it."""


@dataclass(frozen=True)
class Row:
    """One figure of ours beside another's, or beside a limit; less is better.

    Attributes:
        unit: of `ours` and `theirs`: `s`, `MB`, or what is printed as it stands.
        than: what `theirs` is: `torch eager`, `limit`.
        ratio: the median of pairs, which need not be the ratio of the medians.
        bound: of the ratio; None where none was set.
        note: why there are no figures.
    """

    what: str
    ours: float | None = None
    theirs: float | None = None
    than: str = ""
    ratio: float | None = None
    bound: float | None = None
    unit: str = "s"
    note: str = ""

    @property
    def over(self) -> bool:
        return None not in (self.ratio, self.bound) and self.ratio > self.bound  # type: ignore[operator]

    def cells(self) -> tuple[str, ...]:
        if self.ours is None:
            return (self.what, f"not measured: {self.note}")
        theirs = "" if self.theirs is None else f"{amount(self.theirs, self.unit)} {self.than}"
        ratio = "" if self.ratio is None else f"{self.ratio:.{2 if self.ratio >= 0.1 else 3}f}"
        bound = "" if self.bound is None else f"{self.bound:g}"
        verdict = "" if not bound else "over" if self.over else "ok"
        return (self.what, amount(self.ours, self.unit), theirs, ratio, bound, verdict)

    def line(self) -> str:
        return columns(self.cells())

    def markdown(self) -> str:
        return markdown_line(self.cells())

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"over": self.over}


def limit(what: str, ours: float, most: float, unit: str = "s") -> Row:
    """A figure that is bounded as such: seconds, or MB."""
    return Row(what, ours, most, "limit", ours / most, 1.0, unit)


def amount(number: float, unit: str) -> str:
    """Three digits: 41.3 ms, 1.21 s, 6.41 GB."""
    for smaller, larger, factor in (("ms", "s", 1000), ("MB", "GB", 1 / 1000)):
        if unit == larger and number < 1:
            return amount(number * factor, smaller)
        if unit == smaller and number >= 1000 and smaller == "MB":
            return amount(number * factor, larger)
    if not unit and 0 < abs(number) < 0.01:
        return f"{number:.1e}"
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    return f"{number:.{digits}f} {unit}".rstrip()


def columns(cells: tuple[str, ...]) -> str:
    """Text to the left, ratio and bound to the right; too long a cell pushes the others on."""
    if len(cells) == 2:
        return f"{cells[0]:{WIDTHS[0]}}  {cells[1]}"
    sides = "<><>><"
    return "  ".join(
        f"{cell:{side}{width}}" for cell, side, width in zip(cells, sides, WIDTHS, strict=True)
    ).rstrip()


def markdown_line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells + ('',) * (len(HEADINGS) - len(cells)))} |"


def machine() -> dict[str, str | int | None]:
    """The processor and the versions that the figures belong to."""
    found: dict[str, str | int | None] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }
    for name in ("numpy", "matplotlib", "torch", "transformers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine_line(found: dict[str, str | int | None]) -> str:
    versions = [f"{name} {found[name] or 'not installed'}" for name in list(found)[3:]]
    return f"{found['processor']}, {found['cores']} cores, {found['system']}; {', '.join(versions)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            told = {
                key.strip(): value.strip() for key, _, value in (x.partition(":") for x in file)
            }
    except OSError:
        return platform.processor() or "unknown processor"
    name = told.get("model name", platform.processor())
    return (
        f"{name} (family {told['cpu family']}, model {told['model']})" if "model" in told else name
    )


def run_alone(rows: Callable[[], Any]) -> None:
    """Print the rows of one module: the end of each module's file."""
    print(columns(HEADINGS))
    try:
        for row in rows():
            print(row.line(), flush=True)
    except Missing as missing:
        print(f"not measured: {missing}")
