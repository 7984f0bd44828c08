// The page: what is in it, and where the reader is.

import { el, say, tabs, useWords } from "./dom.js";
import { Explorer } from "./explorer.js";
import { useDigits } from "./matrix_data.js";
import { Panel, newState } from "./panel.js";
import { curvesBlock, pictureBlock, rampLine, tableBlock, textBlock } from "./static_views.js";

/** @typedef {import("./matrix_data.js").Colours} Colours */

const page = JSON.parse(document.getElementById("page")?.textContent ?? "{}");
for (const axis of page.axes) {
  if (typeof axis.labels === "number") axis.labels = page.axes[axis.labels].labels;
  axis.indices ??= axis.labels.map((/** @type {string} */ _, /** @type {number} */ i) => String(i));
}
for (const heatmap of heatmaps()) {
  for (const each of [heatmap, heatmap.strongest]) {
    if (!each) continue;
    each.rows = page.axes[each.rows];
    each.columns = page.axes[each.columns];
  }
}
useWords(page.words);
useDigits(page.digits);
document.documentElement.lang = page.language;

const dark = matchMedia("(prefers-color-scheme: dark)");
const fragment = new URLSearchParams(location.hash.slice(1));
let theme = fragment.get("theme") ?? "auto";

/** Every matrix of the page; they name their axes by number. @returns {any[]} */
function heatmaps() {
  const panels = page.grids.flatMap((/** @type {any} */ grid) => grid.panels.flat());
  return [...panels, ...page.views.map((/** @type {any} */ view) => view.heatmap)].filter(Boolean);
}

/** @returns {Colours} */
function colours() {
  const name = theme === "auto" ? (dark.matches ? "dark" : "light") : theme === "dark" ? "dark" : "light";
  return page.colours[name];
}

/** @type {Explorer | null} */
let explorer = null;
/** @type {Panel[]} */
const panels = [];
/** @type {(() => unknown)[]} */
const drawings = [];

function remember() {
  const next = new URLSearchParams();
  if (explorer) {
    const { view, row, column, hide, cover, by, zoom, received, query } = explorer.state;
    next.set("head", explorer.head.name);
    if (view !== "matrix") next.set("view", view);
    if (row !== null) next.set("row", String(row));
    if (column !== null) next.set("column", String(column));
    if (hide.length) next.set("hide", hide.join(","));
    if (cover !== 0.7) next.set("cover", String(cover));
    if (by) next.set("colours", by);
    if (zoom !== 1) next.set("zoom", zoom.toFixed(2));
    if (received) next.set("received", "1");
    if (query !== null) next.set("query", String(query));
  }
  if (theme !== "auto") next.set("theme", theme);
  try {
    history.replaceState(null, "", `#${next}`);
  } catch {
    // a page inside another one may not have an address of its own
  }
}

/** @param {URLSearchParams} from */
function recall(from) {
  if (!explorer) return;
  const number = (/** @type {string} */ name) => {
    const text = from.get(name);
    return text !== null && /^\d+$/.test(text) ? Number(text) : null;
  };
  const state = explorer.state;
  const view = from.get("view") ?? "matrix";
  Object.assign(state, newState(), {
    view: ["matrix", "links", "text"].includes(view) ? view : "matrix",
    hide: (from.get("hide") ?? "").split(",").filter(Boolean),
    cover: Math.max(0.05, Math.min(1, Number(from.get("cover") ?? 0.7) || 0.7)),
    by: ["all", "row", "head", "root", "log"].includes(from.get("colours") ?? "") ? from.get("colours") : "",
    zoom: Math.max(0.1, Math.min(40, Number(from.get("zoom") ?? 1) || 1)),
    received: from.get("received") === "1",
    query: number("query"),
  });
  const head = explorer.find(from.get("head") ?? "") ?? explorer.head;
  const { rows, columns } = head.data;
  const [row, column] = [number("row"), number("column")];
  state.row = row !== null && row < rows.indices.length ? row : null;
  state.column = column !== null && column < columns.indices.length ? column : null;
  return explorer.choose(head);
}

function applyTheme() {
  const c = colours();
  const root = document.documentElement;
  root.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  for (const name of /** @type {const} */ (["background", "ink", "faint", "line", "masked", "hatch"])) {
    root.style.setProperty(`--${name}`, c[name]);
  }
}

function redraw() {
  applyTheme();
  for (const panel of panels) panel.render();
  explorer?.panel.render();
  explorer?.drawOverview();
  for (const draw of drawings) draw();
}

function header() {
  const bar = el("header", {}, el("h1", {}, page.title));
  const place = el("div");
  const fill = () => place.replaceChildren(tabs(say("theme"), [["auto", say("auto")], ["light", say("light")], ["dark", say("dark")]], theme, (value) => {
    const focused = place.contains(document.activeElement);
    theme = value;
    fill();
    if (focused) /** @type {HTMLElement | null} */ (place.querySelector('[aria-selected="true"]'))?.focus();
    redraw();
    remember();
  }));
  fill();
  bar.append(place);
  return bar;
}

/** @param {any} view @param {HTMLElement} host */
function place(view, host) {
  if (view.kind === "text") host.append(textBlock(view));
  else if (view.kind === "table") host.append(tableBlock(view, (name) => {
    const head = explorer?.find(name);
    return head ? () => { explorer?.choose(head); head.button.focus(); } : null;
  }));
  else if (view.kind === "curves" || view.kind === "picture") {
    const made = view.kind === "curves" ? curvesBlock(view, colours) : pictureBlock(view, colours);
    host.append(made.box);
    if (view.kind === "picture") made.box.append(rampLine(view.scale.kind === "diverging" ? colours().diverging : colours().sequential, view.scale));
    drawings.push(made.draw);
  } else {
    const section = el("section", { class: "panel" });
    let flow = host.lastElementChild;
    if (!flow?.classList.contains("flow")) {
      flow = el("div", { class: "flow" });
      host.append(flow);
    }
    flow.append(section);
    const state = newState();
    if (view.kind === "links") state.view = "links";
    panels.push(new Panel(section, view.heatmap, state, colours, () => undefined));
  }
}

async function start() {
  const main = el("main");
  document.body.prepend(header(), main);
  applyTheme();
  if (page.grids.length) {
    const host = el("div", { class: "explorer" });
    const before = page.views.filter((/** @type {any} */ view) => view.before);
    for (const view of before) place(view, main);
    main.append(host);
    explorer = new Explorer(host, page.grids, page.first, colours, remember);
  }
  for (const view of page.views) if (!view.before || !page.grids.length) place(view, main);
  main.append(el("footer", {}, ...page.about.map((/** @type {string} */ line) => el("p", { class: "note" }, line))));
  if (explorer) await recall(fragment);
  await Promise.all(panels.map((panel) => panel.show()));
  for (const draw of drawings) await draw();
  await explorer?.drawOverview();
  document.documentElement.dataset.ready = "yes";
}

dark.addEventListener("change", redraw);
addEventListener("hashchange", () => recall(new URLSearchParams(location.hash.slice(1))));
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 120);
});
start();
