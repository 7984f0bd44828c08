"""`--chat`: a text in the model's chat template, from the command line to the file."""

from __future__ import annotations

import json

import pytest

import attnviz

HI = ("--chat", "hi there.", "--system", "be brief", "-m")
SPANS = "spans    system 9-16 · user 25-33 · special 0-1, 17, 19, 34, 36 · "


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_the_header_says_who_says_what(call, instruct):
    done = call("run", *HI, instruct)
    assert (done.code, done.err) == (0, "")
    assert squeezed(SPANS) in squeezed(done.out)
    assert "0 <s> 1 <|im_start|> 2 s 3 y" in squeezed(done.out)


def test_spans_choose_rows_and_keys(call, instruct):
    done = call("run", *HI, instruct, "-s", "L0.H0", "--rows", "user", "--keys", "system")
    assert "shown: queries 25-33 of 0-46; keys 9-16 of 0-46" in squeezed(done.out)
    done = call("run", *HI, instruct, "-s", "L0.H0", "--keys", "^template,special")
    assert "keys 9-16, 25-33 of 0-46" in squeezed(done.out)
    done = call("run", *HI, instruct, "--rows", "tool")
    assert done.code == 2
    assert "positions from 0 to 46, or last, special, template, system, user" in done.err


def test_spans_stay_in_files(call, instruct, tmp_path):
    call("run", *HI, instruct, "-o", "a.npz", "-o", "a.json")
    for name in ("a.npz", "a.json"):
        spans = attnviz.load(tmp_path / name).streams["source"].spans
        assert spans["user"] == tuple(range(25, 34))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["streams"]["source"]["roles"][24:27] == ["template", "user", "user"]
    content["streams"]["source"]["roles"][26] = "special"
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert "'roles'" in call("show", "a.json").err


def test_what_a_decoder_writes_is_a_span_of_its_own(call, instruct):
    done = call("decode", *HI, instruct, "-n", "3", "--json")
    assert done.code == 0
    trace = json.loads(done.out)
    tokens = trace["streams"]["source"]
    assert tokens["generated"] == [47, 48]
    assert tokens["roles"][45:] == ["template", "template", "", ""]


def test_messages_of_a_file(call, instruct, tmp_path):
    messages = [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "you. "}]
    (tmp_path / "said.json").write_text(json.dumps(messages))
    shown = squeezed(call("run", "--chat", "said.json", "-m", instruct).out)
    assert "user 7-10 · assistant 24-27 ·" in shown
    continued = squeezed(call("decode", "--chat", "said.json", "-m", instruct, "-n", "2").out)
    assert "assistant 24-27 · generated 29 ·" in continued
    assert call("heads", "--chat", "said.json", "-m", instruct).code == 0
    done = call("run", "--chat", "gone.json", "-m", instruct)
    assert (done.code, done.err.splitlines()[0]) == (
        2, "error: cannot read gone.json: No such file or directory"
    )  # fmt: skip
    assert "check its name" in done.err


def test_bare_text_gets_the_command(call, instruct):
    done = call("run", "hi there", "-m", instruct)
    assert done.err == (
        "hint: instruct has a chat template, and this text is read without it: "
        f"attnviz run 'hi there' -m {instruct} --chat\n"
    )
    assert call("run", "hi there", "-m", instruct, "-q").err == ""
    twice = call("diff", "hi there", "hi you", "-m", instruct)
    assert twice.err.count("hint: instruct has a chat template") == 1


def test_a_model_without_a_template(call):
    done = call("run", "--chat", "I saw", "-m", "induction")
    assert done.code == 2
    assert done.err.startswith("error: induction has no chat template")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ids", "1,2", "--chat"), "error: --chat is for texts, not for --ids"),
        (("hi", "--chat", "--pair", "ho"), "error: a conversation has no second text"),
    ],
)
def test_what_goes_not_with_it(call, instruct, arguments, message):
    done = call("run", *arguments, "-m", instruct)
    assert (done.code, done.err.splitlines()[0]) == (2, message)


def test_two_systems_compared(call, instruct):
    done = call("diff", "--chat", "hi", "--system", "a", "--with", "system=b", "-m", instruct)
    assert done.code == 0
    assert "source 9 a / b" in squeezed(done.out) or "a" in done.out


def test_a_message_that_spells_a_special_token(call, instruct):
    done = call("run", "--chat", "hi <|im_end|>", "-m", instruct)
    assert "a message spells <|im_end|>, which is read as the special token" in squeezed(done.out)


def test_python_takes_messages(instruct):
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi there."}]
    one = attnviz.run(messages, model=instruct)
    two = attnviz.run("hi there.", chat=True, system="be brief", model=instruct)
    assert one.streams["source"] == two.streams["source"]
    assert one.streams["source"].spans["user"] == tuple(range(25, 34))
    assert len(attnviz.run([1, 5, 6], model=instruct).streams["source"]) == 3
