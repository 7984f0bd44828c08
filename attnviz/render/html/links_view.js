// Queries on the left, keys on the right, joined where a query looks.

import { tokenName } from "./matrix_data.js";
import { fitted, textWidth } from "./paint.js";

/**
 * @typedef {import("./matrix_data.js").Matrix} Matrix
 * @typedef {import("./matrix_data.js").HeatmapData} HeatmapData
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {{rows: number[], columns: number[], row: number, left: number, right: number,
 *   above: number, width: number, height: number, size: number}} LinksLayout
 * @typedef {{side: "row" | "column", position: number} | null} Focus
 */

/**
 * Of each row the fewest links that hold a share of its weight.
 * @param {Matrix} matrix @param {number[]} rows @param {number[]} columns @param {number} share
 * @returns {{row: number, column: number, weight: number}[]}
 */
export function strongest(matrix, rows, columns, share) {
  return rows.flatMap((row) => {
    const links = columns
      .map((column) => ({ row, column, weight: matrix.rule(row, column) ? 0 : matrix.value(row, column) }))
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => b.weight - a.weight);
    const wanted = share * matrix.sum(row, columns);
    let covered = 0;
    return links.filter(({ weight }) => {
      const needed = covered < wanted - 1e-9;
      covered += weight;
      return needed;
    });
  });
}

/** @param {HeatmapData} data @param {number[]} rows @param {number[]} columns
 * @param {number} available @returns {LinksLayout} */
export function layOutLinks(data, rows, columns, available) {
  const count = Math.max(rows.length, columns.length);
  const row = count > 400 ? 12 : count > 120 ? 16 : 22;
  const size = Math.min(13, row - 2);
  const width = Math.min(available, 760);
  const label = (/** @type {import("./matrix_data.js").Axis} */ axis, /** @type {number[]} */ ones) =>
    Math.min(width * 0.34, 16 + Math.max(0, ...ones.map((i) => textWidth(tokenName(axis, i), size))));
  const [left, right] = [label(data.rows, rows), width - label(data.columns, columns)];
  return { rows, columns, row, left, right, above: 30, width, height: 30 + count * row + 8, size };
}

/**
 * @param {import("./paint.js").Painter} painter
 * @param {HeatmapData} data
 * @param {(row: number) => number} topOf the value that has the scale's end
 * @param {LinksLayout} layout
 * @param {Colours} colours
 * @param {{row: number, column: number, weight: number}[]} links
 * @param {Focus} focus
 */
export function paintLinks(painter, data, topOf, layout, colours, links, focus) {
  const { rows, columns, row, left, right, above, size } = layout;
  const y = (/** @type {number} */ place) => above + (place + 0.5) * row;
  const colour = (/** @type {number} */ column) => colours.tokens[column % colours.tokens.length];
  const inFocus = (/** @type {{row: number, column: number}} */ link) =>
    !focus || link[focus.side] === focus.position;
  painter.text(`${data.rows.name}`, left - 8, 12, colours.ink, { anchor: "end", bold: true });
  painter.text("⟶", (left + right) / 2, 12, colours.faint, { anchor: "middle" });
  painter.text(`${data.columns.name}`, right + 8, 12, colours.ink, { bold: true });
  for (const link of [...links].sort((a, b) => a.weight - b.weight)) {
    const shown = inFocus(link);
    const isFixed = data.scale.by === "all" || data.scale.by === "root";
    const share = Math.min(1, link.weight / Math.max(isFixed ? data.scale.high : topOf(link.row), 1e-9));
    const strength = data.scale.by === "root" ? Math.sqrt(share) : share;
    painter.curve(
      left, y(rows.indexOf(link.row)), right, y(columns.indexOf(link.column)), colour(link.column),
      0.6 + Math.min(8, row * 0.4) * strength, shown ? 0.25 + 0.75 * strength : 0.05,
    );
  }
  rows.forEach((position, place) => {
    const chosen = focus?.side === "row" && focus.position === position;
    painter.text(fitted(tokenName(data.rows, position), left - 10, size), left - 8, y(place), colours.ink, {
      anchor: "end", size, bold: chosen, faint: Boolean(focus) && !chosen && focus?.side === "row",
    });
  });
  columns.forEach((position, place) => {
    const chosen = focus?.side === "column" && focus.position === position;
    painter.rect(right + 1, y(place) - row * 0.3, 4, row * 0.6, colour(position));
    painter.text(fitted(tokenName(data.columns, position), layout.width - right - 12, size), right + 10, y(place), colours.ink, {
      size, bold: chosen, faint: Boolean(focus) && !chosen && focus?.side === "column",
    });
  });
}

/** The token under a point. @param {LinksLayout} layout @param {number} x @param {number} y
 * @returns {Focus} */
export function tokenAt(layout, x, y) {
  const place = Math.floor((y - layout.above) / layout.row);
  const half = (layout.left + layout.right) / 2;
  const position = (x < half ? layout.rows : layout.columns)[place];
  return position === undefined ? null : { side: x < half ? "row" : "column", position };
}
