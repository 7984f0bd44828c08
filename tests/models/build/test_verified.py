"""The table of verified families says what is measured here and now.

`ATTNVIZ_UPDATE=1 pytest tests/models/build` writes it anew.
"""

from __future__ import annotations

import json
import os

import pytest

from attnviz.models.build.families import FAMILIES
from attnviz.models.build.verified import TABLE, markdown, names, verified
from tests.conftest import HERE
from tests.models.build.families import goldens
from tests.models.build.families.bounds import ATTENTIONS, HIDDEN_STATES, LOGITS

ROOM = 10

PAGE = HERE.parent / ".github" / "docs" / "checkpoints.md"


def stated(error: float, bound: float) -> float:
    """The error that the table gives: at least ROOM times the measured one, as other machines add
    up in another order, and other configs differ by more; 1, 2 or 5 times a power of ten. None is
    above the `bound` of all families."""
    steps = (step * 10.0**power for power in range(-9, 1) for step in (1, 2, 5))
    return min(bound, next(float(f"{step:.0e}") for step in steps if step >= ROOM * error))


def measured():
    """By family, what the table has of it, with the errors as they are."""
    found = {}
    for variant in goldens.VARIANTS:
        errors = [goldens.measured(variant, name) for name in goldens.cases(variant)]
        family = found.setdefault(
            goldens.model_type(variant), {"variants": [], "cases": {}, "errors": []}
        )
        family["variants"].append(variant)
        family["cases"] |= dict.fromkeys(goldens.cases(variant))
        family["errors"] += errors
        family["transformers"] = goldens.config(variant)["transformers_version"]
    return found


def as_table(found):
    table = {}
    for name, family in sorted(found.items()):
        worst = goldens.worst(family["errors"])
        table[name] = {
            "variants": family["variants"],
            "cases": list(family["cases"]),
            "attentions": stated(worst.attentions, ATTENTIONS),
            "hidden_states": stated(worst.hidden_states, HIDDEN_STATES),
            "logits": None if worst.logits is None else stated(worst.logits, LOGITS),
            "transformers": family["transformers"],
        }
    return table


@pytest.fixture(scope="module")
def now():
    found = measured()
    if os.environ.get("ATTNVIZ_UPDATE"):
        TABLE.write_text(json.dumps(as_table(found), indent=1) + "\n")
    return found


def test_it_has_every_family_that_can_be_loaded(now):
    assert set(verified()) == set(FAMILIES) - {"attnviz"} == set(now)


def test_it_names_what_was_run(now):
    for name, family in verified().items():
        assert list(family.variants) == now[name]["variants"]
        assert list(family.cases) == list(now[name]["cases"])
        assert family.transformers == now[name]["transformers"]


def test_no_error_is_larger_than_it_says(now):
    for name, family in verified().items():
        worst = goldens.worst(now[name]["errors"])
        assert 2 * worst.attentions <= family.attentions <= ATTENTIONS, name
        assert 2 * worst.hidden_states <= family.hidden_states <= HIDDEN_STATES, name
        assert (worst.logits is None) == (family.logits is None), name
        if worst.logits is not None:
            assert 2 * worst.logits <= family.logits <= LOGITS, name


def test_the_page_has_the_table():
    assert markdown() in PAGE.read_text("utf-8")


def test_the_readme_names_them():
    text = (HERE.parent / "README.md").read_text("utf-8")
    assert f"of\n{names()}.\n" in text
    assert f"- Checkpoints of {len(verified())} families" in text
