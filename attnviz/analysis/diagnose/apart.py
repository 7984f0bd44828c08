"""What to dump next so that explanations which fit equally are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attnviz.analysis.diagnose.computation import Computation, compute
from attnviz.analysis.diagnose.probe import FEATURES, probe
from attnviz.analysis.diagnose.registry import MistakeEntry
from attnviz.analysis.diagnose.search import Hypothesis

SAME = 1e-9


EQUAL = {"square", "ungrouped", "narrow"}
"""Features that make sizes equal."""


class Suggestion(NamedTuple):
    """Which property of a further dump tells explanations apart."""

    features: tuple[str, ...]
    """Of `probe.FEATURES`, or `sizes`: queries, keys, heads and widths that all differ. Empty if
    none does: the numbers are the same, and only the code says which it is."""
    told_apart: tuple[MistakeEntry, ...]
    """The other explanations that such a dump rules out, or confirms."""


def telling_apart(
    wanted: Computation, best: Hypothesis, others: Sequence[Hypothesis]
) -> Suggestion | None:
    """The simplest further dump on which the best explanation differs from the most others; None
    where there are no others."""
    rest = list(dict.fromkeys(o.entries[-1] for o in others if o.ids != best.ids))
    if not rest or len(best.entries) > 1:
        return None
    present = features_of(wanted)
    found = Suggestion((), ())
    for added in ((), *((name,) for name in FEATURES if name not in present | EQUAL)):
        c = probe({*present, *added} - (EQUAL if not added else set()))
        told = tuple(entry for entry in rest if _differ(c, best.entries[0], entry))
        if len(told) > len(found.told_apart):
            found = Suggestion(added or ("sizes",), told)
    return found


def features_of(c: Computation) -> set[str]:
    """Those of `probe.FEATURES` that a computation has."""
    has = {
        "square": c.n_q == c.n_k,
        "ungrouped": c.n_head == c.n_kv_head,
        "narrow": c.v.shape[-1] == c.d_k,
        "causal": c.masking.causal,
        "padding": c.masking.keys is not None,
        "window": c.masking.has_window,
        "segments": c.masking.segments is not None,
        "softcap": bool(c.softcap),
        "norm": c.facts.normed_from is not None,
        "rotary": c.facts.rotary is not None,
        "alibi": c.facts.alibi is not None,
        "bias": c.bias is not None and c.facts.alibi is None,
        "sinks": c.sinks is not None,
        "paged": c.facts.paged is not None,
    }
    return {name for name, present in has.items() if present}


def _differ(c: Computation, a: MistakeEntry, b: MistakeEntry) -> bool:
    """Whether two mistakes give different outputs, whichever way they are made."""
    one, other = (
        [compute(variant.computation).context for variant in entry.variants(c)] for entry in (a, b)
    )
    return bool(one and other) and all(
        not np.allclose(x, y, atol=SAME, rtol=0, equal_nan=True) for x in one for y in other
    )
