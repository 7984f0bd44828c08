"""What a chunk gives, against its texts one by one; and how chunks add up."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import load_model
from attnviz.analysis.metrics import METRICS
from attnviz.errors import AttnvizError
from attnviz.scan import tally as module
from attnviz.scan.corpus import Chunk, Line
from attnviz.scan.measure import Meter
from attnviz.scan.tally import (
    Complaint,
    Counts,
    Job,
    check_ranges,
    check_worker,
    merge,
    registered_metrics,
    tally,
)
from attnviz.scan.texts import read_line

TEXTS = ["I saw a saw", "the old house was not seen by them", "a saw", "I saw , and saw ."]
JOB = Job("tagger", (), 512)


def chunk(*texts, first=1):
    lines = tuple(Line(first + i, text) for i, text in enumerate(texts))
    return Chunk(lines, len(lines), 0, 0, "", 0)


def test_means_are_those_of_the_texts_one_by_one():
    model = load_model("tagger")
    meter = Meter(model)
    values = np.concatenate(
        [meter(read_line(model, text, 512)).values for text in TEXTS]
    )  # [n_text, n_metric, n_row]
    found = tally(JOB, chunk(*TEXTS))
    known = ~np.isnan(values)
    np.testing.assert_array_equal(found.statistics.texts, known.sum(0))
    expected = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    np.testing.assert_allclose(found.statistics.mean, expected, rtol=1e-5, atol=1e-6)
    assert (found.counts.lines, found.counts.texts) == (4, 4)
    assert found.counts.tokens == sum(
        sum(text.lengths) for line in TEXTS for text in read_line(model, line, 512)
    )


def test_long_lines_are_cut_and_counted():
    found = tally(JOB._replace(max_length=5), chunk(*TEXTS))
    model = load_model("tagger")
    assert found.counts.texts == sum(len(read_line(model, text, 5)) for text in TEXTS) > 4
    assert found.counts.windowed == sum(len(read_line(model, text, 5)) > 1 for text in TEXTS)


def test_chunks_add_up_and_the_first_complaint_stays():
    a, b = tally(JOB, chunk(*TEXTS[:1])), tally(JOB, chunk(*TEXTS[1:]))
    both = merge(a, b)
    whole = tally(JOB, chunk(*TEXTS))
    assert both.counts == whole.counts
    np.testing.assert_allclose(both.statistics.mean, whole.statistics.mean, atol=1e-12)
    first, second = Complaint(3, "why"), Complaint(9, "why too")
    assert merge(a._replace(complaint=first), b._replace(complaint=second)).complaint == first
    assert merge(a, b._replace(complaint=second)).complaint == second
    counts = Counts(*range(9)).plus(Counts(*range(0, 90, 10)))
    assert counts == Counts(*range(0, 99, 11))


def test_values_become_statistics_however_many_are_kept(monkeypatch):
    whole = tally(JOB, chunk(*TEXTS))
    monkeypatch.setattr(module, "FOLD_CELLS", 0)
    module._worker.cache_clear()
    often = tally(JOB, chunk(*TEXTS))
    module._worker.cache_clear()
    np.testing.assert_array_equal(often.statistics.histogram, whole.statistics.histogram)
    np.testing.assert_allclose(often.statistics.squares, whole.statistics.squares, atol=1e-9)


def test_texts_that_are_broken_are_counted_and_left_out(monkeypatch):
    """One text of which one metric is NaN though its null is not: none of it counts."""
    intact = tally(JOB, chunk(*TEXTS[1:]))
    measure = Meter.__call__

    def broken(self, texts):
        measures = measure(self, texts)
        for i, text in enumerate(texts):
            if text.streams["source"].tokens[1:5] == ("I", "saw", "a", "saw"):
                measures.values[i, list(METRICS).index("entropy")] = np.nan
        return measures

    monkeypatch.setattr(Meter, "__call__", broken)
    tokens = read_line(load_model("tagger"), TEXTS[0], 512)[0].streams["source"].tokens
    assert tokens[1:5] == ("I", "saw", "a", "saw")
    found = tally(JOB, chunk(*TEXTS))
    assert (found.counts.texts, found.counts.broken) == (4, 1)
    np.testing.assert_allclose(found.statistics.mean, intact.statistics.mean, atol=1e-12)


def test_a_metric_outside_its_range_is_named():
    values = np.full((3, len(METRICS), 2), np.nan)
    check_ranges(values)
    values[1, list(METRICS).index("first_token"), 0] = 1.5
    with pytest.raises(AttnvizError, match=r"first_token is 1\.5 on a text; expected 0 to 1"):
        check_ranges(values)


def test_a_process_with_other_metrics_or_weights_is_refused():
    check_worker(JOB._replace(metrics=registered_metrics()))
    names = registered_metrics()
    with pytest.raises(AttnvizError, match=f"other metrics: {names[-1][0]}"):
        check_worker(JOB._replace(metrics=names[:-1]))
    with pytest.raises(AttnvizError, match="other metrics: their order"):
        check_worker(JOB._replace(metrics=names[::-1]))
    with pytest.raises(AttnvizError, match="expected the SHA-256 beef"):
        check_worker(JOB._replace(sha256="beef"))
