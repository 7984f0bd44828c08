"""Defaults of options: from variables of the environment, a project's pyproject.toml and the
user's own file. What is typed goes first, then the variable, the project, the user.

[tool.attnviz]
model = "openai-community/gpt2"
width = 100
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.files import MAX_BYTES, read_file
from attnviz.registry import nearest

TABLE = "attnviz"
PROJECT, USER = "pyproject.toml", "config.toml"
EXAMPLE = 'model = "tagger" and width = 100, under [tool.attnviz]'


class Setting(NamedTuple):
    """A default that somebody set."""

    value: Any
    source: str
    """The variable or the file that says so."""


class Key(NamedTuple):
    """What may be set."""

    about: str
    expected: str
    fits: Callable[[Any], bool]
    number: bool = False
    """Whether a variable's text is read as a whole number."""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_width(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_size(value: Any) -> bool:
    from attnviz.memory import parse_size

    try:
        return not isinstance(value, bool) and bool(parse_size(value))
    except AttnvizError:
        return False


def _is_language(value: Any) -> bool:
    from attnviz.language import languages

    return value in languages()


KEYS = {
    "model": Key("-m", "the name or path of a model", _is_name),
    "background": Key(
        "--background", "dark, light or auto", lambda value: value in ("dark", "light", "auto")
    ),
    "cmap": Key("--cmap, of figures", "the name of a colour map", _is_name),
    "width": Key("--width", "a whole number from 1", _is_width, number=True),
    "lang": Key("--lang", "en or zh", _is_language),
    "memory": Key("--memory", "a size, as 500MB or 2GiB", _is_size),
}
ALSO = {"ramp": "cmap"}
"""Another name of a key."""


def settings() -> dict[str, Setting]:
    """The defaults that are in force, by key.

    Raises:
        AttnvizError: an unknown key, or a value of the wrong kind; it names the file.
    """
    found: dict[str, Setting] = {}
    for path in reversed(list(files())):
        found |= _of_file(path)
    return found | _of_environment()


def files() -> Iterator[Path]:
    """The files that are there, the project's before the user's."""
    project = _project()
    if project is not None:
        yield project
    user = user_file()
    if os.path.isfile(user):
        yield user


def user_file() -> Path:
    """Where the user's own file is, or would be."""
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(folder, "attnviz", USER)


def _project() -> Path | None:
    """The nearest pyproject.toml, from here upwards, that speaks of attnviz."""
    try:
        here = os.getcwd()
    except OSError:  # a folder that was deleted
        return None
    while True:
        path = os.path.join(here, PROJECT)
        if os.path.isfile(path) and os.path.getsize(path) <= MAX_BYTES and _speaks_of_us(path):
            return Path(path)
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


def _speaks_of_us(path: str) -> bool:
    """Whether the file may have our table: TOML is read only where it does."""
    try:
        with open(path, "rb") as file:
            return b"attnviz" in file.read() and bool(_table(Path(path)))
    except OSError:  # not ours to read
        return False


def _table(path: Path) -> Mapping[str, Any]:
    from attnviz.parse import parse_toml

    try:
        values = parse_toml(read_file(path, "check who may read it"))
    except ValueError as error:
        raise AttnvizError(f"{path} is not a TOML file: {error}", EXAMPLE) from error
    if path.name == USER:
        return values
    tool = values.get("tool")
    table = tool.get(TABLE, {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise AttnvizError(f"{path}: tool.attnviz is no table", EXAMPLE)
    return table


def _of_file(path: Path) -> dict[str, Setting]:
    found = {}
    for name, value in _table(path).items():
        key = ALSO.get(name, name)
        if key not in KEYS:
            raise AttnvizError(f"{path}: there is no setting {name!r}", nearest(name, KEYS))
        found[key] = Setting(_checked(f"{path}: {name}", key, value), str(path))
    if "model" in found:
        found["model"] = found["model"]._replace(value=_beside(path, found["model"].value))
    return found


def _beside(path: Path, model: str) -> str:
    """A path of a model is from the file that names it."""
    from attnviz.models import is_packaged

    near = path.parent / os.path.expanduser(model)
    return model if is_packaged(model) or not os.path.exists(near) else str(near)


def _of_environment() -> dict[str, Setting]:
    found = {}
    for key, about in KEYS.items():
        variable = f"ATTNVIZ_{key.upper()}"
        text = os.environ.get(variable)
        if text:  # an empty variable is none, as usual
            value = int(text) if about.number and text.isascii() and text.isdecimal() else text
            found[key] = Setting(_checked(variable, key, value), variable)
    return found


def _checked(where: str, key: str, value: Any) -> Any:
    about = KEYS[key]
    if not about.fits(value):
        raise AttnvizError(
            f"{where}: expected {about.expected}, got {value!r}",
            f"it is the default of {about.about}",
        )
    return value


def apply(context: Any) -> None:
    """Put what is set in the place of options that were not typed; of `-m`, see `loading`."""
    wanted = (set(KEYS) - {"model"}) & set(context.params)
    if not wanted:
        return
    found = settings()
    for name in wanted & set(found):
        if context.get_parameter_source(name).name == "DEFAULT" and _counts(name, context.params):
            context.params[name] = found[name].value


def _counts(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a default is of use for what is written: data are English, and colour maps are of
    pictures."""
    from attnviz.render import is_picture

    suffixes = [os.path.splitext(path)[1].lower() for path in options.get("output") or ()]
    if name == "lang":
        return not options.get("json") and ".csv" not in suffixes
    if name == "cmap":
        return options.get("plot") is not None or any(map(is_picture, suffixes))
    return True
