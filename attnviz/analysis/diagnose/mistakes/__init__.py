"""The known mistakes, one file a family. Importing this package fills `MISTAKES`."""

from attnviz.analysis.diagnose.mistakes import scale

__all__ = ["scale"]
