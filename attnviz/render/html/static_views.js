// Texts, tables, curves, images.

import { el, say } from "./dom.js";
import { readArray } from "./data.js";
import { colourTable, css, shown } from "./matrix_data.js";
import { drawOn } from "./paint.js";

/**
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {import("./data.js").ArrayRef} ArrayRef
 */

const LONG = 600; // characters of a text that is folded away

/** @param {{lines: {text: string, term: string, tone: string}[]}} view */
export function textBlock(view) {
  const box = el("div", { class: "texts" });
  for (const line of view.lines) {
    const term = line.term ? [el("span", { class: "term" }, line.term), " "] : [];
    if (line.text.length <= LONG) box.append(el("p", { class: line.tone }, ...term, line.text));
    else {
      const start = `${Array.from(line.text).slice(0, LONG / 2).join("")}… `;
      box.append(el("details", { class: line.tone }, el("summary", {}, ...term, start), line.text));
    }
  }
  return box;
}

/**
 * A table that sorts by a click on its headings and keeps the rows that hold a word.
 * @param {{title: string, columns: string[], rows: {text: string, sort: number | string | null, tone: string}[][], notes: string[]}} view
 * @param {(name: string) => (() => void) | null} open what opens the head of this name
 */
export function tableBlock(view, open) {
  let [by, down] = [-1, false];
  let wanted = "";
  const body = el("tbody");
  const heads = view.columns.map((name, i) =>
    el("th", { scope: "col" }, el("button", { type: "button", click: () => { [by, down] = [i, by === i ? !down : view.rows.some((row) => typeof row[i].sort === "number")]; fill(); } }, name || "·")));
  const numeric = view.columns.map((_, i) => view.rows.some((row) => typeof row[i].sort === "number"));
  heads.forEach((head, i) => head.classList.add(numeric[i] ? "number" : "word"));
  function fill() {
    const rows = view.rows.filter((row) => row.some((cell) => cell.text.toLowerCase().includes(wanted)));
    if (by >= 0) rows.sort((a, b) => compare(a[by].sort, b[by].sort) * (down ? -1 : 1));
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== by ? "none" : down ? "descending" : "ascending"));
    body.replaceChildren(...rows.map((row) => el("tr", {}, ...row.map((cell, i) => {
      const go = i === 0 ? open(cell.text) : null;
      return el("td", { class: `${numeric[i] ? "number" : "word"} ${cell.tone}` }, go ? el("button", { type: "button", class: "open", click: go }, cell.text) : cell.text);
    }))));
  }
  fill();
  const filter = view.rows.length > 8
    ? [el("label", { class: "filter" }, `${say("filter")} `, el("input", { type: "search", input: (/** @type {any} */ event) => { wanted = event.target.value.toLowerCase(); fill(); } }))]
    : [];
  return el("section", {}, el("h2", {}, view.title), ...filter,
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": view.title }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
    ...view.notes.map((note) => el("p", { class: "note" }, note)));
}

/** Missing ones last. @param {number | string | null} a @param {number | string | null} b */
function compare(a, b) {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

/**
 * @param {{title: string, x: number[], xName: string, yName: string, logX: boolean,
 *   series: {name: string, y: (number | null)[]}[], notes: string[]}} view
 * @param {() => Colours} colours
 */
export function curvesBlock(view, colours) {
  const canvas = el("canvas", { role: "img", "aria-label": `${view.title}: ${view.series.map((s) => s.name).join(", ")}` });
  const readout = el("p", { class: "readout", role: "status" });
  const box = el("section", {}, el("h2", {}, view.title), el("div", { class: "scroll" }, canvas), readout,
    ...view.notes.map((note) => el("p", { class: "note" }, note)));
  const values = view.series.flatMap((s) => s.y.filter((y) => y !== null)).map(Number);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const place = (/** @type {number} */ x) => (view.logX ? Math.log10(x) : x);
  const [first, last] = [place(view.x[0]), place(view.x[view.x.length - 1])];
  const [left, right, above, below] = [64, 150, 28, 40];
  function draw() {
    const width = Math.max(300, Math.min(900, box.clientWidth - 4));
    const height = 300;
    const narrow = width < 520;
    const edge = width - (narrow ? 12 : right);
    const x = (/** @type {number} */ v) => left + ((place(v) - first) / (last - first || 1)) * (edge - left);
    const y = (/** @type {number} */ v) => height - below - ((v - low) / (high - low || 1)) * (height - above - below);
    const c = colours();
    drawOn(canvas, width, height, (painter) => {
      painter.line([left, above, left, height - below, edge, height - below], c.line, 1);
      for (const value of [low, (low + high) / 2, high]) painter.text(shown(value), left - 6, y(value), c.ink, { anchor: "end", size: 11 });
      painter.text(view.yName, 4, 8, c.ink, { bold: true, size: 11 });
      painter.text(view.xName, (left + edge) / 2, height - 8, c.ink, { anchor: "middle", bold: true, size: 11 });
      for (const value of [view.x[0], view.x[view.x.length - 1]]) painter.text(String(value), x(value), height - below + 12, c.ink, { anchor: "middle", size: 11 });
      view.series.forEach((series, i) => {
        const colour = c.tokens[i % c.tokens.length];
        let points = /** @type {number[]} */ ([]);
        series.y.forEach((value, k) => {
          if (value === null) { painter.line(points, colour, 2); points = []; } else points.push(x(view.x[k]), y(value));
        });
        painter.line(points, colour, 2);
        const end = series.y[series.y.length - 1];
        if (!narrow && end !== null) {
          painter.line([edge + 6, above + 16 * i + 6, edge + 22, above + 16 * i + 6], colour, 3);
          painter.text(series.name, edge + 26, above + 16 * i + 6, c.ink, { size: 11 });
        }
      });
    });
    if (narrow) readout.textContent = view.series.map((s) => s.name).join(" · ");
  }
  canvas.addEventListener("mousemove", (event) => {
    const width = canvas.clientWidth;
    const share = (event.offsetX - left) / ((width < 520 ? width - 12 : width - right) - left);
    const wanted = first + Math.max(0, Math.min(1, share)) * (last - first);
    const k = view.x.reduce((best, v, i) => (Math.abs(place(v) - wanted) < Math.abs(place(view.x[best]) - wanted) ? i : best), 0);
    readout.textContent = `${view.xName} ${view.x[k]}: ${view.series.map((s) => `${s.name} ${s.y[k] === null ? "—" : shown(Number(s.y[k]))}`).join(" · ")}`;
  });
  return { box, draw };
}

/**
 * An image, and maps over it.
 * @param {{title: string, image: {values: ArrayRef, height: number, width: number, channels: number},
 *   overlays: ({values: ArrayRef, height: number, width: number, name: string} | null)[][],
 *   scale: {low: number, high: number, kind: string}, notes: string[]}} view
 * @param {() => Colours} colours
 */
export function pictureBlock(view, colours) {
  const grid = el("div", { class: "pictures" });
  const readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
  const box = el("section", {}, el("h2", {}, view.title), grid, readout, ...view.notes.map((note) => el("p", { class: "note" }, note)));
  async function draw() {
    const { values, height, width, channels } = view.image;
    const image = await readArray(values);
    const base = pixels(width, height, (i) => Array.from({ length: 3 }, (_, k) => 255 * image[i * channels + (channels === 3 ? k : 0)]));
    const figures = [figure(base, null, view.title, "")];
    for (const overlay of view.overlays.flat()) {
      if (!overlay) continue;
      const map = await readArray(overlay.values);
      const ramp = colourTable(view.scale.kind === "diverging" ? colours().diverging : colours().sequential);
      const heat = pixels(overlay.width, overlay.height, (i) => {
        const level = (map[i] - view.scale.low) / (view.scale.high - view.scale.low || 1);
        return Array.from(ramp[Math.round(255 * Math.max(0, Math.min(1, level)))]);
      });
      figures.push(figure(base, { heat, map, width: overlay.width, height: overlay.height }, overlay.name, overlay.name));
    }
    grid.replaceChildren(...figures);
  }
  /** @param {HTMLCanvasElement} base @param {{heat: HTMLCanvasElement, map: ArrayLike<number>, width: number, height: number} | null} over
   * @param {string} label @param {string} name */
  function figure(base, over, label, name) {
    const side = 220;
    const canvas = el("canvas", { role: "img", "aria-label": label });
    const height = Math.round((side * base.height) / base.width);
    drawOn(canvas, side, height, (painter) => painter.image(base, 0, 0, side, height));
    const context = canvas.getContext("2d");
    if (over && context) {
      context.globalAlpha = 0.6;
      context.drawImage(over.heat, 0, 0, side, height);
      context.globalAlpha = 1;
      canvas.addEventListener("mousemove", (event) => {
        const column = Math.min(over.width - 1, Math.floor((event.offsetX / side) * over.width));
        const row = Math.min(over.height - 1, Math.floor((event.offsetY / height) * over.height));
        readout.textContent = say("{name}: patch in row {row}, column {column}: {value}", { name, row, column, value: shown(over.map[row * over.width + column]) });
      });
    }
    return el("figure", {}, canvas, el("figcaption", {}, name || say("the image")));
  }
  return { box, draw };
}

/** @param {number} width @param {number} height @param {(i: number) => number[]} colour */
function pixels(width, height, colour) {
  const canvas = el("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...colour(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
  return canvas;
}

/** @param {string[]} stops the ramp's @param {{low: number, high: number}} scale */
export function rampLine(stops, scale) {
  const ramp = colourTable(stops);
  return el("p", { class: "legend" }, `${shown(scale.low)} `, el("span", { class: "ramp", style: `background:linear-gradient(90deg, ${[0, 128, 255].map((i) => css(ramp[i])).join(", ")})` }), ` ${shown(scale.high)}`);
}

