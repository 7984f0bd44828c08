"""What the routers of a mixture chose, as it stands in a trace's file: per layer the arrays
`decoder.3/experts` and `decoder.3/expert_weights`, [n_token, top_k] each, and in the manifest of
how many experts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attnviz.errors import AttnvizError
from attnviz.nn.multi_head import Routing
from attnviz.nn.types import Array
from attnviz.trace.record import Trace, read_only

EXPERTS, WEIGHTS = "experts", "expert_weights"


def routing_out(trace: Trace) -> dict[str, Any]:
    """By layer, what the arrays do not say."""
    return {
        place: {"n_expert": routing.n_expert, "top_k": routing.experts.shape[-1]}
        for place, routing in trace.routing.items()
    }


def routing_arrays(trace: Trace) -> dict[str, Array]:
    """All arrays under the names that they have in a file."""
    arrays: dict[str, Array] = {}
    for place, routing in trace.routing.items():
        arrays[f"{place}/{EXPERTS}"] = routing.experts
        arrays[f"{place}/{WEIGHTS}"] = routing.weights
    return arrays


def routing_in(manifest: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Routing]:
    """Raises LookupError, TypeError or ValueError for what is missing or malformed."""
    routing = {}
    for place, entry in manifest.get("routing", {}).items():
        experts, weights = arrays[f"{place}/{EXPERTS}"], arrays[f"{place}/{WEIGHTS}"]
        n_expert = int(entry["n_expert"])
        if experts.dtype.kind not in "iu" or weights.dtype.kind != "f":
            raise TypeError(f"'{place}/{EXPERTS}'")
        if not np.all((experts >= 0) & (experts < n_expert)):
            raise ValueError(f"'{place}/{EXPERTS}'")
        whole = experts.astype(np.uint16)
        routing[str(place)] = Routing(read_only(whole), read_only(weights), n_expert)
    return routing


def check_routing(path: Path, trace: Trace) -> None:
    """Every token of the layer's text has its experts, and each of them a weight."""
    for record in trace:
        place = f"{record.site.block}.{record.layer}"
        if place not in trace.routing:
            continue
        experts, weights, _ = trace.routing[place]
        n_token = len(trace.streams[record.queries])
        if experts.ndim != 2 or len(experts) != n_token or weights.shape != experts.shape:
            raise AttnvizError(
                f"{path}: the experts of {place} have the shape {list(experts.shape)}, their "
                f"weights {list(weights.shape)}; expected [n_token, top_k] with {n_token} tokens",
                "write the file again",
            )
