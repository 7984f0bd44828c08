"""Groups of options: a command that takes a dataclass as a parameter gets all its fields as
options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

from attnviz.errors import AttnvizError


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Replace each parameter that is a group of options by the group's fields."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    groups = {name: hints[name] for name in signature.parameters if is_dataclass(hints[name])}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        parameter.replace(annotation=hints[name], kind=keyword)
        for name, parameter in signature.parameters.items()
        if name not in groups
    ]
    for group in groups.values():
        parameters += [
            inspect.Parameter(f.name, keyword, default=f.default, annotation=kind)
            for f, kind in _with_types(group)
        ]

    @wraps(function)
    def wrapper(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group)})
        return function(**values)

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return wrapper


def _with_types(group: type) -> Iterator[tuple[Field[Any], Any]]:
    """The fields of a group and their types, which are evaluated only where they were postponed."""
    postponed = any(isinstance(f.type, str) for f in fields(group))
    types = get_type_hints(group, include_extras=True) if postponed else {}
    for f in fields(group):
        yield f, types.get(f.name, f.type)


def set_options(*groups: Any) -> dict[str, Any]:
    """The options of the groups that have no default and were set, by their names on the command
    line."""
    return {
        f.name.replace("_", "-"): value
        for group in groups
        for f in fields(group)
        if f.default is None and (value := getattr(group, f.name)) is not None
    }


def refuse(options: dict[str, Any], purpose: str) -> None:
    """Raise AttnvizError for the first of the options, as all are for something else."""
    for name in options:
        raise AttnvizError(f"--{name} is for {purpose}", f"leave out --{name}")


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """`value`, if it is among `known`."""
    from attnviz.registry import nearest

    if value not in known:
        raise AttnvizError(f"--{name}: unknown value {value!r}", nearest(value, known))
    return value


def whole_numbers(name: str, text: str) -> list[int]:
    """`4,16,64` as numbers."""
    from attnviz.registry import whole_number

    try:
        return [whole_number(part) for part in text.split(",")]
    except ValueError:
        message = f"--{name}: expected whole numbers separated by commas, got {text!r}"
    except OverflowError:
        message = f"--{name}: a number is too large: {text}"
    raise AttnvizError(message, f"--{name} 1,2,3")
