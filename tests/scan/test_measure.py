"""Batches of a corpus against the same texts one by one, through traces."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz import load_model, run
from attnviz.analysis.metrics import METRICS
from attnviz.analysis.metrics.measure import measure_heads
from attnviz.analysis.metrics.values import output_weights
from attnviz.scan.measure import Meter, heads_of, to_last_attention
from attnviz.scan.texts import batches, read_line

WORDS = [
    "I",
    "saw",
    "a",
    "saw",
    ",",
    "and",
    "the",
    "old",
    "house",
    "was",
    "not",
    "seen",
    "by",
    "them",
    ".",
]


RANDOM = "random:layers=2,heads=6,kv_heads=3,d_model=24,vocabulary=31"


def sentences(generator, count, longest=11):
    return [" ".join(generator.choice(WORDS, generator.integers(1, longest))) for _ in range(count)]


def one_by_one(model, text):
    """[n_metric, n_row] of values, nulls and rows, from a trace."""
    target = None
    if model.kind == "encoder-decoder":
        text, _, target = text.partition("\t")
    trace = run(text, target=target, model=model, stages=("weights", "v"))
    table = measure_heads(trace, outputs=output_weights(model.transformer))
    return [
        np.stack([kind[name] for name in METRICS]) for kind in (table.value, table.null, table.rows)
    ]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tagger", "{}"),
        ("induction", "{}"),
        ("phrases", "good {}\t早上好"),
        (RANDOM, "{}"),
        (RANDOM + ",kind=decoder,positions=alibi,mask=causal+window:size=3", "{}"),
        ("random:layers=2,kind=encoder-decoder,positions=t5,norm_place=pre", "{}\t{}"),
        ("random:layers=2,norm=batch", "{}"),
    ],
)
def test_batches_are_what_traces_are(name, line, generator, streamed):
    model = load_model(name)
    found = {}
    lines = [line.format(text, text) for text in sentences(generator, 23)]
    texts = [text for each in lines for text in read_line(model, each, 512)]
    meter = Meter(model, 0) if streamed else Meter(model)
    for batch in batches(texts, 0 if streamed or "norm=batch" in name else 500):
        measures = meter(batch)
        for number, text in enumerate(batch):
            found[id(text)] = [array[number] for array in measures]
    for text, own in zip(texts, lines, strict=True):
        for mine, right in zip(found[id(text)], one_by_one(model, own), strict=True):
            np.testing.assert_allclose(mine, right, rtol=2e-5, atol=2e-6)
    assert len(heads_of(model.transformer)[0]) == mine.shape[-1]


def test_what_no_attention_sees_is_left_out():
    transformer = load_model("tagger").transformer
    shorter = to_last_attention(transformer)
    assert len(shorter.encoder.blocks[-1]) < len(transformer.encoder.blocks[-1])
    assert shorter.sites() == transformer.sites()
