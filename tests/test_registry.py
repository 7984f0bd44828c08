"""Names, near names, and the small language of options."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz.errors import AttnvizError
from attnviz.nn.masks import MASKS
from attnviz.nn.scores import SCORES
from attnviz.registry import (
    Entry,
    ModuleRegistry,
    Registry,
    _plain,
    convert,
    nearest,
    parse_spec,
    slip,
)

SPECS = {
    "causal": ("causal", {}),
    "window:size=3": ("window", {"size": "3"}),
    "documents:lengths=3,2": ("documents", {"lengths": "3,2"}),
    "random:layers=2,heads=4": ("random", {"layers": "2", "heads": "4"}),
    " rope : base = 500000 , style = half ": ("rope", {"base": "500000", "style": "half"}),
    "random:positions=rope": ("random", {"positions": "rope"}),
}


@pytest.mark.parametrize("text", SPECS)
def test_parse_spec(text):
    assert parse_spec(text) == SPECS[text]


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(AttnvizError):
        name, options = parse_spec(text)
        assert name == text.partition(":")[0].strip()
        assert all(isinstance(value, str) for value in options.values())


def test_unknown_names_get_the_nearest():
    with pytest.raises(AttnvizError, match="unknown score: 'cosin'") as error:
        SCORES["cosin"]
    assert error.value.hint.startswith("did you mean `cosine`?")
    assert "additive, dot, scaled_dot" in error.value.hint
    assert nearest("zzz", ["a", "b"]) == "known: a, b"


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("widnow", "window"), ("windo", "window"), ("windoww", "window"), ("wundow", "window"),
        ("Window", "window"), ("scaleddot", "scaled_dot"), ("scaled-dot", "scaled_dot"),
        ("dgo", "dog"), ("dott", "dot"), ("sinusiodla", "sinusoidal"),
    ],
)  # fmt: skip
def test_a_slip_of_the_finger_is_understood(name, guess):
    assert slip(name, ["window", "scaled_dot", "dog", "dot", "sinusoidal", "opt"]) == guess


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("mpnet", "opt"), ("gpt", "opt"), ("mamba", "marian"), ("xlnet", "bert"), ("a", "b"), ("", "a"),
        ("falcon", "llama"), ("attention", "additive"), ("zzz", "dot"), ("rand", "random"),
        ("deberta", "bert"), ("phi", "phi3v"), ("xx" * 5000, "yy" * 5000),
    ],
)  # fmt: skip
def test_another_word_is_not_taken_for_one(name, known):
    assert slip(name, [known]) is None
    assert nearest(name, [known]) == f"known: {known}"


@given(st.text(max_size=9), st.integers(0, 9), st.text(min_size=1, max_size=1))
def test_one_letter_too_many_is_one_edit(name, at, letter):
    longer = name[:at] + letter + name[at:]
    if len(_plain(longer)) in (len(_plain(name)) + 1, len(_plain(name)) - 1):
        assert slip(longer, [name]) == (name if len(_plain(longer)) > 2 else None)


def test_options_are_typed():
    assert MASKS.options("window", {"size": "3"}) == {"size": 3}
    assert MASKS.options("documents", {"lengths": "3,2"}) == {"lengths": (3, 2)}
    assert SCORES.options("gaussian", {"sigma": "0.5"}) == {"sigma": 0.5}
    with pytest.raises(AttnvizError, match=r"it takes no options|has no option"):
        SCORES.options("dot", {"sigma": "1"})


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("4", "int", 4), ("0.5", "float", 0.5), ("yes", "bool", True), ("False", "bool", False)],
)
def test_convert(text, kind, value):
    assert convert(text, kind, "x") == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("x", "int"), ("1.5", "int"), ("x", "float"), ("maybe", "bool"), ("1" * 5000, "int"),
     ("nan", "float"), ("0", "Size"), ("-1", "Count"), ("0", "Positive"), ("-1", "Positive"),
     ("5e-324", "Positive"), ("nan", "Positive"), ("3,-1", "tuple[int, ...]")],
    ids=lambda text: text[:9],
)  # fmt: skip
def test_what_does_not_convert(text, kind):
    with pytest.raises(AttnvizError, match="x: expected") as error:
        convert(text, kind, "x")
    assert "write for example" in error.value.hint
    assert len(error.value.message) < 200


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1" * 20, "int"), ("-" + "1" * 20, "int | None"), ("9" * 10, "Size"), ("9" * 10, "Count"),
     ("-" + "9" * 10, "Position"), ("inf", "float"), ("1e400", "float"), ("1e13", "Positive"),
     ("3," + "9" * 10, "tuple[int, ...]")],
)  # fmt: skip
def test_what_is_too_large(text, kind):
    with pytest.raises(AttnvizError, match=r"x: .* is too large"):
        convert(text, kind, "x")


@dataclass(frozen=True)
class Animal(Entry):
    legs: int = 4


def registry():
    animals = Registry("animal", Animal)

    @animals.add
    def dog(n, *, loud: bool = False):
        """Barks n times. More of it: a dog
        is not a cat."""
        return "wuff" * n

    @animals.add(legs=8, name="jumping-spider")
    def spider():
        pass

    return animals


def test_an_entry_knows_its_function_its_summary_and_what_its_kind_adds():
    animals = registry()
    assert list(animals) == ["dog", "jumping-spider"]
    assert animals["dog"].function(2) == animals["dog"](2) == "wuffwuff"
    assert animals["dog"].summary == "Barks n times"
    assert animals["jumping-spider"].summary == ""
    assert [entry.legs for entry in animals.values()] == [4, 8]
    with pytest.raises(AttnvizError, match="unknown animal: 'dgo'") as error:
        animals["dgo"]
    assert "did you mean `dog`?" in error.value.hint


def test_options_of_a_module_that_does_not_postpone_its_annotations():
    animals = Registry("animal", Animal)

    def cat(*, lives=9):
        return lives

    cat.__annotations__["lives"] = int
    animals.add(cat)
    assert animals.options("cat", {"lives": "7"}) == {"lives": 7}


def test_modules_are_listed_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "menagerie"
    package.mkdir()
    for name in ("__init__", "owl", "bat", "_private", "food"):
        (package / f"{name}.py").write_text("raise SystemExit" if name == "bat" else "LEGS = 2")
    monkeypatch.syspath_prepend(tmp_path)
    menagerie = ModuleRegistry("bird", "menagerie", helpers=("food",))
    assert list(menagerie) == ["bat", "owl"]
    assert "owl" in menagerie
    assert menagerie["owl"].LEGS == 2
    outside = ModuleType("elsewhere.ibis")
    menagerie.add(outside)
    assert list(menagerie) == ["bat", "owl", "ibis"]
    assert menagerie["ibis"] is outside
    for name in ("food", "_private", "own"):
        with pytest.raises(AttnvizError, match="unknown bird"):
            menagerie[name]
