"""A dump of one's own port of a checkpoint, stage by stage, against our forward pass of it.

Every block is computed from the hidden state that the dump has at its input, so that a mistake in
one layer does not show in all that follow; where the dump has none, from our own. What rounding
explains is measured for each stage: our own pass in float32 against float64 and, for dumps of half
precision, against one that rounds after every operation.
"""

from __future__ import annotations

from attnviz.analysis.diagnose.port.causes import PortCause
from attnviz.analysis.diagnose.port.diagnosis import PortDiagnosis, diagnose_port
from attnviz.analysis.diagnose.port.rows import Row

__all__ = ["PortCause", "PortDiagnosis", "Row", "diagnose_port"]
