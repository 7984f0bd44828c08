"""A dump of several layers: the first of them that differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from attnviz.analysis.diagnose.case import GIVEN, Request
from attnviz.analysis.diagnose.diagnosis import Diagnosis, diagnose
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.language import say
from attnviz.trace.dump import Dump


def first_that_differs(
    dumps: Sequence[Dump], request: Request, step: Callable[[], None] = lambda: None
) -> Diagnosis:
    """The diagnosis of the first layer that differs, or of the last one where all match. Layers
    without an output or weights are left out, and said to be.

    Raises:
        AttnvizError: no layer can be read, or one has arrays that do not fit.
    """
    whole = [dump for dump in dumps if any(stage in dump.arrays for stage in GIVEN)]
    if len(dumps) == 1 or not whole:
        return diagnose(readings(dumps[0], request), step)
    matching = 0
    for dump in whole:
        found = diagnose(readings(dump, request), step)
        if found.verdict == "differs":
            break
        matching += 1
    said = [_place(whole, matching)]
    if len(whole) < len(dumps):
        n = len(dumps) - len(whole)
        said.append(say("{n} layers have no output and no weights to compare", n=n))
    case = replace(found.case, reading=(*said, *found.case.reading))
    return replace(found, case=case)


def _place(dumps: Sequence[Dump], matching: int) -> str:
    n = len(dumps)
    layer = ".".join(dumps[min(matching, n - 1)].layer)
    if matching == n:
        return say("all {n} layers match; the last is {layer}", n=n, layer=layer)
    if matching == 0:
        return say("{layer}, the first of {n} layers", layer=layer, n=n)
    return say(
        "{layer}, the first of {n} layers that differs: {before} before it match",
        layer=layer, n=n, before=matching,
    )  # fmt: skip
