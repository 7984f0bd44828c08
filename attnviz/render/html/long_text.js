// A text that is longer than its map: windows of its tokens, and each query's strongest links.

import { el, say } from "./dom.js";
import { css, inkOn, shown } from "./matrix_data.js";
import { readArray } from "./data.js";

/**
 * @typedef {import("./matrix_data.js").Matrix} Matrix
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {import("./matrix_data.js").HeatmapData} HeatmapData
 * @typedef {import("./matrix_data.js").StrongestData} StrongestData
 * @typedef {{row: number, column: number, weight: number}} Link
 */

const QUERIES = 40; // beside one another in the view of links
const TOKENS = 300; // of a window of text
const LISTED = 6; // queries that look at a token

export class LongText {
  /** @param {StrongestData} data @param {ArrayLike<number>} weights @param {ArrayLike<number>} distances */
  constructor(data, weights, distances) {
    this.data = data;
    this.weights = weights;
    this.distances = distances;
    this.nQuery = data.rows.indices.length;
  }

  /** @param {HeatmapData} data */
  static async read({ strongest }) {
    if (!strongest) return null;
    return new LongText(strongest, await readArray(strongest.weights), await readArray(strongest.distances));
  }

  /** The links of a query that are known, the strongest first. @param {number} row @returns {Link[]} */
  from(row) {
    const { count } = this.data;
    return Array.from({ length: count }, (_, i) => row * count + i)
      .map((i) => ({ row, column: row - this.distances[i], weight: this.weights[i] }))
      .filter(({ column, weight }) => column >= 0 && weight > 0);
  }

  /** Those that lead to a key, the strongest first. @param {number} column @returns {Link[]} */
  to(column) {
    const { count } = this.data;
    const found = [];
    for (let i = 0; i < this.weights.length; i++) {
      const row = Math.floor(i / count);
      if (row - this.distances[i] === column && this.weights[i] > 0) found.push({ row, column, weight: this.weights[i] });
    }
    return found.sort((a, b) => b.weight - a.weight);
  }

  /** What the view of links shows around a query. @param {number} query */
  links(query) {
    const rows = around(query, QUERIES, this.nQuery);
    const links = rows.flatMap((row) => this.from(row));
    const columns = [...new Set(links.map(({ column }) => column))].sort((a, b) => a - b);
    return { rows, columns, links };
  }

  /** Choose a query of the whole text. @param {number} query @param {(query: number) => void} choose */
  slider(query, choose) {
    const { rows } = this.data;
    const name = say("{query} {position}", { query: rows.name, position: query });
    return el("label", { class: "slider" }, `${name} “${rows.labels[query]}” `, el("input", {
      type: "range", min: 0, max: this.nQuery - 1, value: query, "data-key": "query",
      "aria-valuetext": `${name} ${rows.labels[query]}`,
      input: (/** @type {any} */ event) => choose(Number(event.target.value)),
    }));
  }

  /**
   * The text around a query or another place, its strongest keys coloured.
   * @param {Matrix} matrix
   * @param {Colours} colours
   * @param {{query: number, place: number | null}} at
   * @param {{query: (query: number) => void, place: (key: number) => void}} act
   */
  view(matrix, colours, { query, place }, act) {
    const { rows, columns } = this.data;
    const links = this.from(query);
    const weights = new Map(links.map(({ column, weight }) => [column, weight]));
    const isOne = rows.labels === columns.labels;
    const box = el("div", { class: "text-view" }, this.slider(query, act.query), this.listed(query, links, isOne, act));
    const ramp = matrix.ramp(colours);
    const top = matrix.by === "all" ? 1 : Math.max(links[0]?.weight ?? 0, 1e-12);
    /** @returns {Record<string, string>} */
    const key = (/** @type {number} */ position) => {
      const weight = weights.get(position);
      if (weight === undefined) return {};
      const colour = ramp[Math.round(matrix.level(weight, top) * 255)];
      return { style: `background:${css(colour)};color:${inkOn(colour)};border-color:currentColor`, title: shown(weight) };
    };
    if (!isOne) box.append(...text(rows, query, query, act.query, () => ({})));
    const centre = place ?? (isOne ? query : links[0]?.column ?? 0);
    box.append(...text(columns, centre, isOne ? query : null, isOne ? act.query : act.place, key));
    return box;
  }

  /** @param {number} query @param {Link[]} links @param {boolean} isOne
   * @param {{query: (query: number) => void, place: (key: number) => void}} act */
  listed(query, links, isOne, act) {
    const { rows, columns, count } = this.data;
    const token = (/** @type {any} */ axis, /** @type {number} */ i, /** @type {number} */ weight, /** @type {(i: number) => void} */ go) =>
      el("button", { type: "button", class: "token", click: () => go(i) }, `${i} “${axis.labels[i]}” ${shown(weight)}`);
    const held = links.reduce((sum, { weight }) => sum + weight, 0);
    const line = el("p", { class: "tokens" }, `${rows.name} ${query} “${rows.labels[query]}” → `,
      ...links.flatMap((link) => [token(columns, link.column, link.weight, act.place), " "]),
      el("span", { class: "caption" }, say("its {count} strongest keys, which hold {share} % of its weight", { count: links.length, share: Math.round(100 * held) })));
    const box = el("div", {}, line);
    const back = isOne ? this.to(query) : [];
    if (back.length) {
      box.append(el("p", { class: "tokens" }, `${columns.name} ${query} “${columns.labels[query]}” ← `,
        ...back.slice(0, LISTED).flatMap((link) => [token(rows, link.row, link.weight, act.query), " "]),
        el("span", { class: "caption" }, say("queries that have it among their {count} strongest keys: {queries}", { count, queries: back.length }))));
    }
    return box;
  }
}

/** Scroll to the middle of what the windows are of. @param {HTMLElement} host */
export function centreWindows(host) {
  for (const line of host.querySelectorAll(".long")) {
    const token = /** @type {HTMLElement | null} */ (line.querySelector("[data-centre]"));
    if (token) line.scrollTop = token.offsetTop - line.clientHeight / 2;
  }
}

/** So many places around one, of all. @param {number} centre @param {number} count @param {number} all */
function around(centre, count, all) {
  const first = Math.max(0, Math.min(centre - Math.floor(count / 2), all - count));
  return Array.from({ length: Math.min(count, all) }, (_, i) => first + i);
}

/**
 * @param {import("./matrix_data.js").Axis} axis @param {number} centre @param {number | null} chosen
 * @param {(position: number) => void} choose @param {(position: number) => Record<string, string>} look
 */
function text(axis, centre, chosen, choose, look) {
  const places = around(centre, TOKENS, axis.labels.length);
  const line = el("p", { class: "tokens long", "aria-label": axis.name });
  for (const position of places) {
    line.append(el("button", {
      type: "button", class: "token", tabindex: -1, "aria-pressed": String(position === chosen),
      "data-centre": position === centre, click: () => choose(position), ...look(position),
    }, axis.labels[position] || String(position)), " ");
  }
  const caption = say("{name} {first} to {last} of {count}; a click chooses a token", {
    name: axis.name, first: places[0] ?? 0, last: places[places.length - 1] ?? 0, count: axis.labels.length,
  });
  return [el("p", { class: "caption" }, caption), line];
}
