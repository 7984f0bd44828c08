"""Pages of texts that are longer than their maps: windows of tokens, and exact strongest links."""

from __future__ import annotations

import re

import numpy as np
import pytest

import attnviz
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.render.html import page_data, render
from attnviz.trace.selection import Selection
from attnviz.trace.summary import SummaryPlan
from attnviz.views.attention import attention_views

N_LINK = 3
WORDS = " ".join(f"w{i * i % 97}" for i in range(701))


def trace_of(kind, **more):
    model = attnviz.load_model("random", {"kind": kind, "layers": 2, "heads": 2, "d_model": 8})
    plan = SummaryPlan(map_size=11, n_link=N_LINK)
    prepared = prepare(model, WORDS, **more, memory=1 << 20, summaries=lambda streams: plan)
    assert prepared.summaries is not None
    return forward(prepared), attnviz.run(WORDS, model=model, **more)


@pytest.fixture(scope="module")
def decoder():
    short, whole = trace_of("decoder")
    return attention_views(short, Selection()), whole


def test_where_one_token_of_the_text_looks(open_page, decoder):
    views, whole = decoder
    weights = whole["decoder.1.self"].weights[1]
    opened = open_page(views, "#head=L1.H1&view=text&query=404")
    assert opened.page.locator(".text-view > div .token").count() >= N_LINK
    expected = np.argsort(-weights[404], kind="stable")[:N_LINK]
    listed = [b.inner_text() for b in opened.page.query_selector_all(".text-view > div .token")]
    for text, key in zip(listed, expected, strict=False):
        position, label, weight = re.fullmatch(r"(\d+) “(.+)” ([\d.]+)", text).groups()
        assert int(position) == key
        assert label == whole.streams["source"].labels[key]
        assert float(weight) == pytest.approx(weights[404, key], rel=2e-2)
    share = round(100 * weights[404, expected].sum())
    assert f"hold {share} % of its weight" in opened.text(".text-view")
    assert "key 254 to 553 of 701" in opened.text(".text-view")
    assert opened.page.locator(".long .token").count() == 300
    opened.page.locator(".text-view > div .token").first.click()
    first = max(0, min(expected[0] - 150, 701 - 300))
    assert f"key {first} to {first + 299} of 701" in opened.text(".text-view")
    opened.page.locator(".long .token").nth(7).click()
    assert f"query={first + 7}" in opened.page.url
    assert opened.messages == []


def test_a_cell_of_the_map_leads_to_its_first_query(open_page, decoder):
    opened = open_page(decoder[0], "#head=L0.H0&row=4&view=links")
    canvas = opened.page.locator(".explorer canvas[role=img]")
    assert f"{40 * N_LINK} links" in canvas.get_attribute("aria-label")
    assert "query 256 " in opened.text(".explorer .slider")
    assert "the 3 strongest links of each query" in opened.text(".explorer .body")
    assert opened.messages == []


def test_queries_and_keys_of_two_texts(open_page):
    target = " ".join("abcde"[i % 5] for i in range(83))
    short, whole = trace_of("encoder-decoder", target=target)
    views = attention_views(short, Selection())
    cross = next(i for i, view in enumerate(views[1:]) if "cross" in view.title)
    opened = open_page(views, f"#head={cross}.L0.H1&view=text&query=7")
    key = int(whole["decoder.0.cross"].weights[1, 7].argmax())
    text = opened.text(".explorer .text-view")
    n_target, n_source = (len(whole.streams[name]) for name in ("target", "source"))
    assert f"query 0 to {n_target - 1} of {n_target}" in text
    assert f"of {n_source}; a click" in text
    assert f"→ {key} “" in text.replace("\u00a0", " ")
    assert opened.messages == []


def test_a_large_page_has_fewer_links_or_none(decoder, monkeypatch):
    views, _ = decoder
    n = 4 * 701
    sizes = []
    for most in (n * N_LINK, n * 2, n - 1):
        monkeypatch.setattr(page_data, "MAX_LINKS", most)
        described = page_data.describe(views)
        panel = described.grids[0]["panels"][0][0]
        counts = panel["strongest"] and panel["strongest"]["count"]
        assert counts == {n * N_LINK: N_LINK, n * 2: 2, n - 1: None}[most]
        assert any("strongest links are left out" in line for line in described.about) == (most < n)
        sizes.append(len(render(views)[0]))
    assert sizes == sorted(sizes, reverse=True)


def test_many_fine_maps_are_put_together(decoder, monkeypatch):
    views, _ = decoder
    monkeypatch.setattr(page_data, "SMALLEST_MAP", 3)
    n_map = sum(heatmap.strongest is not None for v in views for heatmap in page_data.heatmaps(v))
    for side in (11, 5):
        monkeypatch.setattr(page_data, "MAX_MAP_CELLS", n_map * side**2)
        described = page_data.describe(views)
        panel = described.grids[0]["panels"][0][0]
        assert len(described.axes[panel["rows"]]["indices"]) == {11: 11, 5: 4}[side]
        step = {11: 64, 5: 192}[side]
        assert any(f"each cell: {step} × {step} of 701 × 701" in note for note in panel["notes"])
