"""Every public array function says what shapes it takes and gives."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from attnviz import analysis, nn

STEPS = (("Array", "Computation"), ("Parts", "Computation"))
"""The parameters of a `Step` or a `Merge` of a computation, whose shapes those types say; those of
a metric, whose docstring is shown to users, are said by `MetricEntry`."""


def array_functions():
    folders = (Path(package.__file__).parent for package in (nn, analysis))
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                first = tuple(a.annotation and ast.unparse(a.annotation) for a in node.args.args)
                is_metric = any("METRICS" in ast.unparse(each) for each in node.decorator_list)
                if first[:2] in STEPS or is_metric:
                    continue
                types = f"{ast.unparse(node.args)} {node.returns and ast.unparse(node.returns)}"
                if "Callable" not in types and ("Array" in types or "Bool" in types):
                    yield pytest.param(ast.get_docstring(node) or "", id=f"{path.stem}.{node.name}")


@pytest.mark.parametrize("docstring", list(array_functions()))
def test_shapes_are_named(docstring):
    assert "[" in docstring
