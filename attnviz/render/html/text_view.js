// The text itself, coloured by where one query looks, or by who looks at a key.

import { el, say } from "./dom.js";
import { css, inkOn, shown } from "./matrix_data.js";

/**
 * @typedef {import("./matrix_data.js").Matrix} Matrix
 * @typedef {import("./matrix_data.js").Colours} Colours
 */

/**
 * @param {Matrix} matrix
 * @param {number[]} rows
 * @param {number[]} columns
 * @param {Colours} colours
 * @param {{row: number, received: boolean}} state
 * @param {{row: (row: number) => void, received: (on: boolean) => void,
 *   point: (row: number, column: number) => void}} act
 */
export function textView(matrix, rows, columns, colours, state, act) {
  const { data } = matrix;
  const row = rows.includes(state.row) ? state.row : (rows[0] ?? 0);
  const values = state.received ? received(matrix, rows, columns) : columns.map((c) => matrix.value(row, c));
  const largest = Math.max(...values.filter(Number.isFinite), 1e-12);
  const keys = el("p", { class: "tokens", "aria-label": data.columns.name });
  const ramp = matrix.ramp(colours);
  columns.forEach((column, i) => {
    const masked = !state.received && matrix.rule(row, column);
    const top = matrix.by === "all" ? matrix.top(row) : largest;
    const colour = masked ? null : ramp[Math.round(matrix.level(values[i], top) * 255)];
    const background = colour ? css(colour) : colours.masked;
    keys.append(
      el("span", {
        class: `token${masked ? " masked" : ""}${data.columns.spans.special?.includes(column) ? " special" : ""}`,
        style: `background:${background};color:${colour ? inkOn(colour) : colours.hatch}`,
        title: `${data.columns.indices[column]} ${data.columns.labels[column]}: ` +
          (masked ? matrix.number(row, column) : shown(values[i])),
        mouseenter: () => act.point(row, column),
      }, data.columns.labels[column] || data.columns.indices[column]),
      " ",
    );
  });
  const box = el("div", { class: "text-view" }, modes(state.received, act.received));
  if (!state.received) box.append(slider(matrix, rows, row, act.row), queries(matrix, rows, row, act.row));
  box.append(
    el("p", { class: "caption" }, state.received
      ? say("each {key} coloured by what it receives: the mean over all queries that are shown",
        { key: data.columns.name })
      : say("each {key} coloured by how much {query} {position} “{label}” looks at it", {
        key: data.columns.name, query: data.rows.name, position: data.rows.indices[row] ?? "",
        label: data.rows.labels[row] ?? "",
      })),
    keys,
  );
  return box;
}

/** @param {Matrix} matrix @param {number[]} rows @param {number[]} columns */
export function received(matrix, rows, columns) {
  return columns.map((column) => {
    const seen = rows.filter((row) => !matrix.rule(row, column));
    return seen.reduce((sum, row) => sum + matrix.value(row, column), 0) / Math.max(1, seen.length);
  });
}

/** @param {boolean} on @param {(on: boolean) => void} choose */
function modes(on, choose) {
  const radio = (/** @type {boolean} */ value, /** @type {string} */ name) =>
    el("label", {}, el("input", { type: "radio", name: "text-mode", checked: on === value, change: () => choose(value) }), ` ${name}`);
  return el("div", { class: "modes" }, radio(false, say("where one query looks")), radio(true, say("what each key receives")));
}

/** @param {Matrix} matrix @param {number[]} rows @param {number} row @param {(row: number) => void} choose */
function slider(matrix, rows, row, choose) {
  const { data } = matrix;
  const generated = data.rows.spans.generated ?? [];
  const step = generated.indexOf(row);
  const name = step >= 0
    ? say("generation step {step} of {count}", { step: step + 1, count: generated.length })
    : say("{query} {position}", { query: data.rows.name, position: data.rows.indices[row] ?? "" });
  return el("label", { class: "slider" }, `${name} “${data.rows.labels[row] ?? ""}” `,
    el("input", {
      type: "range", min: 0, max: Math.max(0, rows.length - 1), value: rows.indexOf(row),
      "aria-valuetext": `${name} ${data.rows.labels[row] ?? ""}`,
      input: (/** @type {any} */ event) => choose(rows[Number(event.target.value)]),
    }));
}

/** The queries' own text, where they are another than the keys; a click chooses one.
 * @param {Matrix} matrix @param {number[]} rows @param {number} row @param {(row: number) => void} choose */
function queries(matrix, rows, row, choose) {
  const { data } = matrix;
  const line = el("p", { class: "tokens queries", "aria-label": data.rows.name });
  for (const position of rows) {
    line.append(el("button", {
      type: "button", class: "token", tabindex: -1, "aria-pressed": String(position === row),
      click: () => choose(position),
    }, data.rows.labels[position] || data.rows.indices[position]), " ");
  }
  return line;
}
