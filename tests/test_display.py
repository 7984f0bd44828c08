"""Traces from Python and in notebooks: a real kernel, and the page that it makes in a browser."""

from __future__ import annotations

import base64
import inspect
import re

import numpy as np
import pytest

import attnviz
from attnviz import AttnvizError, attend, display, load, run
from attnviz.analysis.encoding import encode_positions
from attnviz.analysis.flow import flow, rollout_mix
from attnviz.analysis.metrics.measure import measure_heads


@pytest.fixture(scope="module")
def trace():
    return run("I saw a saw")


@pytest.fixture(scope="module")
def attention():
    q = np.random.default_rng(5).standard_normal((3, 2, 7, 5)).astype(np.float32)
    return attend(*q, causal=True)


def test_reprs_are_a_few_lines_and_hold_no_numbers(trace, attention):
    assert repr(trace).splitlines() == [
        "<Trace of tagger, encoder, trained",
        "  source, 6 tokens: [BOS] I saw a saw [EOS]",
        "  <Record encoder.0.self: mask [6, 6], weights [4, 6, 6]>",
        "  <Record encoder.1.self: mask [6, 6], weights [4, 6, 6]>>",
    ]
    assert repr(trace["L1.H3"]).startswith("<Record encoder.1.self.H3: ")
    assert "weights [2, 7, 7]" in repr(attention)
    long = run("saw " * 100, model="random:layers=9")
    assert len(repr(long)) < 700
    assert "… and 5 more records" in repr(long)
    assert "100 tokens: saw" in repr(long)


def test_results_name_shapes(trace):
    shares, positions = (
        flow(list(trace), rollout_mix),
        encode_positions("sinusoidal", 7, 12, 3, seed=0),
    )
    for result in (shares, positions):
        text = repr(result)
        assert text.startswith(f"<{type(result).__name__}: ")
        assert len(text) < 600
        assert "array(" not in text
        assert "0." not in text
    assert "added [7, 12]" in repr(positions)


def test_a_trace_as_text(trace):
    text = trace.text(width=100)
    assert "tagger" in text.splitlines()[0]
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "L1.H2" in trace.text(["L1.H2"])
    assert "L1.H3" not in trace.text(["L1.H2"])


@pytest.mark.parametrize(
    ("name", "start"),
    [("t.png", b"\x89PNG"), ("t.html", b"<!doctype html>"), ("t.md", b""), ("t.npz", b"PK")],
)
def test_save_takes_every_format(trace, tmp_path, name, start):
    trace.save(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
    if name.endswith(".npz"):
        assert load(tmp_path / name).streams == trace.streams


def test_save_names_what_it_does_not_know(trace, tmp_path):
    with pytest.raises(AttnvizError, match=r"unknown format '.doc'") as caught:
        trace.save(tmp_path / "t.doc")
    assert ".html" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_errors_show_their_hint():
    with pytest.raises(AttnvizError) as caught:
        run("saw", model="tagge")
    assert str(caught.value) == f"{caught.value.message}\nhint: {caught.value.hint}"


def test_a_model_that_became_random_says_why():
    assert "tagger has no weights for heads=8: these are random" in run("saw", heads=8).model.notes
    assert not any("heads=8" in note for note in run("saw", model="random", heads=8).model.notes)


def test_a_table_of_heads(trace):
    table = measure_heads(trace)
    bundle = table._repr_mimebundle_()
    assert bundle["text/plain"].startswith("<HeadTable: 8 heads × ")
    assert "previous-token" in bundle["text/html"]
    assert set(bundle) == {"text/plain", "text/html", "image/png"}


@pytest.mark.parametrize("what", ["trace", "record", "head", "attention"])
def test_what_a_notebook_gets(trace, attention, what):
    shown = {"trace": trace, "record": trace["encoder.0.self"], "head": trace["L1.H3"],
             "attention": attention}[what]  # fmt: skip
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown)
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert re.match(r'<iframe srcdoc="[^"]*" sandbox="allow-scripts', bundle["text/html"])
    assert ("L1.H3" in bundle["text/html"]) == (what in ("trace", "head"))
    assert set(shown._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}
    assert "text/html" not in shown._repr_mimebundle_(exclude=["text/html"])


def test_what_is_too_large_for_a_page_is_said(trace, monkeypatch):
    monkeypatch.setattr("attnviz.render.html.page_data.MAX_CELLS", 10)
    bundle = trace._repr_mimebundle_()
    assert "text/html" not in bundle
    assert bundle["text/plain"].startswith("<Trace of tagger")
    assert "hint: select fewer" in bundle["text/plain"]
    assert set(trace._repr_mimebundle_(include=["text/html"])) == set()


def test_a_batch_names_its_axes():
    with pytest.raises(AttnvizError, match=r"\[2, 1, 7, 7\] have leading axes"):
        display.trace_of(attend(*np.ones((3, 2, 1, 7, 5))))


def test_help_shows_what_there_is():
    assert set(attnviz.__all__) <= set(dir(attnviz))
    for name in attnviz.__all__:
        if inspect.isfunction(getattr(attnviz, name)):
            function = getattr(attnviz, name)
            assert inspect.getdoc(function), name
            for parameter in inspect.signature(function).parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)
            assert inspect.signature(function).return_annotation is not inspect.Signature.empty


NOTEBOOK = (
    """
import attnviz
trace = attnviz.run("I saw a saw")
""",
    "trace",
    'trace["L1.H3"]',
    'attnviz.run("</script><script>window.hacked=1</script> saw")',
)


@pytest.fixture(scope="module")
def executed():
    """A notebook that a real kernel ran."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, NOTEBOOK)))
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def test_a_real_kernel_shows_pages_pictures_and_lines(executed):
    first, *shown = executed.cells
    assert first.outputs == []
    for cell in shown:
        (output,) = cell.outputs
        assert set(output.data) == {"text/plain", "image/png", "text/html"}
        assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
        assert len(output.data["text/plain"]) < 600


@pytest.mark.browser
def test_pages_on_one_notebook_do_not_meet(executed, browser, tmp_path):
    frames = [cell.outputs[0].data["text/html"] for cell in executed.cells[1:]]
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>notebook</title>{''.join(frames)}")
    context = browser.new_context(offline=True)
    page = context.new_page()
    messages = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    inside = [frame for frame in page.frames if frame is not page.main_frame]
    assert len(inside) == 3
    for frame in inside:
        frame.wait_for_selector("html[data-ready=yes]")
    inside[0].locator(".thumb").nth(2).click()
    assert "L0.H2" in inside[0].inner_text(".explorer .panel h2")
    assert "L0.H2" not in inside[2].inner_text(".explorer .panel h2")
    assert inside[2].evaluate("window.hacked") is None
    assert messages == []
    context.close()
