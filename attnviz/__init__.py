"""attnviz, the attention inspector for the terminal.

    import attnviz

    trace = attnviz.run("I saw a saw", model="random:seed=7")
    trace["encoder.0.self"].weights  # [n_head, n_q, n_k]
    trace["L0.H1"].weights  # of one head, [1, n_q, n_k]

The names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnviz.analysis.diagnose.api import diagnose
    from attnviz.analysis.diagnose.diagnosis import Diagnosis
    from attnviz.errors import AttnvizError
    from attnviz.models import load_model
    from attnviz.nn.attention import Attention, attend
    from attnviz.plotting import plot
    from attnviz.running import run
    from attnviz.trace.file import load
    from attnviz.trace.record import Record, Trace

__version__ = "0.1.0"

__all__ = [
    "Attention",
    "AttnvizError",
    "Diagnosis",
    "Record",
    "Trace",
    "__version__",
    "attend",
    "diagnose",
    "load",
    "load_model",
    "plot",
    "run",
]

_HOMES = {
    "Attention": "attnviz.nn.attention",
    "AttnvizError": "attnviz.errors",
    "Diagnosis": "attnviz.analysis.diagnose.diagnosis",
    "Record": "attnviz.trace.record",
    "Trace": "attnviz.trace.record",
    "attend": "attnviz.nn.attention",
    "diagnose": "attnviz.analysis.diagnose.api",
    "load": "attnviz.trace.file",
    "load_model": "attnviz.models",
    "plot": "attnviz.plotting",
    "run": "attnviz.running",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'attnviz' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
