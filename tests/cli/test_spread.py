"""Groups of options as parameters of a command, and values that are read off them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from attnviz.cli.spread import one_of, refuse, set_options, spread, whole_numbers
from attnviz.errors import AttnvizError


@dataclass(frozen=True)
class Colours:
    """A group."""

    paint_it: Annotated[str, typer.Option(help="which")] = "red"
    shades: int | None = None


@dataclass(frozen=True)
class Sizes:
    """Another one."""

    width: int = 80
    files: list[str] | None = None


def command(text: str, colours: Colours, sizes: Sizes, times: int = 1) -> None:
    """What it does."""
    print(text, colours, sizes, times)


def test_a_group_becomes_its_fields():
    parameters = inspect.signature(spread(command)).parameters
    assert list(parameters) == ["text", "times", "paint_it", "shades", "width", "files"]
    assert parameters["width"].default == 80
    assert parameters["paint_it"].annotation.__metadata__[0].help == "which"
    assert spread(command).__doc__ == "What it does."


def test_the_command_gets_its_groups_from_the_command_line():
    app = typer.Typer()
    app.command()(spread(command))
    done = CliRunner().invoke(app, ["hello", "--paint-it", "blue", "--files", "a", "--files", "b"])
    colours, sizes = Colours("blue"), Sizes(80, ["a", "b"])
    assert done.output.strip() == f"hello {colours} {sizes} 1"


def test_what_was_set_is_named_as_on_the_command_line():
    assert set_options(Colours(), Sizes(width=7)) == {}  # a width has a default: it is always set
    assert set_options(Colours(shades=3), Sizes(files=["a"])) == {"shades": 3, "files": ["a"]}

    @dataclass
    class Longer:
        two_words: str | None = None

    assert set_options(Longer("x")) == {"two-words": "x"}


def test_options_that_are_for_something_else_are_refused():
    refuse({}, "images")
    with pytest.raises(AttnvizError, match=r"^--shades is for images") as error:
        refuse({"shades": 3}, "images")
    assert error.value.hint == "leave out --shades"


def test_one_of():
    assert one_of("scale", "row", ("all", "row")) == "row"
    with pytest.raises(AttnvizError, match="--scale: unknown value 'rwo'") as error:
        one_of("scale", "rwo", ("all", "row"))
    assert "row" in error.value.hint


def test_whole_numbers():
    assert whole_numbers("ids", "4,-16, 64") == [4, -16, 64]
    for text in ("", "4,,5", "4 5", "1.5", "x"):
        with pytest.raises(AttnvizError, match="--ids: expected whole numbers"):
            whole_numbers("ids", text)
