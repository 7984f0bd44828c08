"""Pages in a real browser: what is clicked, pointed at and typed, against the trace's numbers."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.parse
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from attnviz import run
from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.language import speaking
from attnviz.render import html
from attnviz.render.html import MODULES, render
from attnviz.render.html.page_data import MAX_CELLS
from attnviz.render.html.words import words
from attnviz.tokens import label
from attnviz.trace.selection import Selection
from attnviz.views.attention import attention_views
from attnviz.views.kinds import (
    Axis,
    Curves,
    Grid,
    Heatmap,
    Line,
    Links,
    Picture,
    Scale,
    Table,
    Text,
)
from tests.conftest import HERE

pytestmark = pytest.mark.browser

FOLDER = Path(html.__file__).parent
SAMPLES = HERE.parent / "samples"

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    '<img src=x onerror="window.hacked=1">',
    '"><svg onload=window.hacked=1>',
    "]]>",
    "<!--",
    label("\u202eabc\u202c"),
    label("a\x00b"),
    label("\ud800"),
    "$\\frac{1}{2}$",
    "[/INST]",
    "{row} {{n}}",
    "\\u003c",
)


@pytest.fixture(scope="module")
def trace():
    return run("I saw a saw", model="random", mask="causal", stages=("weights", "scores"))


@pytest.fixture(scope="module")
def views(trace):
    return attention_views(trace, Selection())


def number(text):
    """The number after the colon of a readout."""
    return float(re.search(r": (−?[\d.e−+]+)", text)[1].replace("−", "-"))


def test_opens_from_a_file_without_a_word_or_a_request(open_page, views):
    opened = open_page(views)
    assert opened.messages == []
    assert opened.asked_for() == []
    assert "random" in opened.text("h1")


def test_every_head_shows_its_numbers(open_page, trace, views):
    opened = open_page(views)
    buttons = opened.page.locator(".thumb")
    assert buttons.count() == sum(record.n_head for record in trace)
    place = 0
    for record in trace:
        for head in range(record.n_head):
            buttons.nth(place).click()
            place += 1
            opened.page.locator(".explorer .panel canvas").focus()
            for _ in range(3):
                opened.page.keyboard.press("ArrowDown")
            opened.page.keyboard.press("ArrowRight")
            row, column = map(int, re.findall(r"(?:query|key) (\d+)", opened.readout()))
            assert number(opened.readout()) == pytest.approx(
                float(record.weights[head, row, column]), abs=5e-4
            )


def test_the_mouse_reads_every_cell(open_page, trace, views):
    opened = open_page(views, "#head=L1.H2")
    weights, n = trace["encoder.1.self"].weights[2], len(trace.streams["source"])
    box = opened.page.locator(".explorer .panel canvas").bounding_box()
    seen = {}
    for y in np.arange(box["y"] + 2, box["y"] + box["height"], 23):
        for x in np.arange(box["x"] + 2, box["x"] + box["width"], 23):
            opened.page.mouse.move(float(x), float(y))
            readout = opened.readout()
            found = re.match(r"query (\d+) .*→ key (\d+) ", readout)
            if found:
                seen[int(found[1]), int(found[2])] = readout
    assert len(seen) == n * n
    for (row, column), text in seen.items():
        if column > row:
            assert ": masked (causal)" in text
        else:
            assert number(text) == pytest.approx(float(weights[row, column]), abs=5e-4)
            assert f"“{trace.streams['source'].labels[column]}”" in text


def test_keyboard_alone(open_page, views):
    opened = open_page(views)
    page = opened.page
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('thumb')"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    name = urllib.parse.parse_qs(page.url.partition("#")[2])["head"][0]
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    while not page.evaluate("document.activeElement.matches('[role=tab]')"):
        page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert "view=links" in page.url
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.classList.contains('thumb')")
    assert name in opened.page.url


@pytest.mark.parametrize("view", ["matrix", "links", "text"])
def test_an_address_shows_the_same_thing(open_page, views, view):
    fragment = f"#head=L1.H0&view={view}&row=2&column=1&cover=0.5&colours=row"
    opened = open_page(views, fragment)
    assert opened.text('.explorer [aria-selected="true"]') == view
    assert "L1.H0" in opened.text(".explorer .panel h2")
    assert "query 2" in opened.readout()
    assert "key 1" in opened.readout()
    opened.page.locator(".thumb").nth(1).click()
    opened.page.locator(".thumb").nth(4).click()
    again = urllib.parse.parse_qs(opened.page.url.partition("#")[2])
    before = urllib.parse.parse_qs(fragment[1:])
    assert {name: again.get(name, ["matrix"]) for name in before} == before
    assert opened.messages == []


@pytest.mark.parametrize(
    "fragment", ["#head=L9.H9", "#row=-1&view=x", "#zoom=1e9&cover=nan", "#%%%", "#hide=a,b"]
)
def test_an_address_that_means_nothing_is_no_harm(open_page, views, fragment):
    opened = open_page(views, fragment)
    assert opened.messages == []
    assert opened.page.locator(".explorer canvas").count() > 1


def test_links_of_a_token(open_page, trace, views):
    opened = open_page(views, "#head=L0.H1&view=links&cover=1")
    canvas = opened.page.locator(".explorer .panel canvas")
    canvas.focus()
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("ArrowDown")
    told = opened.readout()
    row = int(re.match(r"query (\d+)", told)[1])
    weights = trace["encoder.0.self"].weights[1, row]
    listed = [float(value) for value in re.findall(r"” (\d\.\d+)", told)]
    assert listed == pytest.approx(sorted(weights[weights > 0], reverse=True), abs=5e-4)


def test_fewest_links_that_cover_a_share(open_page, trace, views):
    weights = np.sort(trace["encoder.0.self"].weights[1], axis=-1)[:, ::-1]
    needed = int(sum(1 + np.searchsorted(np.cumsum(row), 0.7 - 1e-9) for row in weights))
    opened = open_page(views, "#head=L0.H1&view=links")
    assert f"{needed} of {weights.size} links" in opened.text(".explorer .caption")


def test_the_text_is_coloured_by_one_row(open_page, trace, views):
    opened = open_page(views, "#head=L1.H1&view=text&row=3")
    weights = trace["encoder.1.self"].weights[1, 3]
    tokens = opened.page.locator(".tokens:not(.queries) .token")
    assert tokens.all_inner_texts() == list(trace.streams["source"].labels)
    shown = [
        float(tokens.nth(i).get_attribute("title").rpartition(": ")[2])
        for i in range(tokens.count())
    ]
    assert shown == pytest.approx(list(map(float, weights)), abs=5e-4)


def test_what_is_left_out_is_said_and_nothing_is_renormalised(open_page):
    text = run("I saw a saw", model="tagger")
    opened = open_page(attention_views(text, Selection()), "#head=L1.H3&row=2&column=3")
    opened.page.get_by_label("special tokens").uncheck()
    weights = text["encoder.1.self"].weights[3]
    rest = float(weights[2, 1:-1].sum())
    assert "left out: 2 rows and 2 columns" in opened.text(".explorer .legend")
    assert float(re.search(r"rest of the row: ([\d.]+)", opened.readout())[1]) == pytest.approx(
        rest, abs=5e-4
    )
    assert "hide=special" in opened.page.url
    assert number(opened.readout()) == pytest.approx(float(weights[2, 3]), abs=5e-4)


def test_the_score_stands_beside_the_weight(open_page, trace, views):
    opened = open_page(views, "#head=L1.H2&row=3&column=1")
    score = float(trace["encoder.1.self"].scores[2, 3, 1])
    shown = re.search(r"score (−?[\d.]+)", opened.readout())[1].replace("−", "-")
    assert float(shown) == pytest.approx(score, abs=5e-4)


def test_segments_and_what_was_generated_can_be_left_out(open_page, cli, tmp_path):
    cli("decode", "abcdefgabc", "-m", "induction", "-o", "page.html")
    opened = open_page(tmp_path / "page.html", "#view=text")
    assert "generation step 1 of" in opened.text(".slider")
    opened.page.locator(".explorer .tokens:not(.queries) .token").nth(3).hover()
    assert re.search(r" · score −?[\d.]+", opened.readout())
    opened.page.locator('.explorer [data-value="matrix"]').click()
    before = opened.text(".explorer .legend")
    opened.page.get_by_label("generated part").uncheck()
    assert "left out" not in before
    assert re.search(r"left out: (\d+) rows and \1 columns", opened.text(".explorer .legend"))
    saved = json.loads(cli("decode", "abcdefgabc", "-m", "induction", "--json").stdout)
    written, given = saved["decoded"]["ids"], saved["decoded"]["n_given"]
    stream = saved["streams"]["source"]
    assert stream["generated"] == list(range(given, given + len(written) - 1))


def test_a_head_of_the_table_opens_its_matrix(open_page, cli, tmp_path):
    cli("heads", "I saw a saw", "-o", "page.html")
    opened = open_page(tmp_path / "page.html")
    opened.page.locator("th button", has_text="own").click()
    values = [
        float(row.split("\t")[6])
        for row in opened.page.locator("tbody tr").all_inner_texts()
        if row.startswith("L")
    ]
    assert values == sorted(values, reverse=True)
    name = next(
        text
        for text in opened.page.locator("tbody tr td:first-child").all_inner_texts()
        if text.startswith("L0")
    )
    opened.page.locator("td button", has_text=name).click()
    assert name in opened.text(".explorer .panel h2")
    opened.page.locator(".filter input").fill("previous-token")
    assert opened.page.locator("tbody tr").all_inner_texts()[0].startswith("L1.H2")


COMMANDS = [
    ("run", "I saw a saw"),
    ("run", "I saw a saw", "--steps"),
    ("run", "I saw a saw", "-m", "random:layers=30,heads=9,d_model=72"),
    ("show", "trace.npz"),
    ("decode", "早上好"),
    ("heads", "I saw a saw"),
    ("diff", "trace.npz", "other.npz"),
    ("image", SAMPLES / "digits" / "3.png"),
    ("explain", "I saw a saw"),
    ("flow", "I saw a saw"),
    ("compare", "additive", "dot"),
    ("encode", "positions"),
    ("encode", "tokens", "I saw a saw"),
    ("ablate", "I saw a saw"),
    ("attend", SAMPLES / "arrays" / "qkv.npz", "--causal"),
    ("learn", "scaling"),
    ("learn", "image"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With two traces."""
    folder = tmp_path_factory.mktemp("pages")
    run("I saw a saw").save(folder / "trace.npz")
    run("I saw a saw", mask="causal").save(folder / "other.npz")
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(map(str, words[:2]))[:30])
def test_every_command_writes_a_page(open_page, folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    assert run_cli([*map(str, command), "-o", "page.html"]) == 0
    first = (folder / "page.html").read_bytes()
    opened = open_page(folder / "page.html", size=(700, 900))
    assert (opened.messages, opened.asked_for()) == ([], [])
    assert opened.page.locator("canvas, table").count() > 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 700
    if "random:layers=30,heads=9,d_model=72" in command:
        assert opened.page.locator(".thumb").count() == 270
    assert run_cli([*map(str, command), "-o", "page.html"]) == 0
    assert (folder / "page.html").read_bytes() == first


def hostile_views():
    n = len(HOSTILE)
    axis = Axis("query", HOSTILE), Axis("key", HOSTILE)
    weights = np.full((n, n), 1 / n)
    heatmap = Heatmap(
        HOSTILE[0],
        weights,
        *axis,
        notes=HOSTILE,
        masked=np.eye(n, dtype=int),
        reasons=(HOSTILE[1],),
    )
    return [
        Text((Line(HOSTILE[0], HOSTILE[1]), *map(Line, HOSTILE))),
        Grid(HOSTILE[2], ((heatmap,),), (HOSTILE[1],), (HOSTILE[2],), HOSTILE),
        Links(HOSTILE[1], weights, *axis, notes=HOSTILE),
        Table(HOSTILE[1], HOSTILE[:2], tuple((t, t) for t in HOSTILE), HOSTILE),
        Curves(HOSTILE[2], np.arange(3.0), HOSTILE[0], ((HOSTILE[1], np.arange(3.0)),), HOSTILE[2]),
        Picture(HOSTILE[0], np.zeros((4, 4)), ((np.zeros((2, 2)),),), (HOSTILE[1],), (HOSTILE[2],), Scale(0, 1), HOSTILE),
    ]  # fmt: skip


def test_hostile_tokens_stay_text(open_page):
    opened = open_page(hostile_views())
    for view in ("links", "text", "matrix"):
        opened.page.locator(f'.explorer [data-value="{view}"]').click()
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("img:not(noscript img), svg, script").count() == 2
    assert opened.messages == []
    assert opened.asked_for() == []
    assert HOSTILE[0] in opened.text("h1")


def test_saved_pictures(open_page, views):
    opened = open_page(views, "#head=L1.H3")
    for view in ("matrix", "links", "text"):
        opened.page.locator(f'.explorer [data-value="{view}"]').click()
        with opened.page.expect_download() as saved:
            opened.page.locator(".explorer .saving button").first.click()
        svg = saved.value.path().read_text()
        assert saved.value.suggested_filename.endswith("L1.H3-weights.svg")
        assert svg.startswith("<svg")
        assert "saw" in svg
        with opened.page.expect_download() as saved:
            opened.page.locator(".explorer .saving button").last.click()
        assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    assert opened.messages == []


@pytest.mark.parametrize("size", [(360, 740), (1440, 900), (3840, 2160)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_every_screen(open_page, views, size, scheme):
    opened = open_page(views, size=size, scheme=scheme)
    for view in ("matrix", "links", "text"):
        opened.page.locator(f'.explorer [data-value="{view}"]').click()
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    assert brightness > 600 if scheme == "light" else brightness < 150
    opened.page.get_by_role("tab", name="dark" if scheme == "light" else "light").click()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != background


def big_views(n, heads=4):
    random = np.random.default_rng(7)
    axis = tuple(f"t{i}" for i in range(n))
    panels = []
    for head in range(heads):
        weights = random.dirichlet(np.full(n, 0.1), n)
        panels.append(Heatmap(f"L0.H{head}", weights, Axis("query", axis), Axis("key", axis)))
    return [Grid("heads", (tuple(panels),), ("L0",), tuple(f"H{i}" for i in range(heads)))]


def test_a_thousand_tokens_stay_smooth(open_page, record_property):
    opened = open_page(big_views(1024))
    frames = opened.page.evaluate("""async () => {
        const canvas = document.querySelector('.explorer .panel canvas');
        const box = canvas.getBoundingClientRect();
        const times = [];
        for (let i = 0; i < 60; i++) {
            const start = performance.now();
            canvas.dispatchEvent(new MouseEvent('mousemove', {clientX: box.x + 100 + 8 * i, clientY: box.y + 100 + 5 * i, bubbles: true}));
            await new Promise(requestAnimationFrame);
            times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b);
    }""")
    record_property("median frame, ms", frames[30])
    assert frames[30] < 50
    start = time.perf_counter()
    opened.page.locator(".thumb").nth(2).click()
    assert opened.text(".explorer .panel h2") == "L0.H2"
    assert time.perf_counter() - start < 5


def test_longer_texts_are_pooled_and_it_is_said(open_page):
    opened = open_page(big_views(1500, heads=1))
    assert "pooled" in opened.text("footer")
    opened.page.locator(".explorer .panel canvas").focus()
    opened.page.keyboard.press("ArrowDown")
    assert re.search(r"query \d+-\d+", opened.readout())


def test_too_much_for_a_page():
    side = 1024
    heads = MAX_CELLS // side**2 + 1
    axis = Axis("query", ("",) * side)
    panel = Heatmap("x", np.zeros((side, side), np.float32), axis, axis)
    grid = Grid("heads", ((panel,) * heads,), ("L0",), tuple(map(str, range(heads))))
    with pytest.raises(AttnvizError, match=r"would have about [\d.]+ MiB") as caught:
        render([grid])
    assert "-s" in caught.value.hint


def test_what_is_not_a_number(open_page):
    values = np.array([[np.nan, 1.0], [np.inf, -np.inf]])
    axis = Axis("query", ("a", "b"))
    opened = open_page(
        [
            Heatmap(
                "broken",
                values,
                axis,
                Axis("key", ("a", "b")),
            )
        ]
    )
    opened.page.locator("canvas").focus()
    shown = []
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        opened.page.keyboard.press(key)
        shown.append(opened.text(".readout"))
    assert "NaN" in shown[0]
    assert "∞" in shown[1]
    assert "−∞" in shown[2]
    assert opened.messages == []


def test_one_token(open_page):
    opened = open_page(attention_views(run("saw", model="random"), Selection()), "#row=0&column=0")
    assert opened.messages == []
    assert number(opened.readout()) == 1


def test_no_heads_at_all(open_page):
    opened = open_page([Text((Line("nothing but words"),))])
    assert opened.text("h1") == "attnviz · nothing but words"
    assert opened.messages == []


def test_without_javascript(open_page, views):
    opened = open_page(views, java_script_enabled=False)
    assert "needs JavaScript" in opened.page.content()
    image = opened.page.locator("noscript img")
    assert image.is_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200


def test_an_old_browser_unpacks_by_itself(browser, tmp_path, views, trace):
    path = tmp_path / "page.html"
    path.write_bytes(render(views)[0])
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(f"{path.as_uri()}#head=L1.H2&row=3&column=1")
    page.wait_for_selector("html[data-ready=yes]")
    told = page.inner_text(".explorer .readout")
    assert number(told) == pytest.approx(float(trace["encoder.1.self"].weights[2, 3, 1]), abs=5e-4)
    context.close()


def test_the_same_views_give_the_same_bytes(views):
    assert render(views)[0] == render(views)[0]


def test_the_page_holds_the_numbers_that_it_says(views):
    content = render(views)[0].decode()
    page = json.loads(re.search(r'id="page">(.*?)</script>', content, re.DOTALL)[1])
    refs = [panel["values"]["block"] for line in page["grids"][0]["panels"] for panel in line]
    assert {re.search(rf'id="{ref}" data-type="(\w+)"', content)[1] for ref in refs} == {"f4"}
    small = json.loads(
        re.search(
            r'id="page">(.*?)</script>', render(big_views(400, heads=3))[0].decode(), re.DOTALL
        )[1]
    )
    assert "11 bits" in " ".join(small["about"])


def test_144_heads_of_128_tokens_stay_under_4_mb(minilm):
    """The heads of a trained model: MiniLM's 72, twice, over two texts."""
    words = Path(HERE.parent / "samples" / "sentences.txt").read_text().split()
    lines, names = [], []
    for text in (words, words[::-1]):
        trace = run(" ".join((text * 9)[:116]), model=minilm)
        for record in trace:
            axis = Axis("query", trace.streams["source"].labels[:128])
            weights = record.weights[:, :128, :128]
            lines.append(tuple(Heatmap(f"{record.id}", w, axis, axis) for w in weights))
            names.append(f"L{len(names)}")
    assert lines[0][0].values.shape == (128, 128)
    content, _ = render(
        [Grid("heads", tuple(lines), tuple(names), tuple(f"H{i}" for i in range(12)))]
    )
    assert len(content) < 4e6
    assert b"exact to 0.78 %" in content


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["matrix", "links", "text"])
def test_accessibility(open_page, views, view, scheme):
    """axe-core finds nothing; ATTNVIZ_AXE says where it is."""
    axe = os.environ.get("ATTNVIZ_AXE")
    if not axe:
        pytest.skip("no axe-core: npm install axe-core, and ATTNVIZ_AXE=…/axe.min.js")
    opened = open_page([*views, *hostile_views()], f"#view={view}", scheme=scheme)
    opened.page.evaluate(Path(axe).read_text())
    found = opened.page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    assert [(each["id"], each["impact"]) for each in found["violations"]] == []


def test_scripts_can_stand_in_one_file():
    """They are put one after the other: no name twice, and none that an import changes."""
    sources = {path.name: path.read_text() for path in FOLDER.glob("*.js")}
    assert sorted(sources) == sorted(f"{name}.js" for name in MODULES)
    names = Counter(
        name
        for source in sources.values()
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", source, re.MULTILINE
        )
    )
    assert [name for name, count in names.items() if count > 1] == []
    for source in sources.values():
        assert not re.search(r"^import .* as ", source, re.MULTILINE)
    order = {name: number for number, name in enumerate(MODULES)}
    for name, source in sources.items():
        for other in re.findall(r'from "\./(\w+)\.js"', source):
            assert order[other] < order[name.removesuffix(".js")], f"{name} before {other}"


def test_the_page_speaks_chinese(open_page, views):
    with speaking("zh"):
        content = render(views)[0]
    opened = open_page(content)
    assert opened.page.locator("html").get_attribute("lang") == "zh"
    assert opened.text(".explorer .toolbar").startswith("矩阵")
    with speaking("zh"):
        for message, translation in words().items():
            if re.search("[a-z]", re.sub(r"\{.*?\}", "", message)):
                assert re.search("[\u4e00-\u9fff]", translation), message


@pytest.mark.parametrize("tokens", [True, False])
def test_rows_ask_only_where_both_axes_are_tokens(open_page, tokens):
    """A map of heads and queries has nothing that asks and nothing that is looked at."""
    rows = Axis("query" if tokens else "head", ("I", "saw"))
    columns = Axis("key" if tokens else "query", ("a", "saw") if tokens else ("", ""))
    opened = open_page([Heatmap("map", np.array([[0.25, 0.75], [0.5, 0.5]]), rows, columns)])
    legend = opened.page.locator(".legend").inner_text()
    assert ("rows ask" in legend) is tokens
    assert opened.page.locator("[data-value=links]").count() == tokens
