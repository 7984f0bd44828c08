"""What the decoder's views say, against the trace that they are of."""

from __future__ import annotations

import pytest

from attnviz.analysis.decoding import alignment_head
from attnviz.analysis.informative import head_information
from attnviz.models import load_model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import read_target, read_text
from attnviz.models.run.prepare import prepare_tokens
from attnviz.nn.cache import ContiguousCache
from attnviz.running import run
from attnviz.trace.selection import Selection, parse_selection
from attnviz.views.decoding import decoding_views
from attnviz.views.kinds import Heatmap, Links, Table

SOURCE = "我看见了一把锯子"


@pytest.fixture(scope="module", params=[None, "I saw"], ids=["from the start", "from I saw"])
def decoded(request):
    model = load_model("phrases")
    source = read_text(model, SOURCE)
    target = None if request.param is None else read_target(model, request.param).ids
    generated = generate(model, source, target=target, stages=("weights",))
    streams = {"source": source, "target": generated.read}
    trace = forward(prepare_tokens(model, streams), fingerprint=False)
    return trace, generated


def views(decoded, kind, *, steps=False, selection=()):
    trace, generated = decoded
    drawn = decoding_views(trace, parse_selection(selection), generated, "text", top=2, steps=steps)
    return [view for view in drawn if isinstance(view, kind)]


def test_the_alignment_is_of_the_rows_that_wrote(decoded):
    trace, generated = decoded
    links = views(decoded, Links)[0]
    rows = trace["decoder.1.cross"].weights[0, generated.n_given - 1 :]
    assert (links.values == rows).all()
    assert links.right.labels == generated.written.labels
    assert links.right.index(0) == str(generated.n_given)
    assert links.left.labels == trace.streams["source"].labels


def test_what_was_written_moves_no_cursor(decoded):
    trace, generated = decoded
    hostile = " a\n\x1b[2Jb"
    (text, *_) = decoding_views(trace, Selection(), generated, hostile, top=0, steps=False)
    assert text.lines[1].text == "a⏎␛[2Jb"


def test_the_table(decoded):
    trace, generated = decoded
    table = next(t for t in views(decoded, Table) if t.title == "step by step")
    target, source = trace.streams["target"], trace.streams["source"]
    weights = trace["decoder.1.cross"].weights[0]
    assert len(table.rows) == len(generated.steps)
    for number, (step, reads, writes, probability, looks) in enumerate(table.rows):
        place = generated.n_given - 1 + number
        assert step == number
        assert reads == f"{place} {target.labels[place]}"
        assert writes == generated.written.labels[number]
        exact = generated.steps[number].probability
        assert probability == (">0.9999" if exact >= 0.99995 else f"{exact:.4f}")
        best = int(weights[place].argmax())
        assert looks == f"{best} {source.labels[best]} ({weights[place, best]:.2f})"


def test_the_steps_grow_into_the_whole(decoded):
    trace, generated = decoded
    own = [h for h in views(decoded, Heatmap, steps=True) if "self" in h.title]
    cross = [h for h in views(decoded, Heatmap, steps=True) if "cross" in h.title]
    assert len(own) == len(cross) == len(generated.steps)
    for number in range(len(generated.steps)):
        n = generated.n_given + number
        whole = trace["decoder.1.self"].weights[0, :n, :n]
        assert own[number].values.shape == (n, n)
        assert abs(own[number].values - whole).max() < 1e-5
        assert ((own[number].masked == 0) == (trace["decoder.1.self"].mask[:n, :n])).all()
        assert abs(cross[number].values - trace["decoder.1.cross"].weights[0, :n]).max() < 1e-5


def test_the_sharpest_of_the_selected(decoded):
    trace, _ = decoded
    selection = parse_selection(["decoder.0.cross"])
    record, head = alignment_head(trace, selection)
    entropies = [head_information(trace["decoder.0.cross"], h).entropy for h in range(4)]
    assert (record.id, head) == ("decoder.0.cross", entropies.index(min(entropies)))


def test_probabilities_are_those_of_the_output():
    import numpy as np

    model = load_model("phrases")
    generated = generate(model, read_text(model, SOURCE), max_tokens=4)
    trace = run(SOURCE, target=generated.read.ids, model=model, logits=True)
    logits = trace.logits.astype(np.float64)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    for row, step in zip(shares, generated.steps, strict=True):
        assert step.id == row.argmax()
        assert step.probability == pytest.approx(row.max(), abs=1e-5)


def test_decoding_stops_where_the_model_does():
    model = load_model("phrases")._replace(max_tokens=10)
    generated = generate(model, read_text(model, SOURCE), target=[1, 5, 5, 5], max_tokens=64)
    assert len(generated.read) <= 10


def test_a_cache_is_used_unless_it_is_not_wanted():
    model = load_model("induction")
    source = read_text(model, "abcab")
    for cache, n_row in ((ContiguousCache, 1), (None, 8)):
        generated = generate(model, source, max_tokens=3, stages=("weights",), cache=cache)
        assert generated.steps[-1].records[0].weights.shape[1:] == (n_row, 8)
