"""`attnviz learn`: lessons."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from attnviz.lessons import LESSONS, choose, reading_order, retrieval
from tests.conftest import HERE

SAMPLES = HERE.parent / "samples" / "lessons"


def test_the_list_names_every_lesson(call):
    done = call("learn")
    assert (done.code, done.err) == (0, "")
    for name in LESSONS:
        assert re.search(rf" {name} ", done.out)
    listed = json.loads(call("learn", "--json").out)["lessons"]
    assert listed == {name: choose(name, {}).title for name in reading_order()}
    assert list(listed) == reading_order()


def test_the_list_fits_a_screen_and_begins_where_a_beginner_should(call):
    lines = call("learn", "--width", "80").out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    groups = json.loads(call("learn", "--json").out)["groups"]
    assert list(groups) == ["start here", "deeper", "models compared", "practice"]
    listed = [name for names in groups.values() for name in names]
    assert sorted(listed) == sorted(LESSONS)
    assert all(
        question in "\n".join(lines) for names in groups.values() for question in names.values()
    )


@pytest.mark.parametrize(
    ("wanted", "lesson"),
    [
        (["qkv"], "retrieval"),
        (["Queries"], "retrieval"),
        (["QKV:query=moose"], "retrieval"),
        (["kernel", "trick"], "pooling"),
        (["Nadaraya"], "pooling"),
        (["rnn"], "cost"),
    ],
)  # fmt: skip
def test_a_lesson_is_found_by_what_it_is_about(call, monkeypatch, wanted, lesson):
    given = []
    monkeypatch.setattr(
        "attnviz.lessons.choose",
        lambda name, options: given.append(name) or choose("retrieval", {}),
    )
    done = call("learn", *wanted)
    assert (done.code, given) == (0, [lesson])
    (line,) = done.err.splitlines()
    assert line.startswith(f"{' '.join(wanted).partition(':')[0]}: this is the lesson `{lesson}` (")


def test_one_lesson_with_its_claims(call):
    done = call("learn", "retrieval")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Retrieval: a dictionary that returns a blend\n")
    claims = done.out[done.out.index("claims, checked") :]
    assert claims.count(" yes") == 3
    assert " NO" not in claims


def test_options(call):
    done = call("learn", "retrieval:query=moose,items=elk,ox,similarities=3,1", "--json")
    content = json.loads(done.out)
    assert content["options"] == {"query": "moose", "items": "elk,ox", "similarities": "3,1"}
    assert content["arrays"]["1 weights"][0] == [pytest.approx(0.75), pytest.approx(0.25)]


def test_an_input_file(call, tmp_path):
    own = tmp_path / "own.toml"
    text = (SAMPLES / "retrieval.toml").read_text("utf-8")
    own.write_text(text.replace("4,2,3,3,0", "0,0,0,0,7"), "utf-8")
    assert json.loads(call("learn", own, "--json").out)["arrays"]["1 weights"][0] == [0, 0, 0, 0, 1]
    default = call("learn", SAMPLES / "retrieval.toml")
    assert default.out == call("learn", "retrieval").out


def test_the_readers_text(call):
    content = json.loads(call("learn", "steps", "--text", "the cat sat", "--json").out)
    assert content["options"] == {"text": "the cat sat"}
    assert "cat" in call("learn", "steps", "--text", "the cat sat").out
    from_file = call("learn", SAMPLES / "steps.toml", "--text", "the cat sat")
    assert from_file.out == call("learn", "steps", "--text", "the cat sat").out


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["xyzzy"], "unknown lesson: 'xyzzy'", "known: block"),
        (["the"], "unknown lesson: 'the'", "known: block"),
        (["rotray"], "unknown lesson: 'rotray'", "did you mean `rotary`?"),
        (["retrival"], "unknown lesson: 'retrival'", "did you mean `retrieval`?"),
        (["retrieval:queri=x"], "the lesson 'retrieval' has no option 'queri'", "did you mean"),
        (["retrieval", "--text", "x"], "has no option 'text'", "known: query"),
        (["retrieval:x"], "expected key=value after the colon", "write for example"),
        (["retrieval", "--lang", "tlh"], "--lang: unknown language 'tlh'", "en"),
        (["all:n=4"], "all lessons take no options", "attnviz learn all"),
        (["all", "--text", "x"], "all lessons take no options", "attnviz learn all"),
        (["nowhere.toml"], "cannot read nowhere.toml: No such file", "check its name"),
        (["retrieval", "-o", "x.doc"], "unknown format '.doc'", "known: "),
        (["all", "-o", "no/x.md"], "the folder no does not exist", "mkdir"),
    ],
)  # fmt: skip
def test_what_does_not_work(call, arguments, error, hint):
    done = call("learn", *arguments)
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]


def test_a_failed_claim_is_shown_and_is_the_exit_code(call, monkeypatch):
    right = retrieval.attend

    def wrong(*args, **kwargs):
        done = right(*args, **kwargs)
        return done._replace(weights=2 * done.weights)

    monkeypatch.setattr(retrieval, "attend", wrong)
    done = call("learn", "retrieval")
    assert done.code == 1
    claims = done.out[done.out.index("claims, checked") :]
    assert re.search(r"weights sum to 1 +2 +NO", claims)
    assert claims.count(" yes") == 2


@pytest.fixture(scope="module")
def three_lessons():
    return ("retrieval", *[name for name in reading_order() if name != "retrieval"][:2])


def test_a_handout_of_all(call, monkeypatch, tmp_path, three_lessons):
    monkeypatch.setattr("attnviz.lessons.reading_order", lambda: three_lessons)
    done = call("learn", "all", "-o", "lessons.md")
    assert (done.code, done.out) == (0, "")
    text = (tmp_path / "lessons.md").read_text("utf-8")
    for name in three_lessons:
        assert choose(name, {}).title in text
    assert text.count("claims, checked") == 3
    links = re.findall(r"!\[[^\n]*\]\(([^)]+)\)", text)
    assert len(links) == len(set(links)) >= 2
    for link in links:
        assert (tmp_path / link).read_bytes().startswith(b"\x89PNG")
    folder = tmp_path / "lessons-pictures"
    assert sorted(folder.iterdir()) == sorted(tmp_path / link for link in links)
    assert f"wrote lessons.md and {len(links)} pictures in lessons-pictures" in done.err


def test_a_handout_and_other_files(call, monkeypatch, tmp_path, three_lessons):
    monkeypatch.setattr("attnviz.lessons.reading_order", lambda: three_lessons)
    done = call("learn", "all", "-o", "all.md", "-o", "all.csv", "--json")
    assert done.code == 0
    assert [json.loads(line)["lesson"] for line in done.out.splitlines()] == list(three_lessons)
    files = {Path(path).name for path in tmp_path.iterdir()}
    assert files == {"all.md", "all-pictures", "all-0.csv", "all-1.csv", "all-2.csv"}


def test_the_same_handout_twice(call, monkeypatch, tmp_path, three_lessons):
    monkeypatch.setattr("attnviz.lessons.reading_order", lambda: three_lessons[:2])
    written = []
    for _ in range(2):
        call("learn", "all", "-o", "all.md")
        written.append({p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()})
    assert written[0] == written[1]


def test_no_lesson_in_a_pipe_has_colours(cli):
    done = cli("learn", "retrieval", NO_COLOR="1")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
